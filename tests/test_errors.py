"""The hints that end sentences about unknown names, and what the system has against a file."""

import pytest

from unlabel.errors import Fault, command, nearest, writing

OPTIONS = ["epochs", "seed", "temperature", "teacher_temperature", "batch_size"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("epohs", "epochs"), ("Seed", "seed"), ("temp", "temperature"), ("batch", "batch_size"), ("teacher", OPTIONS[3])],
)
def test_a_misspelt_or_shortened_name_is_known_again(word: str, meant: str) -> None:
    assert nearest(word, OPTIONS) == f"; did you mean `{meant}`?"


@pytest.mark.parametrize("word", ["nosuch", "", "e", "wd", "momentum"])
def test_nothing_is_meant_by_a_word_that_is_far_from_all(word: str) -> None:
    assert nearest(word, OPTIONS) == ""


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), OSError("No space left on device")])
def test_what_is_against_a_file_is_told_however_it_is_said(problem: OSError) -> None:
    with pytest.raises(Fault, match=r"^it cannot be written: No space left on device$"), writing("it"):
        raise problem


def test_a_command_can_be_typed_as_it_stands() -> None:
    assert command("report", "runs/simclr-1") == "unlabel report runs/simclr-1"
    assert command("report", "runs/[set b]-1") == "unlabel report 'runs/[set b]-1'"
