"""How well the class of every pixel was told, by each head that was asked, beside its controls."""

import json
from pathlib import Path
from typing import Any

from unlabel.reporting.charts import CONTROLS, Table
from unlabel.reporting.facts import protocol
from unlabel.reporting.further import Section
from unlabel.reporting.words import finite

FILES = {
    "segmentation": "by a linear layer",
    "segmentation-pspnet": "by a PSPNet on the frozen network",
    "segmentation-pspnet-tuned": "by a PSPNet, the network fine-tuned",
}
"""The names of the files -> what read the feature maps."""

_WHO = {"run": CONTROLS["run"], "random": CONTROLS["random"], "colours": "colours", "constant": "one class everywhere"}


def segmented(folder: Path) -> list[Section]:
    """The sections of what a run folder holds; files that are missing or damaged are left out."""
    made = [_section(name, words, _read(folder / f"{name}.json")) for name, words in FILES.items()]
    return [section for section in made if section is not None]


def _section(name: str, words: str, found: dict[str, Any]) -> Section | None:
    scores = {who: of for who in _WHO if isinstance(of := found.get(who), dict)}
    rows = [
        [measure, *("–" if (v := finite(of.get(measure))) is None else f"{v:.2f}" for of in scores.values())]
        for measure in ("mIoU", "mAcc", "aAcc")
    ]
    if "run" not in scores or rows[0][1] == "–":
        return None
    table = Table("In per cent", ["", *(_WHO[who] for who in scores)], rows, numeric=True)
    caption = (
        "mIoU is the mean overlap and mAcc the mean accuracy over classes, aAcc the share of right pixels, all counted "
        "over the whole test set."
    )
    return Section(name, f"The class of every pixel, {words}", caption, [table], protocol(found))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
