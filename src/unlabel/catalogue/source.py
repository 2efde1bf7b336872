"""Lines of our own code: what computes a method's equations, and where in its file a name stands."""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from unlabel.losses.objectives import OBJECTIVES
from unlabel.methods import Method

ROOT = Path(__file__).parents[2]
LOSSES = "unlabel.losses"

_BEGIN = ("views", "loss", "before_update", "after_update")
"""The verbs of a method that its equations speak of; `training_step` too, where a method has one of its own."""

_BENEATH = ("blockwise", "objectives", "unit")
"""Modules of losses that compute faster, normalise or choose, and do not say what is computed."""


@dataclass(frozen=True)
class Excerpt:
    """Lines of a file. path: below the folder of the package; first: the number of the first line, from 1."""

    path: str
    first: int
    text: str

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.text.count("\n")


def file_of(method: type[Method]) -> Excerpt:
    """The whole file of a method."""
    module = _module(method)
    return Excerpt(_path(module), 1, _text(module).rstrip("\n"))


def of_method(method: type[Method]) -> tuple[Excerpt, ...]:
    """The lines of the method's file that compute its equations.

    These are its views, its loss, what precedes and follows an update, and all functions of the file that these call,
    in the file's order; functions that touch are one excerpt.
    """
    module = _module(method)
    known = {node.name: node for node in _functions(module)}
    names = _reached([name for name in (*_BEGIN, "training_step") if name in known], known)
    spans = sorted(_span(known[name]) for name in names)
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1] + 2:  # nothing but a blank line between them
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return tuple(_excerpt(module, *span) for span in joined)


def of_losses(method: type[Method]) -> tuple[Excerpt, ...]:
    """The functions of `unlabel.losses` that the method names, or takes by default, and those they are made of."""
    module = _module(method)
    defaults = [parameter.default for parameter in inspect.signature(method.__init__).parameters.values()]
    waiting: list[Callable[..., Any]] = [*_functions_called(module, _tree(module))]
    waiting += (OBJECTIVES[default] for default in defaults if default in OBJECTIVES)
    found: dict[tuple[str, int], Excerpt] = {}
    while waiting:
        function = waiting.pop(0)
        home = inspect.getmodule(function)
        if home is None or not _says_what(home):
            continue
        lines, first = inspect.getsourcelines(function)
        excerpt = Excerpt(_path(home), first, "".join(lines).rstrip("\n"))
        if (excerpt.path, first) not in found:
            found[excerpt.path, first] = excerpt
            waiting += _functions_called(home, ast.parse(excerpt.text))
    return tuple(found.values())


def line_of(method: type[Method], name: str) -> int | None:
    """The line of the method's file that makes what is called `name`, else the first that says it; None if none does.

    Words of the file's docstring do not count.
    """
    made: list[int] = []
    said: list[int] = []
    for node in ast.walk(_tree(_module(method))):
        match node:
            case ast.Attribute(attr=found, ctx=ast.Store()) | ast.FunctionDef(name=found) if found == name:
                made.append(node.lineno)
            case ast.Attribute(attr=found) | ast.Name(id=found) | ast.arg(arg=found) if found == name:
                said.append(node.lineno)
    return min(made, default=None) or min(said, default=None)


def _module(method: type[Method]) -> ModuleType:
    module = inspect.getmodule(method)
    assert module is not None
    return module


def _says_what(module: ModuleType) -> bool:
    return module.__name__.startswith(f"{LOSSES}.") and module.__name__.split(".")[-1] not in _BENEATH


def _path(module: ModuleType) -> str:
    return Path(str(module.__file__)).relative_to(ROOT).as_posix()


@cache
def _text(module: ModuleType) -> str:
    return inspect.getsource(module)


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(_text(module))


def _functions_called(module: ModuleType, tree: ast.AST) -> list[FunctionType]:
    """The functions that names of `tree` stand for in `module`, in their order."""
    names = sorted((node.lineno, node.id) for node in ast.walk(tree) if isinstance(node, ast.Name))
    members = (getattr(module, name, None) for name in dict.fromkeys(name for _, name in names))
    return [member for member in members if isinstance(member, FunctionType)]


def _functions(module: ModuleType) -> Iterator[ast.FunctionDef]:
    """Those of the module and those of its classes."""
    for statement in _tree(module).body:
        for node in statement.body if isinstance(statement, ast.ClassDef) else [statement]:
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                yield node


def _reached(begin: list[str], known: dict[str, ast.FunctionDef]) -> list[str]:
    """The names of `begin`, and of all functions known that they call, by their own name or as `self.name`."""
    found: list[str] = []
    waiting = list(begin)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        for node in ast.walk(known[name]):
            match node:
                case ast.Name(id=called) | ast.Attribute(value=ast.Name(id="self"), attr=called) if called in known:
                    waiting.append(called)
    return found


def _span(function: ast.FunctionDef) -> tuple[int, int]:
    """First line, of its decorators if it has any, and last line."""
    return min([function.lineno, *(d.lineno for d in function.decorator_list)]), function.end_lineno or function.lineno


def _excerpt(module: ModuleType, first: int, last: int) -> Excerpt:
    return Excerpt(_path(module), first, "\n".join(_text(module).split("\n")[first - 1 : last]))
