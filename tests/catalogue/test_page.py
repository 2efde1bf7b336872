"""One page of each method, and the same in the terminal, as HTML and as Markdown."""

import io
import json
import re
import string
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from unlabel import catalogue, methods
from unlabel.catalogue import docstring, html, markdown, terminal
from unlabel.catalogue.docstring import PREDECESSORS
from unlabel.catalogue.page import Beside, Code, Drawing, Items, Link, Links, Page, Prose, Section, Table, page
from unlabel.recipes import recipes

PARTS = (
    "Equations and code", "Data flow", "Symbols", "Departures", "Hyperparameters", "Recipes", "Evidence",
    "The whole file",
)  # fmt: skip
CHANGED = "What it changed in its predecessors"
every_method = pytest.mark.parametrize("name", methods.available())


class Reader(HTMLParser):
    """What stands in a page: names of places, links, elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.names += filter(None, [given.get("id")])
        self.links += filter(None, [given.get("href"), given.get("src")])


def section(of: Page, title: str) -> Section:
    (found,) = [part for part in of.sections if part.title == title]
    return found


@every_method
def test_a_page_has_all_parts(name: str) -> None:
    entry = catalogue.entry(name)
    made = page(entry)
    assert [part for part in PARTS if part not in {s.title for s in made.sections}] == []
    (beside,) = section(made, "Equations and code").blocks
    assert isinstance(beside, Beside) and beside.drawing.text == entry.told.section("Algorithm")
    assert any("def loss(" in code.lines.text for code in beside.code)
    (flow,) = section(made, "Data flow").blocks
    assert isinstance(flow, Drawing) and flow.text == entry.told.section("Flow")
    (departures,) = section(made, "Departures").blocks
    assert isinstance(departures, Items)
    assert " ".join(departures.lines).split() == entry.told.section("Departures").split()
    (hyper,), (chosen,) = section(made, "Hyperparameters").blocks, section(made, "Recipes").blocks
    assert isinstance(hyper, Table) and [row[0] for row in hyper.rows] == [s.name for s in entry.hyper]
    assert isinstance(chosen, Table) and {row[0] for row in chosen.rows} == set(recipes(name))


@every_method
def test_the_file_stands_alone_and_its_links_lead_somewhere(name: str) -> None:
    made = page(catalogue.entry(name))
    text = html.document(made)
    found = Reader(text)
    assert len(found.names) == len(set(found.names)), "a name twice"
    for link in set(found.links):
        assert link[1:] in found.names if link.startswith("#") else link == made.address, link
    assert not found.tags & {"script", "link", "img", "iframe"}
    assert "default-src 'none'" in unescape(text)
    shown = unescape(re.sub(r"<[^>]+>", "", text))
    assert catalogue.entry(name).told.section("Algorithm") in shown
    assert "def loss(" in shown


@every_method
def test_the_terminal_shows_equations_symbols_flow_and_numbered_lines(name: str) -> None:
    entry = catalogue.entry(name)
    console = Console(file=io.StringIO(), width=300, soft_wrap=True)
    terminal.show(page(entry), console)
    lines = console.file.getvalue().split("\n")  # type: ignore[attr-defined]
    for part in ("Algorithm", "Flow"):
        for line in entry.told.section(part).split("\n"):
            assert f"    {line}".rstrip() in lines
    shown = entry.kind.__module__.rpartition(".")[2]
    source = Path(methods.__file__).with_name(f"{shown}.py").read_text(encoding="utf-8").split("\n")
    number = next(i for i, line in enumerate(source, 1) if line.startswith("    def loss("))
    assert f"{number:>5}  {source[number - 1]}" in [line.rstrip() for line in lines]
    for row in entry.told.symbols:
        assert any(row.code in line and row.symbol in line for line in lines)


@every_method
def test_markdown_has_a_heading_for_every_section_and_the_listing_its_lines(name: str) -> None:
    made = page(catalogue.entry(name))
    text = markdown.document(made)
    tokens = MarkdownIt().parse(text)
    heads = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert [re.sub(r"\\(.)", r"\1", head) for head in heads] == [made.title, *(s.title for s in made.sections)]
    raw = "".join(token.content for token in tokens if token.type == "fence")
    links = set(re.findall(r'href="#(line-\d+)"', text))
    assert links and links <= set(re.findall(r'id="(line-\d+)"', raw))


@settings(deadline=None)
@given(st.text(string.ascii_letters + string.digits + string.punctuation + "αß→ ", min_size=1))
def test_no_words_are_marks_of_markdown(text: str) -> None:
    words = " ".join(text.replace("`", "").split())
    rendered = MarkdownIt("commonmark").enable("table").render(markdown.escaped(words))
    assert unescape(re.sub(r"</?(?:p|code)>", "", rendered)).strip() == words


def test_code_between_backticks_stays_code() -> None:
    rendered = MarkdownIt().render(markdown.escaped("with `a_b<c>` and a_b_c"))
    assert rendered == "<p>with <code>a_b&lt;c&gt;</code> and a_b_c</p>\n"
    assert html.inline("with `a_b<c>` & more") == "with <code>a_b&lt;c&gt;</code> &amp; more"


def test_a_table_keeps_its_columns_whatever_is_in_its_cells() -> None:
    text = markdown.table(("a", "b|c"), (("x | y", "`z`"), ("", "p*q*")), code=(0,))
    rendered = MarkdownIt().enable("table").render(text)
    cells = [unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", rendered)]
    assert cells == ["a", "b|c", "x | y", "z", "", "p*q*"]


@every_method
def test_a_page_begins_with_what_it_is_and_what_it_changed(name: str) -> None:
    entry = catalogue.entry(name)
    made = page(entry)
    short, changed = made.sections[:2]
    assert (short.title, changed.title) == ("In short", CHANGED)
    said = Prose(" ".join(entry.told.section(PREDECESSORS).split()))
    assert changed.blocks[0] == said and said not in short.blocks
    before = catalogue.predecessors(entry)
    assert [link.text for block in changed.blocks[1:] if isinstance(block, Links) for link in block.links] == [
        other.title for other in before
    ]
    console = Console(file=io.StringIO(), width=2000)
    terminal.show(made, console)
    shown = {
        "terminal": console.file.getvalue(),  # type: ignore[attr-defined]
        "HTML": unescape(re.sub(r"<[^>]+>", "", html.document(made))),
        "Markdown": re.sub(r"\\(.)", r"\1", markdown.document(made)),
    }
    for where, text in shown.items():
        assert CHANGED in text and text.replace("`", "").count(said.text.replace("`", "")) == 1, where
    for other in before:
        assert f"[{markdown.escaped(other.title)}]({other.name}.md)" in markdown.document(made)


def test_what_a_method_goes_on_from_is_what_its_section_names() -> None:
    named = {name: [e.name for e in catalogue.predecessors(catalogue.entry(name))] for name in methods.available()}
    assert named["cpc_v2"] == ["cpc"] and named["moco_v2"] == ["moco", "simclr"]  # not CPC v2 and MoCo v2 themselves
    assert named["simsiam"] == ["byol", "simclr", "swav"]
    assert named["invaspread"] == ["instdisc"]  # its summary names SimCLR, which is younger
    assert "rotation" in named["pirl"]  # by a title that ends in a bracket
    links = section(page(catalogue.entry("moco_v2")), CHANGED).blocks[-1]
    assert links == Links("It goes on from", (Link("MoCo", "method:moco"), Link("SimCLR", "method:simclr")))


def test_a_file_without_the_section_has_a_page_without_it() -> None:
    entry = catalogue.entry("byol")
    kept = tuple(part for part in entry.told.sections if part.title != PREDECESSORS)
    silent = replace(entry, told=replace(entry.told, sections=kept))
    assert catalogue.predecessors(silent) == []
    assert [s.title for s in page(silent).sections] == [s.title for s in page(entry).sections if s.title != CHANGED]


def test_a_line_may_end_within_a_title() -> None:
    entry = catalogue.entry("clsa")
    broken = docstring.Section(PREDECESSORS, "It goes on from MoCo\nv2.")
    of = replace(entry, told=replace(entry.told, sections=(broken,)))
    assert [before.name for before in catalogue.predecessors(of)] == ["moco_v2"]


def test_hyperparameters_with_what_they_may_be_and_their_symbols() -> None:
    of = {s.name: s for s in catalogue.entry("byol").hyper}
    assert (of["teacher_momentum"].default, of["teacher_momentum"].allowed) == (0.996, "0 to 1")
    assert of["teacher_momentum"].symbol == "tau_base" and of["projector_dim"].symbol == "d"
    assert of["projector_width"].allowed == "whole, 1 to 65,536" and of["predictor"].allowed == "true, false"
    simclr = {s.name: s.allowed for s in catalogue.entry("simclr").hyper}
    assert simclr["temperature"] == "0.001 to 100 or none" and simclr["tau_plus"] == "0 to 0.99 or none"
    assert simclr["margin"] == "at least 0 or none" and simclr["objective"].startswith("nt_xent, dcl, ")


def record(folder: Path) -> Path:
    """A study of two methods, one of them twice, with three controls."""
    rows = [
        {"name": "raw pixels", "control": True, "numbers": {"knn": [40.0]}},
        {"name": "random weights, net_a", "control": True, "numbers": {"knn": [20.0]}},
        {"name": "random weights, net_b", "control": True, "numbers": {"knn": [21.0]}},
        {"name": "byol", "numbers": {"knn": [50.0, 52.0], "minutes": [1.0, 1.0]}, "setup": {"network": "net_a"}},
        {"name": "byol predictor=false", "numbers": {"knn": [10.0]}, "setup": {"network": "net_a"}},
        {"name": "mae", "numbers": {"knn": [33.0], "top1": [60.0]}, "setup": {"network": "net_b"}},
    ]
    said = {"note": "On toys.", "protocols": ["shape: as it was measured"]}
    (folder / "toy.json").write_text(json.dumps({"study": "toy", **said, "rows": rows}))
    (folder / "remarks.json").write_text("{}")
    (folder / "old.json").write_text("[1, 2]")
    return folder


def test_evidence_has_a_methods_rows_beside_its_own_controls(tmp_path: Path) -> None:
    evidence = section(page(catalogue.entry("byol"), record(tmp_path)), "Evidence")
    said, table, note, protocols = evidence.blocks
    assert isinstance(said, Prose) and "toy" in said.text and note == Prose("On toys.")
    assert protocols == Items(("shape: as it was measured",))
    assert isinstance(table, Table) and table.head == ("", "seeds", "kNN", "minutes")
    assert table.rows == (
        ("raw pixels", "control", "40.0", "–"),
        ("random weights, net_a", "control", "20.0", "–"),
        ("byol", "2", "51.0 ± 1.4", "1.0 ± 0.0"),
        ("byol predictor=false", "1", "10.0", "–"),
    )


def test_a_page_says_why_it_has_no_evidence(tmp_path: Path) -> None:
    def said(records: Path) -> str:
        (only,) = section(page(catalogue.entry("dino"), records), "Evidence").blocks
        assert isinstance(only, Prose)
        return only.text

    assert said(record(tmp_path)) == "No study of it has been recorded yet."
    assert "not of the installed package" in said(tmp_path / "nowhere")


def test_the_listing_is_the_whole_file() -> None:
    (code,) = section(page(catalogue.entry("mae")), "The whole file").blocks
    assert isinstance(code, Code) and code.listing and code.lines.first == 1
    assert f"{code.lines.text}\n" == Path(methods.__file__).with_name("mae.py").read_text(encoding="utf-8")
