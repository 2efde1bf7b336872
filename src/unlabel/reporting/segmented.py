"""How well the class of every pixel was told, by each head that was asked, beside its controls: page and terminal."""

import json
from pathlib import Path
from typing import Any

from unlabel.reporting.charts import CONTROLS, Table
from unlabel.reporting.further import Section
from unlabel.reporting.words import finite, nested

FILES = {
    "segmentation": "by a linear layer",
    "segmentation-pspnet": "by a PSPNet on the frozen network",
    "segmentation-pspnet-tuned": "by a PSPNet, the network fine-tuned",
}
"""The names of the files -> what read the feature maps."""

_WHO = {"run": CONTROLS["run"], "random": CONTROLS["random"], "colours": "colours", "constant": "one class everywhere"}


def file_of(head: str, fine_tune: bool) -> str:
    """The name of the file in which what a head read is written, without its ending."""
    return f"segmentation{'-pspnet' * (head == 'pspnet')}{'-tuned' * fine_tune}"


def segmented(folder: Path) -> list[Section]:
    """The sections of what a run folder holds; files that are missing or damaged are left out."""
    read = {name: _read(folder / f"{name}.json") for name in FILES}
    return [section(name, found) for name, found in read.items() if _scored(found)]


def section(name: str, found: dict[str, Any]) -> Section:
    """What the file called `name` holds."""
    scores = {who: of for who in _WHO if isinstance(of := found.get(who), dict)}
    rows = [
        [measure, *("–" if (v := finite(of.get(measure))) is None else f"{v:.2f}" for of in scores.values())]
        for measure in ("mIoU", "mAcc", "aAcc")
    ]
    table = Table("In per cent", ["", *(_WHO[who] for who in scores)], rows, numeric=True)
    caption = (
        "mIoU is the mean overlap and mAcc the mean accuracy over classes, aAcc the share of right pixels, all counted "
        "over the whole test set."
    )
    title = f"The class of every pixel, {FILES[name]}"
    return Section(name, title, caption, [table], nested(found.get("protocol")))


def _scored(found: dict[str, Any]) -> bool:
    return finite(nested(found.get("run")).get("mIoU")) is not None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
