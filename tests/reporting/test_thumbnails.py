import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlabel.errors import Fault
from unlabel.reporting import write_thumbnails


def flat(colour: tuple[int, int, int], height: int, width: int) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1).expand(3, height, width)


def test_tile_i_lies_in_row_i_div_columns(tmp_path: Path) -> None:
    colours = [
        (250, 10, 10),
        (10, 250, 10),
        (10, 10, 250),
        (240, 240, 10),
        (10, 240, 240),
        (240, 10, 240),
        (128, 128, 128),
    ]
    sides = [(20, 20), (64, 48), (48, 64), (1, 1), (300, 7), (5, 500), (48, 48)]
    path = write_thumbnails((flat(c, *s) for c, s in zip(colours, sides, strict=True)), tmp_path / "artifacts")
    assert json.loads((tmp_path / "artifacts" / "thumbnails.json").read_text()) == {
        "tile": 48,
        "columns": 3,
        "count": 7,
    }
    sprite = np.asarray(Image.open(path)).astype(int)
    assert sprite.shape == (144, 144, 3)
    for i, colour in enumerate(colours):
        tile = sprite[48 * (i // 3) : 48 * (i // 3) + 48, 48 * (i % 3) : 48 * (i % 3) + 48]
        assert np.abs(tile - colour).max() <= 24, i  # JPEG; the very edge included: no colour bleeds in


def test_the_centre_is_shown(tmp_path: Path) -> None:
    wide = torch.zeros(3, 20, 60, dtype=torch.uint8)
    wide[0, :, 20:40] = 255
    sprite = np.asarray(Image.open(write_thumbnails([wide], tmp_path, tile=32))).astype(int)
    assert sprite.shape == (32, 32, 3)
    assert np.abs(sprite - [254, 0, 0]).max() < 8


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(tmp_path: Path, count: int) -> None:
    write_thumbnails([flat((9, 9, 9), 8, 8)] * count, tmp_path)
    assert json.loads((tmp_path / "thumbnails.json").read_text()) == {"tile": 48, "columns": 1, "count": count}


def test_noise_which_no_format_can_shrink_is_written_too(tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (40, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with Image.open(write_thumbnails(noise, tmp_path)) as sprite:
        assert sprite.size == (7 * 48, 6 * 48)


def test_what_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fault, match="cannot be written"):
        write_thumbnails([flat((9, 9, 9), 8, 8)], tmp_path / "file")
