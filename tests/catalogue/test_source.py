"""The lines that are shown are those of the files, and all that the equations need are among them."""

import ast
from itertools import pairwise

import pytest

from unlabel import methods
from unlabel.catalogue.source import ROOT, Excerpt, file_of, line_of, of_losses, of_method


def functions(excerpts: tuple[Excerpt, ...]) -> set[str]:
    """Names of the functions whose beginnings are in the lines."""
    lines = [line.strip() for excerpt in excerpts for line in excerpt.text.split("\n")]
    return {line[4:].partition("(")[0] for line in lines if line.startswith("def ")}


@pytest.mark.parametrize("name", methods.available())
def test_excerpts_are_lines_of_their_files(name: str) -> None:
    method = methods.get(name)
    own, called = of_method(method), of_losses(method)
    for excerpt in (*own, *called):
        lines = (ROOT / excerpt.path).read_text(encoding="utf-8").split("\n")
        assert "\n".join(lines[excerpt.first - 1 : excerpt.last]) == excerpt.text
    assert {excerpt.path for excerpt in own} == {f"unlabel/methods/{name}.py"} == {file_of(method).path}
    assert all(a.last + 1 < b.first for a, b in pairwise(own)), "in order, and apart"
    assert {"views", "loss"} <= functions(own)
    for excerpt in called:
        assert isinstance(ast.parse(excerpt.text).body[0], ast.FunctionDef)


def test_helpers_of_a_loss_are_shown_and_others_are_not() -> None:
    shown = functions(of_method(methods.get("mae")))
    assert {"views", "loss", "targets", "reconstruct", "_seen"} <= shown
    assert not {"picture", "__init__", "_host", "_initialise"} & shown
    assert {"training_step", "_nce", "_places"} <= functions(of_method(methods.get("cut")))
    decorated = next(e for e in of_method(methods.get("dino")) if "def _targets" in e.text)
    assert "    @torch.no_grad()\n    def _targets" in decorated.text


def test_losses_are_those_that_a_method_names_or_takes_by_default() -> None:
    assert functions(of_losses(methods.get("byol"))) == {"cosine_regression"}
    assert functions(of_losses(methods.get("simsiam"))) == {"negative_cosine"}
    assert {"nt_xent", "info_nce"} <= functions(of_losses(methods.get("simclr")))
    assert "dcl" not in functions(of_losses(methods.get("simclr")))
    assert of_losses(methods.get("rotation")) == ()


@pytest.mark.parametrize(
    ("method", "name", "line"),
    [
        ("byol", "predictor", "self.predictor = "),
        ("byol", "teacher", "self.teacher = "),
        ("mae", "targets", "def targets("),
        ("mae", "decoder_width", "decoder_width: int = 512"),
        ("mae", "masks", "batch.masks"),
    ],
)
def test_a_name_stands_where_it_is_made_else_where_it_is_first_said(method: str, name: str, line: str) -> None:
    kind = methods.get(method)
    number = line_of(kind, name)
    assert number is not None and line in file_of(kind).text.split("\n")[number - 1]


def test_words_of_the_docstring_are_no_names() -> None:
    assert line_of(methods.get("simclr"), "NT") is None
    assert line_of(methods.get("simclr"), "attract") is None
