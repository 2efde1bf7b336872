"""The documentation: its commands exist, its links lead somewhere, its pages are made of the code, and it builds."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from markdown_it import MarkdownIt

from unlabel import methods
from unlabel.api import benching
from unlabel.api.shares import shares_of
from unlabel.cli import commands
from unlabel.cli.arguments import parse
from unlabel.engine import options
from unlabel.engine.folder import RunFolder
from unlabel.engine.kinds import TAUGHT
from unlabel.engine.run import FLAGS
from unlabel.errors import Fault
from unlabel.evaluation import kinds

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TOP = commands()


def load(name: str) -> ModuleType:
    """A module of the folder docs."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs"))


def shown(path: Path) -> Iterator[str]:
    """The lines of a page's code blocks that begin with `unlabel `."""
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        if token.type in ("code_block", "fence"):
            yield from (line.strip() for line in token.content.split("\n") if line.strip().startswith("unlabel "))


def mentioned(path: Path) -> Iterator[str]:
    """What stands between backticks in a page's text and begins with `unlabel `."""
    text = path.read_text(encoding="utf-8").replace(r"\|", "|")
    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or []:
            if child.type == "code_inline" and child.content.startswith("unlabel "):
                yield child.content


def command_of(name: str) -> click.Command:
    command = TOP.commands.get(name)
    assert command is not None, f"there is no command {name}"
    return command


def is_free(command: click.Command) -> bool:
    """Whether its options are those of runs and methods, which click does not know."""
    return bool(command.context_settings.get("ignore_unknown_options"))


def check_whole(line: str) -> None:
    """Fault, UsageError or AssertionError unless the line could be run, were the files there. Nothing is opened."""
    _, name, *words = shlex.split(line, comments=True)
    command = command_of(name)
    if not is_free(command):
        with command.make_context(name, words) as context:
            if "method" in context.params:
                methods.get(context.params["method"])
        return
    apart = [word for word in words if " " not in word] if name == "bench" else words
    positional, given, faults = parse(apart, FLAGS)
    assert not faults, faults
    if "resume" in given:
        assert not positional and set(given) == {"resume"}
    elif name == "bench":
        common = {key: value for key, value in given.items() if key not in ("seeds", "out")}
        for entry in benching._expanded([*positional, *(word for word in words if " " in word)]):
            options.check(*benching._options_of(entry, common))
    elif name in TAUGHT:
        assert len(positional) == 1, "one run"
        several = {"labels": shares_of(given["labels"])[0]} if name == "finetune" and "labels" in given else {}
        options.check(name, {"data": "of the run", **given, **several})
    else:
        assert len(positional) == 1, "one method"
        options.check(positional[0], given)


def known(name: str) -> set[str]:
    """The names of a command's options, with dashes."""
    command = command_of(name)
    found = {option for param in command.params for option in param.opts}
    if is_free(command):
        own = {"bench": ["seeds", "out"]}.get(name, ["resume"])
        kinds = [TAUGHT[name]] if name in TAUGHT else [methods.get(method) for method in methods.available()]
        names = [*own, *options.KINDS, *(hyper for kind in kinds for hyper in options.hyperparameters(kind))]
        found |= {f"--{option.replace('_', '-')}" for option in names}
    return found | {"--help"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_a_page_shows_exist_with_their_options(path: Path) -> None:
    for line in shown(path):
        try:
            check_whole(line)
        except (Fault, click.UsageError, AssertionError) as problem:
            raise AssertionError(f"{path.name}: `{line}`: {problem}") from problem
    for words in mentioned(path):
        name = words.split()[1]
        if not name.isupper():  # `unlabel COMMAND --help`
            wrong = set(re.findall(r"(?<!\S)--?[a-z][\w-]*", words)) - known(name)
            assert not wrong, f"{path.name}: `{words}`: no option {', '.join(wrong)}"


def test_examples_of_help_texts_exist_with_their_options() -> None:
    with click.Context(TOP) as context:
        for name in TOP.list_commands(context):
            with click.Context(command_of(name), info_name=name, parent=context) as own:
                text = command_of(name).get_help(own)
            examples = re.findall(r"^ +(unlabel .*)$", text.partition("Examples:")[2], re.MULTILINE)
            assert examples, f"the help of {name} shows no example"
            for line in examples:
                check_whole(line)


@pytest.mark.parametrize(
    "line",
    [
        "unlabel pretrian simclr --data d", "unlabel pretrain simclr --data d --epohs 3", "unlabel explain simclar",
        "unlabel pretrain simclr --data d temprature=1", "unlabel evaluate run --date d", "unlabel embed run --data d",
        "unlabel bench simclr 'byol objective=dcl' --data d", "unlabel pretrain --resume r --data d",
        "unlabel finetune run --label 0.1", "unlabel pretrain simclr --data d --recipe", "unlabel evaluate",
    ],
)  # fmt: skip
def test_a_command_that_is_not_there_is_found(line: str) -> None:
    with pytest.raises((Fault, click.UsageError, AssertionError)):
        check_whole(line)


def test_guides_show_commands() -> None:
    """A page without a command that is found would pass the test above by saying nothing."""
    counts = {path.stem: len(list(shown(path))) for path in PAGES}
    guides = re.findall(r"^[a-z-]+$", (ROOT / "docs" / "guide.md").read_text(), re.MULTILINE)
    assert len(guides) > 5
    for guide in ("README", *(name for name in guides if name not in ("own-method", "speed"))):
        assert counts[guide] > 0, guide


def site(folder: Path, **pages: str) -> Path:
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{body}</body></html>")
    return folder


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    dead = load("links").dead
    good = site(
        tmp_path,
        a="<h1 id='top-of-a'>A</h1><a href='b.html#x%20y'>b</a><a href='#top-of-a'>up</a><a href=''>me</a>"
        "<a href='https://example.org/p?q#r'>out</a><a href='mailto:a@example.org'>mail</a><img src='data:,'>",
        b="<a name='x y'></a>",
    )
    assert dead(good) == []
    for body, wrong in (
        ("<a href='c.html'>c</a>", "no such file"),
        ("<a href='b.html#z'>z</a>", "no such place"),
        ("<a href='#nowhere'>n</a>", "no such place"),
        ("<a href='https://exa mple'>e</a>", "not an address"),
        ("<a href='https:///p'>e</a>", "not an address"),
        ("<a href='javascript:alert(1)'>j</a>", "of a kind"),
        ("<script src='https://cdn.example.org/x.js'></script>", "from the network"),
        ("<link href='//cdn.example.org/x.css'>", "from the network"),
        ("<img src='gone.png'>", "no such file"),
    ):
        found = dead(site(tmp_path, a=body))
        assert len(found) == 1 and found[0].startswith("a.html: ") and wrong in found[0], body


def test_docstrings_become_paragraphs_and_what_is_aligned_keeps_its_lines() -> None:
    text = (
        "Take `a_b` and c*d_.  Ada, 2020.\n\nz1, z2  [B, d] two views\n        of images\n\n    L = x * y\n\nThe\nend."
    )
    expected = (
        "Take ``a_b`` and c\\*d\\_. Ada, 2020.\n\n::\n\n    z1, z2  [B, d] two views\n            of images\n\n"
        "::\n\n        L = x * y\n\nThe end.\n"
    )
    assert load("docstrings").as_rst(text) == expected


def test_generated_pages_name_every_method_recipe_and_command() -> None:
    pages = load("pages")
    index, recipes, told = pages.methods_index(), pages.all_recipes(), pages.all_commands()
    for name in methods.available():
        assert f"({name}.md)" in index and f" <{name}>" in index
        assert f"(../methods/{name}.md)" in recipes
    for name in TOP.commands:
        assert f"\n## {name}\n" in told and f"Usage: unlabel {name} " in told.replace("Usage:  ", "Usage: ")
    losses = pages.python("unlabel.losses", "Losses")
    assert ".. autofunction:: unlabel.losses.nt_xent\n" in losses
    assert ".. autoclass:: unlabel.methods.Method\n   :members:" in pages.python("unlabel.methods", "Methods")


def test_long_lines_of_a_help_text_go_on_below_their_meaning() -> None:
    wrapped = load("pages").wrapped
    line = f"  name    {'word ' * 20}".rstrip()
    first, second = wrapped(f"  x  y\n{line}").split("\n")[1:]
    assert len(first) <= 80 and second.startswith(" " * 10 + "word") and f"{first} {second.strip()}" == line
    assert wrapped("no name here " * 9) == "no name here " * 9


def test_pages_of_methods_that_are_gone_are_removed(tmp_path: Path) -> None:
    pages = load("pages")
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "gone.md").write_text("# Gone")
    pages.write_all(tmp_path)
    written = tmp_path / "methods" / "byol.md"
    assert written.exists() and not (tmp_path / "methods" / "gone.md").exists()
    before = written.stat().st_mtime_ns
    pages.write_all(tmp_path)
    assert written.stat().st_mtime_ns == before, "a page that stays the same is not written again"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the tree that the documentation reads, for a build leaves files behind."""
    project = tmp_path / "project"
    shutil.copytree(
        ROOT / "docs", project / "docs", ignore=shutil.ignore_patterns("methods", "reference", "__pycache__")
    )
    shutil.copytree(ROOT / "examples", project / "examples")
    for page in ROOT.glob("*.md"):
        shutil.copy(page, project)
    return project


def build(project: Path) -> subprocess.CompletedProcess[str]:
    words = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "docs", "site"]
    return subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True)


@pytest.mark.slow
def test_it_builds_without_a_warning_and_a_wrong_link_fails_the_build(copy: Path) -> None:
    for package in ("sphinx", "myst_parser", "pydata_sphinx_theme"):
        pytest.importorskip(package, reason="needs `pip install 'unlabel[docs]'`")
    done = build(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in methods.available():
        text = (copy / "site" / "methods" / f"{name}.html").read_text(encoding="utf-8")
        assert 'id="line-1"' in text and 'class="beside"' in text
    assert load("links").dead(copy / "site") == []
    guide = copy / "docs" / "export.md"
    guide.write_text(guide.read_text(encoding="utf-8") + "\n[wrong](resume.md#nowhere)\n", encoding="utf-8")
    assert build(copy).returncode != 0


def test_getting_started_lists_every_file_of_a_run_folder() -> None:
    told = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    found = {name: of.fget for name, of in vars(RunFolder).items() if isinstance(of, property)}
    places = [getattr(RunFolder("run"), name) for name, get in found.items() if get.__annotations__["return"] is Path]
    assert len(places) > 10 and [place.name for place in places if place.name not in told] == []


def test_the_glossary_is_in_order() -> None:
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "GLOSSARY.md").read_text(encoding="utf-8"), re.MULTILINE)[1:]
    assert len(rows) > 50 and rows == sorted(rows, key=str.lower)


def test_the_table_of_protocols_is_that_of_the_code() -> None:
    assert kinds.markdown() in (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
