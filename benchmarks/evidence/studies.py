"""What is claimed of the methods, each claim a comparison that anyone can repeat: entries of `unlabel bench`, and what
must come out. {cifar10}, {facades}, {tinyimagenet} and {camvid} stand for folders that the user names.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from unlabel import methods

MULTICROP = "views=cifar-min:4x16"


@dataclass(frozen=True)
class Claim:
    """The row `better` has at least `by` more than the row `than` in `column`, as means over seeds.

    Rows are entries or controls by their names; "random weights" is that of the entry's own network. Where `less`,
    less is better.
    """

    better: str
    than: str
    column: str = "knn"
    by: float = 0.0
    less: bool = False


@dataclass(frozen=True)
class Study:
    """Entries that are trained alike and compared, and the claims that this supports or refutes.

    jobs     runs at once, each on its share of the cores: small networks gain little from a second one
    segment  options of `unlabel segment`, for studies of what is known of every pixel
    """

    question: str
    entries: tuple[str, ...]
    options: dict[str, str]
    claims: tuple[Claim, ...]
    seeds: tuple[int, ...] = field(default=(0, 1, 2))
    jobs: int = 2
    segment: dict[str, Any] | None = None


def on_cifar10(minutes: int, **options: str) -> dict[str, str]:
    """Folders train/CLASS and test/CLASS, the recipe for minutes."""
    data = {"data": "{cifar10}/train", "eval_data": "{cifar10}/test", "recipe": "minutes"}
    return {**data, "budget": f"{minutes}m", "backbone": "tiny_resnet", "monitors": "6", **options}


def on_shapes(minutes: int, **options: str) -> dict[str, str]:
    """The built-in pictures, whose objects and descriptions are known."""
    return {"data": "shapes", "budget": f"{minutes}m", "backbone": "tiny_resnet", "monitors": "6", **options}


def _every(entries: tuple[str, ...], column: str = "") -> tuple[Claim, ...]:
    """Each beats random weights: in what is said, or by kNN, or by a linear classifier where that is its judge."""
    return tuple(Claim(entry, "random weights", column or ("top1" if entry in _LINEAR else "knn")) for entry in entries)


def _objective(name: str) -> str:
    return f"simclr objective={name}"


_OTHERS = ("clip", "cast")  # which need captions, and objects
JOINT = tuple(name for name in methods.available() if methods.get(name).family == "joint-embedding"
              and name not in _OTHERS)  # fmt: skip
OBJECTIVES = tuple(map(_objective, (
    "drlim", "triplet", "n_pair", "align_uniform", "debiased", "hard_negatives", "flat_nce", "dcl", "dclw", "hard",
    "simple",
)))  # fmt: skip
DENSE = ("pixcontrast", "pixpro", "simclr", "byol", "byol_two_losses", "byol_two_losses second_loss=off")
FIVE = ("simclr", "byol", "dino")
SLOW = ("simclr", "byol", "byol_two_losses", "dino", "instdisc", "pirl", "cpc", "cpc_v2")
TEMPERATURES = ("0.05", "0.1", "0.2", "0.5", "1.0")
TRIED = tuple(f"simclr {change}" for change in (
    "temperature=0.2", "lr=0.005", "lr=0.04", "batch_size=256", "objective=dcl", "views=cifar-min",
    "views=cifar-min@0.4-1", "views=moco2", "size=28",
))  # fmt: skip
_LINEAR = ("cpc", "cpc_v2", "amdim")  # are judged by what a linear classifier reads

STUDIES = {
    "joint-embedding": Study(
        "Which joint-embedding system learns most in three minutes?",
        JOINT, on_cifar10(3),
        (*_every(JOINT), Claim("cpc_v2", "cpc", "top1"), Claim("clsa", "moco_v2", by=-1)),
    ),
    "five-minutes": Study(
        "What do five minutes give?", FIVE, on_cifar10(5), _every(FIVE), jobs=1,
    ),
    "ten-minutes": Study(
        "Do systems that are slow in three minutes learn in ten?", SLOW, on_cifar10(10),
        (*_every(SLOW), Claim("cpc_v2", "cpc", "top1")),
    ),
    "objectives": Study(
        "Which objective of two views learns most in two minutes?",
        ("simclr", *OBJECTIVES), on_cifar10(2),
        (*_every(OBJECTIVES), Claim(_objective("debiased"), "simclr", by=-1),
         Claim(_objective("hard_negatives"), "simclr", by=-1)),
    ),
    "small-batch": Study(
        "Do FlatNCE and decoupled losses help where a batch has 32 images?",
        ("simclr", *(_objective(name) for name in ("flat_nce", "dcl", "dclw"))),
        on_cifar10(2, batch_size="32", lr="5e-3"),
        tuple(Claim(_objective(name), "simclr") for name in ("flat_nce", "dcl", "dclw")),
    ),
    "multi-crop": Study(
        "Are four small crops worth their time?",
        ("simclr", f"simclr {MULTICROP}", "swav", f"swav {MULTICROP}"), on_cifar10(3),
        (Claim(f"simclr {MULTICROP}", "simclr"), Claim(f"swav {MULTICROP}", "swav")),
    ),
    "temperature": Study(
        "How does the temperature trade uniformity for tolerance?",
        tuple(f"simclr temperature={t}" for t in TEMPERATURES), on_cifar10(2),
        tuple(Claim(f"simclr temperature={high}", f"simclr temperature={low}", column)
              for low, high in pairwise(TEMPERATURES)
              for column in ("tolerance", "uniformity")),
    ),
    "fast": Study(
        "Is cifar10_fast the best of its neighbours? Asked of images held out of training; no test image is seen.",
        ("simclr", *TRIED),
        {"data": "{cifar10}/train", "recipe": "cifar10_fast", "budget": "5m", "monitors": "0"},
        tuple(Claim("simclr", entry, by=-1) for entry in TRIED),
    ),
    "projector": Study(
        "Does the representation collapse into few dimensions without a projector, and does DirectCLR prevent it?",
        ("simclr", "simclr projector_layers=0", "simclr projector_layers=1", "directclr"), on_cifar10(2),
        (Claim("simclr", "simclr projector_layers=0", "effective_rank"),
         Claim("directclr", "simclr projector_layers=0", "effective_rank")),
    ),
    "crops": Study(
        "Are crops at the edges of what the network sees better ones?",
        ("simclr", "simclr crops=contrastive", "simclr crops=central"), on_cifar10(3),
        (Claim("simclr crops=contrastive", "simclr"),),
    ),
    "backgrounds": Study(
        "Does changing backgrounds in training help where backgrounds are swapped?",
        tuple(f"simclr background={kind}" for kind in ("remove background_share=0", "remove", "random", "swap")),
        on_shapes(3, recipe="shapes"),
        tuple(Claim(f"simclr background={kind}", "simclr background=remove background_share=0", "swapped_top1")
              for kind in ("remove", "random", "swap")),
    ),
    "grounding": Study(
        "Does the attention loss of CAST make a network look at objects?",
        ("cast attention_weight=0", "cast"), on_shapes(3, recipe="minutes"),
        (Claim("cast", "cast attention_weight=0", "pointing"), *_every(("cast",))),
    ),
    "dense": Study(
        "What do systems learn about every place of an image? Trained on Tiny ImageNet, asked about CamVid's roads.",
        DENSE,
        {"data": "{tinyimagenet}", "recipe": "minutes", "budget": "4m", "backbone": "small_resnet", "monitors": "3"},
        _every(DENSE, "miou"),
        segment={"data": "{camvid}", "ignore": [11]},
    ),
    "texts": Study(
        "Do images and texts find each other?",
        ("clip",), on_shapes(5, recipe="shapes"),
        tuple(Claim("clip", "guessing", column, by=20) for column in ("zeroshot", "images_by_text", "texts_by_image")),
    ),
    "pretext": Study(
        "Do pretext tasks learn?",
        ("rotation",), on_cifar10(5), _every(("rotation",), "top1"), jobs=1,
    ),
    "masked": Study(
        "Does masked image modelling learn?",
        ("mae",), on_cifar10(5, backbone="tiny_vit"), _every(("mae",), "top1"), jobs=1,
    ),
    "translation": Study(
        "Do labels become photographs?",
        ("cut",),
        {"data": "{facades}/train/labels", "data_b": "{facades}/train/photo", "size": "64", "budget": "5m",
         "eval_data": "{facades}/val/labels", "eval_data_b": "{facades}/val/photo", "monitors": "6"},
        (Claim("cut", "untouched inputs", "fd", less=True), Claim("cut", "untouched inputs", "psnr")),
        jobs=1,
    ),
}  # fmt: skip
