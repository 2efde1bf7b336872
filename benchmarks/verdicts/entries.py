"""The set of short runs that verdicts are judged by: healthy ones, and ones that fail in every way a method allows."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

BATCH = 64
SETS = ("shapes", "cifar10", "tinyimagenet", "noise")
IMAGES = {"shapes": 3200, "cifar10": 3200, "tinyimagenet": 2560, "noise": 1280}
VIEWS = {"shapes": {"views": "shapes"}}
COMMON: dict[str, Any] = {
    "recipe": "minutes", "backbone": "tiny_resnet", "size": 32, "batch_size": BATCH, "device": "cpu", "precision": "32",
    "seed": 0, "save_every": "20s",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A run: what it was made to be, on which set, and its options; updates are fixed, so no result depends on speed.

    of  for a run that may end early, the name of the same run that may not
    """

    name: str
    made: str
    method: str
    data: str
    options: dict[str, Any]
    of: str | None = None


def _entry(made: str, method: str, data: str, updates: int, words: str = "", images: int = 0, **options: Any) -> Entry:
    images = images or IMAGES[data]
    batch = int(options.get("batch_size", BATCH))
    epochs = max(1, round(updates / (images // batch)))
    short = f"-{words}" if words else ""
    given = {**COMMON, **VIEWS.get(data, {}), "limit": images, "epochs": epochs, **options}
    if method in OWN_VIEWS and "views" not in options:
        given.pop("views", None)
    return Entry(f"{made}-{method}-{data}{short}", made, method, data, given)


OWN_VIEWS = ("rotation", "mae")
NETWORK: dict[str, dict[str, Any]] = {"mae": {"backbone": "tiny_vit"}, "rotation": {"batch_size": 32}}
SGD: dict[str, Any] = {"optimiser": "sgd", "lr": 0.3}
BARE: dict[str, Any] = {"projector_norm": False, **SGD}  # batch norm would keep a batch's embeddings apart
STILL = {"weight_decay": 0.0}


def _healthy() -> list[Entry]:
    on = {
        "shapes": (
            "simclr", "byol", "moco", "moco_v2", "moco_v3", "barlow_twins", "simsiam", "directclr", "dino", "swav",
        ),
        "cifar10": (
            "simclr", "simclr_v2", "byol", "moco_v2", "moco_v3", "barlow_twins", "simsiam", "dino", "swav",
            "invaspread", "instdisc", "rotation", "mae",
        ),
        "tinyimagenet": ("simclr", "byol", "moco_v3", "barlow_twins", "dino", "rotation"),
    }  # fmt: skip
    return [
        _entry("healthy", method, data, 300 if data == "shapes" else 500, **NETWORK.get(method, {}))
        for data, methods in on.items()
        for method in methods
    ]


def _collapsing() -> list[Entry]:
    three, two = ("shapes", "cifar10", "tinyimagenet"), ("shapes", "cifar10")
    ways: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
        (three, "byol", "no-predictor", {"predictor": False, "teacher_momentum": 0.9, **SGD}),
        (two, "byol", "teacher-is-student", {"teacher_momentum": 0.0, "predictor": False, **SGD}),
        (two, "byol", "momentum-0", {"teacher_momentum": 0.0}),
        (three, "dino", "no-centring", {"centring": False, "views": "light", "lr": 1e-3, "freeze_last_layer": 0.0}),
        (three, "simclr", "hardest-triplets", {"objective": "triplet", "mining": "hard", **BARE}),
        (two, "simclr", "no-uniformity", {"objective": "align_uniform", "uniform_weight": 0.0, **BARE}),
        (two, "simsiam", "no-predictor", {"predictor": False, "views": "light", **SGD}),
    ]
    narrow: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
        (three, "simsiam", "no-stop-gradient", {"stop_gradient": False, "views": "light", **SGD, "lr": 0.5}),
        (three, "barlow_twins", "no-redundancy", {"redundancy_weight": 0.0}),
        (two, "simclr", "much-alignment",
         {"objective": "align_uniform", "align_weight": 100.0, "uniform_weight": 0.3, **BARE}),
    ]  # fmt: skip
    return [
        _entry(made, method, data, 250, words, **options)
        for made, kind in (("collapsed", ways), ("dimensional-collapse", narrow))
        for sets, method, words, options in kind
        for data in sets
    ]


def _stuck() -> list[Entry]:
    flat = {"teacher_temperature": 1.0, "warmup_teacher_temperature": 1.0, "freeze_last_layer": 0.0}
    ways: list[tuple[str, str, str, dict[str, Any]]] = [
        *(("dino", data, "no-sharpening", flat) for data in ("shapes", "cifar10", "tinyimagenet")),
        *(("swav", data, "uniform-codes", {"epsilon": 20.0}) for data in ("shapes", "cifar10")),
        *(("simclr", data, "hot", {"temperature": 100.0}) for data in ("shapes", "cifar10")),
        ("moco_v2", "tinyimagenet", "hot", {"temperature": 100.0}),
    ]
    return [_entry("loss-at-collapse", method, data, 250, words, **options) for method, data, words, options in ways]


def _diverging() -> list[Entry]:
    steep: dict[str, Any] = {"optimiser": "sgd", "clip": None}
    ways: list[tuple[str, str, str, dict[str, Any]]] = [
        ("mae", "cifar10", "steep", {**NETWORK["mae"], **steep, "lr": 3.0}),
        ("mae", "shapes", "rising", {**NETWORK["mae"], "clip": None, "lr": 1.0, "warmup": 0.9}),
        ("mae", "tinyimagenet", "rising", {**NETWORK["mae"], "clip": None, "lr": 0.3, "warmup": 0.9}),
        ("rotation", "cifar10", "steep", {**NETWORK["rotation"], "lr": 3.0}),
        ("rotation", "tinyimagenet", "steep", {**NETWORK["rotation"], **steep, "lr": 100.0}),
        ("simclr", "shapes", "n-pair", {"objective": "n_pair", **BARE, "lr": 3.0}),
        ("simclr", "cifar10", "n-pair", {"objective": "n_pair", **BARE, "lr": 100.0}),
        ("simclr", "shapes", "overflow", {"lr": 1e25}),
        ("byol", "cifar10", "overflow", {"optimiser": "sgd", "lr": 1e30}),
    ]  # fmt: skip
    return [
        # A loss that is not a number ends a run; it is evaluated only where runs may end early.
        _entry("diverging", method, data, 250, words, stop_when_done=True, **options)
        for method, data, words, options in ways
    ]


def _short() -> list[Entry]:
    ways = (
        ("simclr", "cifar10", 6), ("byol", "cifar10", 12), ("moco_v2", "tinyimagenet", 12), ("mae", "cifar10", 15),
        ("barlow_twins", "tinyimagenet", 8), ("dino", "shapes", 8), ("simsiam", "shapes", 4), ("rotation", "shapes", 6),
    )  # fmt: skip
    return [
        _entry("too-short", method, data, updates, images=updates * int(own.get("batch_size", BATCH)), **own)
        for method, data, updates in ways
        for own in (NETWORK.get(method, {}),)
    ]


def _long() -> list[Entry]:
    """Many epochs on few images; on the shapes learning goes on for long."""
    ways = (
        ("simclr", "shapes", 192), ("byol", "shapes", 192),
        ("simclr", "cifar10", 1024), ("byol", "cifar10", 1024), ("moco_v3", "cifar10", 1024), ("dino", "cifar10", 1024),
        ("barlow_twins", "cifar10", 1024), ("simsiam", "cifar10", 1024),
        ("simclr", "tinyimagenet", 1280), ("byol", "tinyimagenet", 1280), ("moco_v2", "tinyimagenet", 1280),
    )  # fmt: skip
    return [_entry("plateau", method, data, 900, images=images) for method, data, images in ways]


def _unsuited() -> list[Entry]:
    """Views or images that make the task trivial or impossible, and rates at which nothing moves."""
    easy = {"views": "clip"}
    return [
        *(_entry("trivial", method, "cifar10", 300, **easy) for method in ("simclr", "byol", "barlow_twins")),
        _entry("trivial", "simclr", "shapes", 300, **easy),
        *(_entry("impossible", method, "noise", 300) for method in ("simclr", "byol", "dino")),
        _entry("frozen", "simclr", "cifar10", 250, lr=1e-8, **STILL),
        _entry("frozen", "byol", "shapes", 250, lr=1e-8, **STILL),
        _entry("frozen", "moco_v2", "tinyimagenet", 250, lr=1e-8, **STILL),
    ]


RUNS = [*_healthy(), *_collapsing(), *_stuck(), *_diverging(), *_short(), *_long(), *_unsuited()]
OVERLONG = [
    _entry("overlong", method, data, 2000, images=256)
    for method, data in (
        ("simclr", "cifar10"), ("byol", "cifar10"), ("simclr", "tinyimagenet"), ("moco_v2", "tinyimagenet"),
    )
]  # fmt: skip
"""Runs given far too many epochs, 500 on few images. They belong to no half: they are there to be ended early."""

STOPPED = [
    Entry(f"{run.name}-stop", run.made, run.method, run.data, {**run.options, "stop_when_done": True}, run.name)
    for run in (*OVERLONG, *RUNS)
    if run.made == "overlong" or (run.made == "healthy" and run.method in ("simclr", "byol"))
]
"""Those once more, ended early where their verdict says so; and some of few epochs, which should go on."""
ENTRIES = {entry.name: entry for entry in (*RUNS, *OVERLONG, *STOPPED)}


SEEN = frozenset({
    "collapsed-byol-shapes-no-predictor", "dimensional-collapse-barlow_twins-shapes-no-redundancy",
    "dimensional-collapse-simsiam-shapes-no-stop-gradient", "diverging-byol-cifar10-overflow",
    "diverging-mae-cifar10-steep", "diverging-mae-shapes-rising", "diverging-rotation-cifar10-steep",
    "diverging-simclr-shapes-n-pair", "healthy-dino-shapes", "healthy-simclr-cifar10", "impossible-simclr-noise",
    "loss-at-collapse-dino-cifar10-no-sharpening", "plateau-byol-cifar10", "plateau-simclr-shapes",
    "too-short-simclr-cifar10", "trivial-byol-cifar10",
})  # fmt: skip
"""Runs that were looked at while the set was being made: they can only be tuned on."""


def halves() -> dict[str, str]:
    """Which half of the set each run belongs to: "tuning" or "test", by a hash of its name, evenly in each kind."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for run in RUNS:
        kinds[run.made].append(run.name)
    found: dict[str, str] = {}
    counts = {"tuning": 0, "test": 0}
    for _, names in sorted(kinds.items()):
        drawn = sorted(names, key=lambda name: (name not in SEEN, hashlib.sha256(name.encode()).hexdigest()))
        here = {"tuning": 0, "test": 0}
        for name in drawn:
            half = "tuning" if name in SEEN else min(here, key=lambda one: (here[one], counts[one]))
            found[name] = half
            here[half] += 1
            counts[half] += 1
    return found
