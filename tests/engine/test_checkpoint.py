"""What a checkpoint holds comes back, also from one that was written before all of it was kept."""

from pathlib import Path

import torch

from tests.methods.toy import toy_method
from unlabel.engine import checkpoint


def test_neighbours_of_the_last_reading_come_back(tmp_path: Path) -> None:
    near = torch.tensor([[4, 7], [7, 4]])
    checkpoint.save(tmp_path / "it", toy_method("rotation"), [], lines=3, seconds=1.5, neighbours=(12, near))
    update, found = checkpoint.load(tmp_path / "it").neighbours
    assert update == 12 and torch.equal(found, near)


def test_an_older_checkpoint_is_still_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "it", toy_method("rotation"), [], lines=3, seconds=1.5)
    content = torch.load(tmp_path / "it", weights_only=True)
    del content["neighbours"], content["regions"]
    torch.save(content, tmp_path / "it")
    found = checkpoint.load(tmp_path / "it")
    assert found.neighbours is found.regions is None and found.lines == 3
