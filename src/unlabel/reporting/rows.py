"""The numbers of runs by column: what a table of several runs is made of."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from unlabel.engine.folder import RunFolder, read_json, trained_updates
from unlabel.engine.keep import spec_of
from unlabel.errors import Fault, command
from unlabel.reporting.segmented import FILES as SEGMENTATIONS
from unlabel.reporting.words import finite, spread


class Column(NamedTuple):
    """title and decimals; path: where in evaluation.json, or in run.json after "cost.", the number is.

    board: whether a leaderboard shows it.
    """

    title: str
    decimals: int
    path: str | tuple[str, ...]
    board: bool = True


ALL = {
    "knn": Column("kNN", 1, "knn.run"),
    "top1": Column("linear top-1", 1, "linear.run.top1"),
    "top5": Column("top-5", 1, "linear.run.top5"),
    "map": Column("mAP", 1, "retrieval.run.mAP", board=False),
    "map_at_r": Column("mAP@R", 1, "retrieval.run.mAP@R", board=False),
    "recall1": Column("recall@1", 1, "retrieval.run.recall@1", board=False),
    "nmi": Column("clusters: NMI", 1, "clustering.run.NMI", board=False),
    "ari": Column("clusters: ARI", 1, "clustering.run.ARI", board=False),
    "clustered": Column("clusters: accuracy", 1, "clustering.run.accuracy", board=False),
    "corrupted_knn": Column("corrupted: kNN", 1, "robustness.knn.run.corrupted", board=False),
    "corrupted_top1": Column("corrupted: linear", 1, "robustness.linear.run.corrupted", board=False),
    "zeroshot": Column("zero-shot", 1, "texts.zeroshot.top1"),
    "images_by_text": Column("images by text, recall@1", 1, "texts.retrieval.text_to_image.at.1"),
    "texts_by_image": Column("texts by image, recall@1", 1, "texts.retrieval.image_to_text.at.1"),
    "fd": Column("FD", 2, "translation.translation.fd"),
    "kid": Column("KD", 2, "translation.translation.kid", board=False),
    "edges": Column("edges redrawn", 2, "translation.translation.edges", board=False),
    "psnr": Column("PSNR, dB", 1, "translation.translation.psnr"),
    "ssim": Column("SSIM", 2, "translation.translation.ssim"),
    "pointing": Column("pointing game", 1, "objects.pointing.run"),
    "swapped_knn": Column("kNN, swapped backgrounds", 1, "objects.swapped.knn.run.swapped"),
    "swapped_top1": Column("linear, swapped backgrounds", 1, "objects.swapped.linear.run.swapped"),
    "miou": Column("mIoU", 2, "segmentation.run.mIoU"),
    "macc": Column("mAcc", 2, "segmentation.run.mAcc", board=False),
    "aacc": Column("aAcc", 1, "segmentation.run.aAcc"),
    "pspnet_miou": Column("mIoU, PSPNet", 2, "segmentation-pspnet.run.mIoU"),
    "pspnet_macc": Column("mAcc, PSPNet", 2, "segmentation-pspnet.run.mAcc", board=False),
    "pspnet_aacc": Column("aAcc, PSPNet", 1, "segmentation-pspnet.run.aAcc", board=False),
    "tuned_miou": Column("mIoU, PSPNet fine-tuned", 2, "segmentation-pspnet-tuned.run.mIoU"),
    "tuned_macc": Column("mAcc, PSPNet fine-tuned", 2, "segmentation-pspnet-tuned.run.mAcc", board=False),
    "tuned_aacc": Column("aAcc, PSPNet fine-tuned", 1, "segmentation-pspnet-tuned.run.aAcc", board=False),
    "right1": Column("right, top-1", 1, "classification.run.top1", board=False),
    "right5": Column("right, top-5", 1, "classification.run.top5", board=False),
    "labels": Column("labels used", 0, "labels.images", board=False),
    "alignment": Column("alignment", 2, "alignment"),
    "uniformity": Column("uniformity", 2, "uniformity"),
    "tolerance": Column("tolerance", 2, "tolerance"),
    "effective_rank": Column("effective rank", 1, "effective_rank"),
    "participation_ratio": Column("participation ratio", 1, "participation_ratio", board=False),
    "spectral_decay": Column("α-ReQ", 2, "spectral_decay", board=False),
    "lidar": Column("LiDAR", 1, "lidar", board=False),
    "projection_rank": Column("rank after the projector", 1, "projection.effective_rank"),
    "updates": Column("updates", 0, "cost.updates", board=False),
    "epochs": Column("epochs", 1, "cost.epochs"),
    "images_per_second": Column("images/s", 0, "cost.images_per_second"),
    "peak_memory_mb": Column("peak MB", 0, "cost.peak_memory_mb"),
    "minutes": Column("minutes", 1, "cost.minutes"),
}
"""Every number that runs are compared by, in the order of a table."""

COLUMNS = {name: column for name, column in ALL.items() if column.board}
"""Those of a leaderboard. Columns of which no row knows anything are left out."""


@dataclass
class Row:
    """One entry, or one control: the numbers of its seeds by column, how it was trained, and what there is to say."""

    name: str
    control: bool = False
    numbers: dict[str, list[float]] = field(default_factory=dict)
    setup: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, **numbers: Any) -> None:
        """One more seed's numbers; those that are not known are left out."""
        for column, value in numbers.items():
            if (known := finite(value)) is not None:
                self.numbers.setdefault(column, []).append(known)

    def mean(self, column: str) -> float | None:
        """Over seeds; None where nothing is known."""
        return statistics.mean(self.numbers[column]) if self.numbers.get(column) else None

    def deviation(self, column: str) -> float | None:
        """The sample's standard deviation over seeds; None of fewer than two."""
        values = self.numbers.get(column, [])
        return statistics.stdev(values) if len(values) > 1 else None

    def cell(self, column: str, decimals: int | None = None) -> str:
        """Mean ± standard deviation over seeds; `decimals`: of a column that is not one of `ALL`.

        A control that was measured more than once has a deviation only where it can be seen.
        """
        decimals = ALL[column].decimals if decimals is None else decimals
        values = self.numbers.get(column, [])
        if self.control and len({round(value, decimals) for value in values}) == 1:
            values = values[:1]
        return spread(values, decimals)


def known_columns(rows: Iterable[Row], of: Mapping[str, Column] = COLUMNS) -> list[str]:
    """The columns that some row has numbers for."""
    rows = list(rows)
    return [column for column in of if any(row.numbers.get(column) for row in rows)]


def at(found: Mapping[str, Any], path: str | Sequence[str]) -> Any:
    """What is at "a.b.c" of nested dictionaries; None where there is nothing."""
    part: Any = found
    for name in path.split(".") if isinstance(path, str) else path:
        part = part.get(name) if isinstance(part, dict) else None
    return part


def numbers_at(found: Mapping[str, Any], of: Mapping[str, Column]) -> dict[str, Any]:
    """The value of each column."""
    return {name: at(found, column.path) for name, column in of.items()}


def cost_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says of the cost, with minutes, updates and epochs."""
    cost = dict(run.get("cost") or {})
    cost["minutes"] = None if finite(cost.get("seconds")) is None else cost["seconds"] / 60
    updates, per_epoch = finite(trained_updates(run)), finite(run.get("updates_per_epoch"))
    cost["updates"] = updates
    cost["epochs"] = updates / per_epoch if updates is not None and per_epoch else None
    return cost


def read_numbers(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """run.json with what the kept network is called and is, and evaluation.json with cost and segmentation.

    Fault: one of them is damaged.
    """
    folder = RunFolder(place)
    run = folder.read()
    found = {}
    if folder.evaluation.exists():
        again = command("evaluate", folder.path)
        found = _read(folder.evaluation, f"{folder.evaluation} is damaged; `{again}` writes it anew")
    for name in SEGMENTATIONS:
        if (pixels := folder.path / f"{name}.json").exists():
            again = command("segment", folder.path)
            found[name] = _read(pixels, f"{pixels} is damaged; `{again}` writes it anew")
    facts = _facts(folder)
    return {**run, "network": _title(facts), "network_facts": facts}, {**found, "cost": cost_of(run)}


def _read(path: Path, otherwise: str) -> dict[str, Any]:
    """The JSON object of a file, or a Fault with the sentence `otherwise`."""
    found = read_json(path, otherwise)
    if not isinstance(found, dict):
        raise Fault(otherwise)
    return found


def _facts(folder: RunFolder) -> dict[str, Any]:
    """What backbone.json says of the kept network, however old it is; nothing where none is kept."""
    if not folder.backbone.exists():
        return {}
    facts = _read(folder.backbone, f"{folder.backbone} is damaged: restore it, or train again")
    return {name: value for name, value in facts.items() if name not in ("method", "in_plain_timm")}


def _title(facts: dict[str, Any]) -> str:
    """What the kept network is called; "none" where none is kept."""
    return "none" if not facts else spec_of(facts).title if "timm" in facts else str(facts["name"])
