"""The catalogue: one file per paper; the file's name is the method's name."""

import inspect
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from unlabel.errors import Fault, nearest
from unlabel.methods.base import Assigns, Classifies, Diverged, Method, Player, Reads, Translates

__all__ = ["Assigns", "Classifies", "Diverged", "Method", "Player", "Reads", "Translates", "available", "get"]


@cache
def available() -> tuple[str, ...]:
    """Names of all methods, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.name != "base"))


def get(name: str) -> type[Method]:
    """The one `Method` subclass of the file called `name`; Fault with the nearest name if there is none."""
    if name not in available():
        raise Fault(f"unknown method `{name}`{nearest(name, available())} (`unlabel methods` lists them)")
    module = import_module(f"{__name__}.{name}")
    (found,) = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Method) and member.__module__ == module.__name__
    ]
    return found
