"""Every kind of number that evaluation makes: its version, and what its protocol states beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEEN = ("weights", "layer", "view")
"""What every protocol says of the network: whose weights (student or teacher), which layer, which crop."""


@dataclass(frozen=True)
class Kind:
    """One kind of number.

    numbers  which numbers these are
    command  what measures it
    where    the place of the protocol: file and path
    version  counts changes of what the numbers mean; numbers of two versions do not compare
    states   the names of the protocol's entries, `version` being one more
    """

    numbers: str
    command: str
    where: str
    version: int
    states: tuple[str, ...]


_EVALUATE, _ALL = "unlabel evaluate", "unlabel evaluate --all"
_SEGMENTS = ("train", "test", "size", "stride", "ignored", "head", "optimiser", "epochs", "seed", "scores")

KINDS: dict[str, Kind] = {
    "frozen": Kind(
        "kNN top-1, linear top-1 and top-5", _EVALUATE, "evaluation.json protocol", 1,
        ("data", "split", "memory", "queries", "k", "temperature", *SEEN[::-1], "linear", "random", "pixels", "seed"),
    ),
    "retrieval": Kind(
        "mAP, mAP@R, recall@k by class", _EVALUATE, "evaluation.json retrieval.protocol", 1,
        (*SEEN, "candidates", "queries", "similarity", "recall@k", "equally_far", "chance"),
    ),
    "shape": Kind(
        "alignment, uniformity, tolerance, ranks of the embeddings", _EVALUATE, "evaluation.json protocols.shape", 1,
        (*SEEN, "images", "vectors", "ranks", "uniformity", "tolerance", "alignment", "pairs", "crops"),
    ),
    "lidar": Kind(
        "LiDAR", _EVALUATE, "evaluation.json protocols.lidar", 1,
        (*SEEN, "images", "views", "vectors", "delta", "crops"),
    ),
    "live": Kind(
        "live kNN top-1", "unlabel pretrain", "run.json live", 1,
        (*SEEN, "memory", "queries", "chosen", "k", "temperature"),
    ),
    "factors": Kind(
        "accuracy or R² of each known factor", _EVALUATE, "evaluation.json protocols.factors", 1,
        (*SEEN, "memory", "queries", "probe", "penalties", "chosen_on", "angles", "word", "seed"),
    ),
    "pointing": Kind(
        "how often the object is looked at", _EVALUATE, "evaluation.json protocols.pointing", 1,
        (*SEEN, "images", "query", "key", "map", "hit", "chance", "seed"),
    ),
    "swapped": Kind(
        "kNN and linear top-1 before other backgrounds", _EVALUATE, "evaluation.json protocols.swapped", 1,
        (*SEEN, "images", "memory", "backgrounds", "k", "temperature", "linear", "seed"),
    ),
    "zeroshot": Kind(
        "zero-shot top-1 and top-5", "unlabel zeroshot", "evaluation.json protocols.zeroshot", 1,
        (*SEEN, "images", "classes", "templates", "similarity", "ties", "chance"),
    ),
    "captions": Kind(
        "recall@k of images by captions and back", "unlabel retrieve", "evaluation.json protocols.captions", 1,
        (*SEEN, "images", "texts", "recall@k", "similarity", "ties", "chance"),
    ),
    "clustering": Kind(
        "NMI, ARI, Hungarian accuracy", _ALL, "evaluation.json clustering.protocol", 1,
        (*SEEN, "images", "clusters", "which", "kmeans", "similarity", "chance", "seed"),
    ),
    "robustness": Kind(
        "accuracy on corrupted images", _ALL, "evaluation.json robustness.protocol", 2,
        (*SEEN, "images", "corruptions", "further", "severities", "means", "linear", "knn", "seed"),
    ),
    "classification": Kind(
        "top-1 and top-5 after fine-tuning or distillation", "unlabel finetune", "evaluation.json protocol", 1,
        (*SEEN, "data", "split", "queries", "trained", "scratch", "seed"),
    ),
    "linear segmentation": Kind(
        "mIoU, mAcc, aAcc by a linear layer", "unlabel segment", "segmentation.json protocol", 1,
        ("data", *SEEN, *_SEGMENTS),
    ),
    "pspnet segmentation": Kind(
        "mIoU, mAcc, aAcc by pyramid pooling", "unlabel segment --head pspnet", "segmentation-pspnet.json protocol", 1,
        ("data", *SEEN, *_SEGMENTS),
    ),
    "translation": Kind(
        "FD, KID, PSNR, SSIM of translated images", _EVALUATE, "evaluation.json translation.protocol", 2,
        (
            "data", "split", "weights", "features", "feature_dimensions", "fd_dimensions", "images_x", "images_y",
            "unreadable", "pairs", "size", "view", "seconds_per_image",
        ),
    ),
}  # fmt: skip
"""The kinds by name."""


@dataclass(frozen=True)
class Declared:
    """The protocol of numbers of one kind: exactly the entries that `KINDS` names. ValueError for others."""

    kind: str
    stated: Mapping[str, Any]

    def __post_init__(self) -> None:
        wanted, given = set(KINDS[self.kind].states), set(self.stated)
        if wanted != given:
            raise ValueError(
                f"the protocol of {self.kind} lacks {sorted(wanted - given)} and has {sorted(given - wanted)} besides"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the version, then the entries in their declared order."""
        kind = KINDS[self.kind]
        return {"version": kind.version, **{name: self.stated[name] for name in kind.states}}


def line(protocol: Mapping[str, Any]) -> str:
    """A protocol in one line, to be printed below its numbers; what is nested or empty stands in the file alone."""
    plain = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in protocol.items()
        if name != "version" and isinstance(value, str | int | float) and value != ""
    ]
    return f"protocol {protocol.get('version', '?')}: " + "; ".join(plain)


def same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two protocols agree in all but whose weights they speak of: then their controls are the same numbers."""
    without = [{name: value for name, value in (p or {}).items() if name != "weights"} for p in (one, other)]
    return without[0] == without[1]


def markdown() -> str:
    """All kinds as a table, for the documentation."""
    lines = ["| numbers | command | protocol | what it states | where it stands |", "|---|---|---|---|---|"]
    for kind in KINDS.values():
        file, path = kind.where.split(" ")
        states = ", ".join(name.replace("_", " ") for name in kind.states)
        lines.append(f"| {kind.numbers} | `{kind.command}` | {kind.version} | {states} | `{file}`: `{path}` |")
    return "\n".join(lines) + "\n"
