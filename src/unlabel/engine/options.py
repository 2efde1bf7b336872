"""Options by name, from the command line or from Python: all faults are found at once, before any data is touched."""

import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from unlabel import methods
from unlabel.engine.kinds import kind_of
from unlabel.engine.run import CHECKS, KINDS, LARGEST, PLAN, convert
from unlabel.errors import Fault, Faults, nearest
from unlabel.nn import backbones
from unlabel.views import Recipe, named

_BELONGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "crop_alpha": ("crops", ("contrastive", "central")),
    "crop_threshold": ("crops", ("contrastive",)),
    "crop_warmup": ("crops", ("contrastive",)),
    "crop_interval": ("crops", ("contrastive",)),
    "crop_cover": ("crops", ("salient",)),
    "background_share": ("background", ("remove", "random", "swap")),
    "momentum": ("optimiser", ("sgd", "lars")),
    "nesterov": ("optimiser", ("sgd",)),
    "betas": ("optimiser", ("adam", "adamw")),
    "final_lr": ("schedule", ("cosine", "linear-tail")),
    "milestones": ("schedule", ("steps",)),
    "step_rates": ("schedule", ("steps",)),
}
"""Options that have an effect with some values of another one alone."""

_NOT_HYPER = {"self", "backbone", "size", "origin", "classes"}  # given by the engine, not by the user


@dataclass(frozen=True)
class Hyper:
    """One hyperparameter of a method: its default and its annotated kind."""

    default: Any
    kind: Any


def hyperparameters(method: type[methods.Method]) -> dict[str, Hyper]:
    """The keyword-only arguments of a method's constructor: the method's own options."""
    kinds = typing.get_type_hints(method.__init__)
    return {
        name: Hyper(parameter.default, kinds[name])
        for name, parameter in inspect.signature(method.__init__).parameters.items()
        if name not in _NOT_HYPER
    }


def needs_backbone(method: type[methods.Method]) -> bool:
    """Whether the method trains a backbone of the user's choice (image translation brings its own networks)."""
    return "backbone" in inspect.signature(method.__init__).parameters


@dataclass(frozen=True)
class Options:
    """What the user chose, checked, as plain values: of the run, of its optimisation, of the method."""

    run: dict[str, Any]
    plan: dict[str, Any]
    hyper: dict[str, Any]


def check(method_name: str, chosen: Mapping[str, Any]) -> Options:
    """Sort and convert `chosen` (values or their texts); Faults lists everything that is wrong with it.

    Unknown names are answered with the nearest known one. Nothing is opened or loaded.
    """
    faults: list[str] = []
    try:
        method = kind_of(method_name)
    except Fault as fault:
        faults.append(str(fault))
        method = None
    hyper = hyperparameters(method) if method else {}
    run: dict[str, Any] = {"method": method_name}
    plan: dict[str, Any] = {}
    own: dict[str, Any] = {}
    known = [*KINDS, *hyper]
    for raw, value in chosen.items():
        name = raw.replace("-", "_")
        if name not in KINDS and name not in hyper:
            if method or nearest(name, KINDS):
                faults.append(f"unknown option `{raw}`{nearest(name, known)}")
            continue
        kind = KINDS[name] if name in KINDS else hyper[name].kind
        try:
            converted = convert(value, kind)
        except ValueError as wrong:
            faults.append(f"option `{raw}` is {value!r}, but must be {wrong}")
            continue
        wrong_value = _outside(name, converted, method)
        if wrong_value:
            faults.append(f"option `{raw}` is {value!r}, but {wrong_value}")
        else:
            place = plan if name in PLAN else run if name in KINDS else own
            place[name] = converted
    if "epochs" in plan and run.get("budget") is not None:
        faults.append("both epochs and budget are given: choose one of them")
    if method is not None:
        planned = replace(method.plan, **plan)
        # Nesterov's form may be the paper's, and not chosen: it is judged by `without_effect`.
        faults += replace(planned, nesterov=planned.nesterov and planned.optimiser == "sgd").faults()
        if planned.batch_size == 1 and method.family in ("joint-embedding", "labelled"):
            faults.append(f"`batch_size` is 1; {method.title} needs images beside each other, 2 or more")
    faults += without_effect({**run, **plan}, {**run, **plan})
    faults += _together(run, method)
    if faults:
        raise Faults(faults)
    return Options(run, plan, own)


def without_effect(chosen: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Faults of options that were chosen and do nothing beside what is known of the others, by name."""
    return [
        f"`{name}` belongs to {owner}={' or '.join(values)}, and does nothing with {known[owner]}: leave it out"
        for name, (owner, values) in _BELONGS.items()
        if chosen.get(name, False) is not False and owner in known and known[owner] not in values
    ]


def chosen_views(name: str, size: int, method: type[methods.Method] | None) -> Recipe:
    """The views called `name`, as many of an image as the method takes: one view serves a pair twice, a method of
    one view takes the first. Fault: an unknown name, more or fewer views than it takes, or views of one domain for two.
    """
    recipe = named(name, size)
    if method is None:
        return recipe
    least, most = method.view_range
    if most == 1 and ":" in name:
        raise Fault(f"{method.title} takes one view of an image, so views `{name}` have no place for small crops")
    views = recipe.views[:1] if most == 1 else recipe.views * least if len(recipe.views) == 1 else recipe.views
    if not least <= len(views) <= most:
        takes = f"{least}" if least == most else f"{least} to {most}"
        raise Fault(f"views `{name}` make {len(views)} views of an image, but {method.title} takes {takes}")
    if (recipe.sources > 1) != (method.family == "translation"):
        raise Fault(f"views `{name}` do not suit {method.title}: leave out the option `views`")
    return replace(recipe, views=views)


def _outside(name: str, value: Any, method: type[methods.Method] | None) -> str | None:
    """What is wrong with a converted value, or None."""
    if name in PLAN:
        return None  # the plan judges its values together
    if name in CHECKS:
        test = CHECKS[name]
        return test(value) if test and value is not None else None
    low, high = method.limits.get(name, (0.0, float("inf"))) if method else (0.0, float("inf"))
    values = value if isinstance(value, tuple) else (value,)
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if all(low <= number <= high for number in numbers):
        return None
    return f"must be at least {low:g}" if high == float("inf") else f"must be between {low:g} and {high:g}"


def _together(run: Mapping[str, Any], method: type[methods.Method] | None) -> list[str]:
    """Faults of combinations, and of names that other rooms know."""
    faults = []
    if not run.get("data"):
        faults.append(
            "no data given: --data takes a folder of images, FILE.npz, FILE.npy, FILE.pack, FILE.csv, FILE.tar, "
            "torchvision:NAME, hf:NAME or shapes"
        )
    if run.get("views", "auto") != "auto":
        try:
            chosen_views(run["views"], run.get("size") or LARGEST, method)  # small crops are named in pixels
        except Fault as fault:
            faults.append(str(fault))
    if method is None:
        return faults
    if run.get("stop_when_done"):
        if method.family in ("translation", "labelled"):
            faults.append(f"{method.title} is not judged by embeddings: leave out the option `stop_when_done`")
        if run.get("monitors") == 0:
            faults.append("`stop_when_done` decides by readings: leave out `monitors=0`, or raise it")
    if needs_backbone(method):
        if run.get("backbone", "auto") != "auto":
            try:
                backbones.resolve(run["backbone"], run.get("size") or 224, pool=method.pool)
            except Fault as fault:
                faults.append(str(fault))
    elif run.get("backbone", "auto") != "auto":
        faults.append(f"{method.title} brings its own networks: leave out the option `backbone`")
    if method.family == "translation" and run.get("accumulate", 1) > 1:
        faults.append(f"{method.title} moves two players a batch and cannot accumulate: raise batch_size instead")
    if method.family == "translation" and not run.get("data_b"):
        faults.append(f"{method.title} translates between two domains: give the second folder with --data-b")
    if method.family != "translation":
        extra = [name for name in ("data_b", "eval_data_b") if run.get(name)]
        faults += [f"{method.title} looks at one set of images: leave out the option `{name}`" for name in extra]
    elif bool(run.get("eval_data")) != bool(run.get("eval_data_b")):
        faults.append("translation is evaluated on two domains: give both eval_data and eval_data_b, or neither")
    return faults
