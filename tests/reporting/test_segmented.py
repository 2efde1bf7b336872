"""Segmentation on the page: tables by hand, and files that are damaged."""

import json
from pathlib import Path

import pytest

from unlabel.reporting.segmented import segmented

FOUND = {
    "protocol": {"version": 1, "data": "streets", "size": [3, 4], "epochs": 20},
    "run": {"mIoU": 41.237, "mAcc": 50.0, "aAcc": 80.0, "IoU": []},
    "random": {"mIoU": 20.0, "mAcc": None, "aAcc": 70.0},
    "constant": {"mIoU": 3.0, "mAcc": 9.0, "aAcc": 30.0},
}


def test_a_table_for_each_head(tmp_path: Path) -> None:
    for name in ("segmentation", "segmentation-pspnet-tuned"):
        (tmp_path / f"{name}.json").write_text(json.dumps(FOUND))
    linear, tuned = segmented(tmp_path)
    assert linear.title.endswith("by a linear layer") and tuned.id == "segmentation-pspnet-tuned"
    (table,) = tuned.tables
    assert table.head == ["", "this run", "random weights", "one class everywhere"]
    assert table.rows[:2] == [["mIoU", "41.24", "20.00", "3.00"], ["mAcc", "50.00", "–", "9.00"]]
    assert linear.protocol == "version: 1 · data: streets · epochs: 20"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"run": 3}', '{"run": {"mIoU": null}}'])
def test_what_is_missing_or_damaged_is_left_out(tmp_path: Path, text: str) -> None:
    assert segmented(tmp_path) == []
    (tmp_path / "segmentation.json").write_text(text)
    assert segmented(tmp_path) == []
