"""What a run is: one frozen set of plain values, the same from the command line and from Python."""

import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin

from unlabel.optim.plan import Plan


def option(default: Any, text: str, check: Callable[[Any], str | None] | None = None) -> Any:
    """A field of `Run`: its default, its help text, and what is wrong with a value of it (None if nothing)."""
    return field(default=default, metadata={"help": text, "check": check})


def _at_least(low: float) -> Callable[[Any], str | None]:
    return lambda value: None if value >= low else f"must be at least {low:g}"


def _in(low: float, high: float) -> Callable[[Any], str | None]:
    return lambda value: None if low <= value <= high else f"must be between {low:g} and {high:g}"


def seconds(text: str) -> float:
    """Seconds in a duration such as "90s", "20m", "1.5h" or "45" (seconds); ValueError if it is none."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    unit = text[-1:].lower()
    value = float(text[:-1]) * units[unit] if unit in units else float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def _duration(value: str) -> str | None:
    try:
        seconds(value)
    except ValueError:
        return "must be a duration such as 90s, 20m or 1.5h"
    return None


LARGEST = 1024
"""The largest side of views, in pixels."""


def _image_size(value: int) -> str | None:
    return None if 8 <= value <= LARGEST else f"must be between 8 and {LARGEST} pixels"


def _seed(value: int) -> str | None:
    return None if 0 <= value < 2**63 else "must be between 0 and 2^63 - 1"


Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "bf16", "32"]
Crops = Literal["auto", "random", "contrastive", "central", "salient"]
Behind = Literal["none", "remove", "random", "swap"]

LOGGERS = ("tensorboard", "wandb", "mlflow")


def _loggers(value: tuple[str, ...]) -> str | None:
    known = f"{', '.join(LOGGERS[:-1])} or {LOGGERS[-1]}, several of them with commas between, or none"
    return None if set(value) <= set(LOGGERS) and len(set(value)) == len(value) else f"must be {known}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Every choice of one pre-training run. None means: chosen by the recipe, the data or the machine.

    The run folder's `run.json` holds one in which nothing is None that matters.
    """

    method: str = option("simclr", "name of the method (`unlabel methods`)")
    data: str = option(
        "", "images: a folder, FILE.npz, FILE.npy, FILE.pack, FILE.csv, FILE.tar, shapes, torchvision:NAME or hf:NAME"
    )
    data_b: str | None = option(None, "images of the second domain (image translation)")
    eval_data: str | None = option(
        None, "labelled images to evaluate on; default: the data's own test split, or a held-out tenth"
    )
    eval_data_b: str | None = option(None, "images of the second domain to evaluate translation on")
    out: str | None = option(None, "run folder to write; default: runs/METHOD-DATA-N")
    controls: str | None = option(
        None, "run folder, or folder of several, on the same data: its controls are taken over, not measured again"
    )
    recipe: str = option("auto", "starting values: auto, paper, or a name of `unlabel explain METHOD`")
    views: str = option(
        "auto",
        "augmentation recipe by name, auto: the method's own; NAME@0.2-1 crops 20 to 100 % of the area; NAME:6x16 has "
        "six small crops of 16 px after its two views, NAME:6x16@0.05-0.2 of 5 to 20 % of the area, NAME:2x24+4x16 "
        "crops of two sizes, NAME:0 none",
    )
    saliency: str | None = option(
        None, "folder of masks of salient objects that mirrors the data; `unlabel saliency` makes one"
    )
    crops: Crops = option(
        "auto", "how random crops are drawn: random, contrastive (at the edges of what the network sees), central "
        "(of the central half) or salient (showing the object); auto: as the views say",
    )  # fmt: skip
    crop_alpha: float = option(
        0.1, "of contrastive and central crops: 1 uniform, less nearer to the edges", _in(1e-3, 100.0)
    )
    crop_threshold: float = option(
        0.1, "of contrastive crops: heat, from 0 to 1, above which a place counts", _in(0, 0.99)
    )
    crop_warmup: float = option(0.2, "of contrastive crops: share of training before there are regions", _in(0, 1))
    crop_interval: float = option(0.2, "of contrastive crops: share of training between their refreshes", _in(1e-3, 1))
    crop_cover: float = option(0.2, "of salient crops: share of the object that is shown at least", _in(0, 1))
    background: Behind = option(
        "none", "what is put behind objects: remove (grey), random (that of another image) or swap (another for each "
        "view, and a hard negative on the first view's)",
    )  # fmt: skip
    background_share: float = option(0.2, "how often the background is changed", _in(0, 1))
    backbone: str = option("auto", "a timm name, or one of ours: tiny_resnet, small_resnet, tiny_vit, small_vit")
    size: int | None = option(None, "side of the views in pixels; default: from the data", _image_size)
    limit: int | None = option(None, "use only this many images", _at_least(2))
    budget: str | None = option(None, "time to train for, instead of epochs: 90s, 20m, 1.5h", _duration)
    accumulate: int = option(1, "batches whose gradients make one update", _at_least(1))
    seed: int = option(0, "seed of weights, order of images and views", _seed)
    device: Device = option("auto", "auto, cpu, cuda or mps")
    precision: Precision = option("auto", "auto, bf16 (autocast) or 32")
    channels_last: bool | None = option(None, "memory format of CNNs; default: yes for CNNs")
    compile: bool = option(False, "compile the networks by torch.compile: takes up to a minute")
    threads: int | None = option(
        None, "threads that draw views beside the step; 0: drawn in the step; default: as many as keep it from waiting",
        _at_least(0),
    )  # fmt: skip
    monitors: int = option(12, "how often during training kNN and rank are measured; 0: never", _at_least(0))
    stop_when_done: bool = option(
        False, "end training early: after a cool-down at a plateau, at once where it collapsed or diverges"
    )
    save_every: str = option("30s", "time between checkpoints", _duration)
    log: tuple[str, ...] | None = option(
        ("tensorboard",), "where numbers of training go beside metrics.jsonl: tensorboard, wandb or mlflow, several "
        "with commas between, or none", _loggers,
    )  # fmt: skip
    evaluate: bool = option(True, "evaluate and write the report after training")


# How it is optimised: the fields of `Plan`, in words. The defaults are those of the method's paper.
PLAN: dict[str, str] = {
    "epochs": "passes over the data",
    "batch_size": "images in a batch",
    "optimiser": "sgd, lars, adam or adamw",
    "lr": "peak learning rate for `lr_per` images",
    "lr_per": "the learning rate is for this many images and scales with the batch; none: not scaled",
    "lr_vectors": "learning rate of gains and biases, as a fraction of that of the weights",
    "weight_decay": "weight decay of matrices and filters, and of vectors where decay_vectors says so",
    "weight_decay_end": "weight decay at the end (cosine); none: constant",
    "decay_vectors": "decay gains and biases too",
    "momentum": "momentum of sgd and lars",
    "nesterov": "Nesterov's form of momentum",
    "betas": "the two averaging factors of adam and adamw",
    "warmup": "fraction of training in which the learning rate rises",
    "schedule": "cosine, constant, linear-tail (constant, then linear to 0 in the second half) or steps",
    "milestones": "of schedule=steps: the fractions of training at which the rate changes, with commas between",
    "step_rates": "of schedule=steps: the rate from each milestone on, as a fraction of the peak",
    "final_lr": "last learning rate as a fraction of the peak",
    "clip": "largest norm of the gradient; none: no clipping",
}

KINDS: dict[str, Any] = typing.get_type_hints(Run) | {
    name: kind for name, kind in typing.get_type_hints(Plan).items() if name in PLAN
}
FLAGS = frozenset(name for name, kind in KINDS.items() if kind is bool)
"""Options that may stand alone on the command line, which says yes."""
CHECKS: dict[str, Callable[[Any], str | None] | None] = {f.name: f.metadata["check"] for f in fields(Run)}
HELP: dict[str, str] = {f.name: f.metadata["help"] for f in fields(Run)} | PLAN


def convert(value: Any, kind: Any) -> Any:
    """A value, or the text of one, as the annotated kind; ValueError with what was expected instead."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        options = get_args(kind)
        if type(None) in options and (value is None or value == "none"):
            return None
        (kind,) = [option for option in options if option is not type(None)]
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if str(value) not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError("true or false")
        return words[str(value).lower()]
    if get_origin(kind) is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("()").split(",")]
        parts = list(value) if isinstance(value, Iterable) else [value]
        inner = get_args(kind)
        inner = inner[:1] * len(parts) if Ellipsis in inner else inner
        if len(parts) != len(inner):
            raise ValueError(f"{len(inner)} numbers separated by commas")
        return tuple(convert(p, k) for p, k in zip(parts, inner, strict=True))
    if kind is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("a whole number")
        try:
            return int(value)
        except (TypeError, ValueError):
            raise ValueError("a whole number") from None
    if kind is float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError("a number") from None
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError("a finite number")
        return number
    return str(value)
