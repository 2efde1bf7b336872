"""Named starting values: which numbers a method needs for which data, what that costs and what to expect.

One module for each method; each public function of it is a recipe: it returns options by name, and its docstring says
cost and expected number. Where values depend on an option that the user chose, the recipe has a parameter of the
option's name, with its default. A method without a module has the recipe `paper` alone: its own defaults.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from unlabel.errors import Fault, nearest

SMALL = 96  # pixels: up to here the recipe `small` is the automatic choice, above it `large`


def recipes(method: str) -> Mapping[str, Callable[..., dict[str, Any]]]:
    """The recipes of a method by name; `paper` (nothing changed) is always among them."""
    found: dict[str, Callable[..., dict[str, Any]]] = {"paper": paper}
    if method in {module.name for module in iter_modules(__path__)}:
        module = import_module(f"{__name__}.{method}")
        found |= {
            name: function
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__ == module.__name__ and not name.startswith("_")
        }
    return found


def paper() -> dict[str, Any]:
    """The method's own values (its paper's, if it has one): for ImageNet and many GPUs unless that says otherwise."""
    return {}


def choose(
    method: str, name: str, *, data: str, size: int, chosen: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """The recipe called `name`, or for "auto" the one that suits data and image size: its name and its values.

    chosen  the user's options of the method, on which a recipe's values may depend
    """
    known = recipes(method)
    if name == "auto":
        by_size = "small" if size <= SMALL else "large"
        name = data.split(":")[0] if data.split(":")[0] in known else by_size if by_size in known else "paper"
    if name not in known:
        raise Fault(f"{method} has no recipe `{name}`{nearest(name, known)} (it has {', '.join(known)})")
    takes = inspect.signature(known[name]).parameters
    return name, known[name](**{option: value for option, value in (chosen or {}).items() if option in takes})
