"""The pages of the documentation that are made from the code: methods, recipes, commands, Python."""

import inspect
import re
import textwrap
from importlib import import_module
from itertools import groupby
from pathlib import Path

import click

import unlabel
from unlabel import catalogue
from unlabel.catalogue import markdown
from unlabel.catalogue.page import page
from unlabel.cli import commands
from unlabel.engine.kinds import TAUGHT
from unlabel.recipes import SMALL, recipes

ROOMS = {
    "unlabel": "The commands as functions",
    "unlabel.methods": "Methods",
    "unlabel.losses": "Losses",
    "unlabel.data": "Data",
    "unlabel.views": "Views",
    "unlabel.optim": "Optimisation",
    "unlabel.diagnostics": "Diagnostics",
}
"""Packages whose public names are the reference, and what they are called there."""


WIDTH = 80  # columns of a help text


def write_all(docs: Path) -> None:
    """Write methods/ and reference/ below the folder of the documentation; files that stay the same are not touched."""
    made = {
        "methods/index.md": methods_index(),
        **{f"methods/{entry.name}.md": method(entry) for entry in catalogue.entries()},
        "reference/index.md": reference_index(),
        "reference/recipes.md": all_recipes(),
        "reference/commands.md": all_commands(),
        **{f"reference/{room.replace('.', '-')}.md": python(room, title) for room, title in ROOMS.items()},
    }
    for folder in ("methods", "reference"):
        for old in (docs / folder).glob("*.md"):
            if f"{folder}/{old.name}" not in made:
                old.unlink()
    for name, text in made.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def method(entry: catalogue.Entry) -> str:
    """A method's page, as wide as the window."""
    return "---\nhtml_theme.sidebar_secondary.remove: true\n---\n\n" + markdown.document(page(entry))


def methods_index() -> str:
    """All methods by family, with what each is in its own words."""
    about = (
        "Each page has the equations beside the lines that compute them. `unlabel explain METHOD` shows the same in a "
        "terminal, and `unlabel explain METHOD -o FILE.html` writes it as one file."
    )
    parts = ["# Methods", about]
    for family, of_family in groupby(catalogue.entries(), key=lambda entry: entry.family):
        members = list(of_family)
        lines = [
            f"- [{markdown.escaped(e.title)}]({e.name}.md) ({e.year}): {markdown.escaped(_first(e.told.summary))}"
            for e in members
        ]
        tree = "\n".join(f"{e.title} <{e.name}>" for e in members)
        heading = family[0].upper() + family[1:]
        parts += [f"## {heading}", "\n".join(lines), f"```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{tree}\n```"]
    return "\n\n".join(parts) + "\n"


def _first(summary: str) -> str:
    return " ".join(summary.split("\n\n")[0].split())


def reference_index() -> str:
    """What the reference holds."""
    names = "\n".join(["commands", "recipes", *(room.replace(".", "-") for room in ROOMS)])
    return f"# Reference\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"


def all_recipes() -> str:
    """The recipes of all methods, and of what goes on from a run."""
    about = (
        "Named starting values: `--recipe NAME` takes them, and options that are given come before them. "
        "`--recipe auto`, the default, takes the recipe named like the data if there is one, else `small` for images "
        f"of at most {SMALL} pixels and `large` above."
    )
    parts = ["# Recipes", about]
    named = [(e.title, e.name, f"[{markdown.escaped(e.title)}](../methods/{e.name}.md)") for e in catalogue.entries()]
    named += [(name, name, f"`unlabel {name} RUN`") for name in TAUGHT]
    for title, name, link in named:
        rows = tuple(
            (recipe, " ".join((inspect.getdoc(make) or "").split()), " ".join(f"{k}={v}" for k, v in make().items()))
            for recipe, make in recipes(name).items()
        )
        table = markdown.table(("recipe", "what for, what it costs", "values"), rows, code=(0, 2))
        parts += [f"## {markdown.escaped(title)}", link, table]
    return "\n\n".join(parts) + "\n"


def all_commands() -> str:
    """The help of every command, as the command prints it."""
    parts = ["# Commands", "What `unlabel COMMAND --help` prints."]
    top = commands()
    with click.Context(top, info_name="unlabel") as context:
        for name in top.list_commands(context):
            command = top.get_command(context, name)
            assert command is not None
            with click.Context(
                command, info_name=name, parent=context, terminal_width=WIDTH, max_content_width=WIDTH
            ) as own:
                text = wrapped(command.get_help(own))
            parts += [
                f"## {name}",
                f"{markdown.escaped(command.get_short_help_str(200))}",
                f"~~~~~~{{code-block}} text\n:class: help\n\n{text}\n~~~~~~",
            ]
    return "\n\n".join(parts) + "\n"


def wrapped(text: str) -> str:
    """A help text whose long lines of a name and its meaning go on below the meaning."""
    lines = []
    for line in text.split("\n"):
        named = re.match(r" +\S+ {2,}(?=\S)", line)
        if named and len(line) > WIDTH:
            line = textwrap.fill(line, WIDTH, subsequent_indent=" " * named.end(), break_on_hyphens=False)
        lines.append(line)
    return "\n".join(lines)


def python(room: str, title: str) -> str:
    """The public functions and classes of a package, from their docstrings."""
    module = unlabel if room == "unlabel" else import_module(room)
    parts = [f"# {title}", f"`import {room}`"]
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing):
            own = "" if issubclass(thing, Exception) else "\n   :members:"
            parts.append(_directive("autoclass", room, name, own, name))
        elif inspect.isfunction(thing):
            parts.append(_directive("autofunction", room, name, "", name))
    return "\n\n".join(parts) + "\n"


def _directive(kind: str, room: str, name: str, options: str, heading: str) -> str:
    return f"## {markdown.escaped(heading)}\n\n```{{eval-rst}}\n.. {kind}:: {room}.{name}{options}\n```"
