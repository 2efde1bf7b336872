from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlabel.errors import Fault
from unlabel.reporting import views_grid, write_picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


def test_pixels_come_back_exactly_in_their_places() -> None:
    pixels = torch.randint(0, 256, (4, 3, 3, 96, 96), dtype=torch.uint8)  # [V, B, 3, S, S]
    grid = views_grid([normalised(view) for view in pixels], MEAN, STD)
    assert grid.dtype == torch.uint8
    assert grid.shape == (3, 3 * 98 - 2, 4 * 98 - 2)
    for v in range(4):
        for b in range(3):
            assert torch.equal(grid[:, 98 * b : 98 * b + 96, 98 * v : 98 * v + 96], pixels[v, b])


def test_a_smaller_view_stands_small_in_the_middle_of_its_cell() -> None:
    large, small = torch.zeros(1, 3, 96, 96), torch.ones(1, 3, 32, 32)
    grid = views_grid([large, small], (0.0,) * 3, (1.0,) * 3)
    cell = grid[:, :, 98:]
    assert cell.shape == (3, 96, 96)
    assert (cell[:, 32:64, 32:64] == 255).all()
    assert (cell == 255).sum() == 3 * 32 * 32


@pytest.mark.parametrize(
    ("views", "expected"), [(1, (2 * 82 - 2, 4 * 94 - 14)), (2, (4 * 82 - 2, 2 * 176 - 14)), (6, (8 * 82 - 2, 490))]
)
def test_images_of_few_views_share_a_row_and_small_views_are_enlarged(views: int, expected: tuple[int, int]) -> None:
    grid = views_grid([torch.zeros(20, 3, 40, 40)] * views, MEAN, STD, images=8)
    assert grid.shape[1:] == expected


def test_values_beyond_white_are_cut_and_grey_views_work() -> None:
    grid = views_grid([torch.full((1, 1, 96, 96), 9.0)], (0.5,), (0.25,))
    assert grid.shape == (3, 96, 96)
    assert (grid == 255).all()


def test_written_as_png(tmp_path: Path) -> None:
    picture = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    path = write_picture(picture, tmp_path / "new" / "views.png")
    assert np.array_equal(np.asarray(Image.open(path)), picture.permute(1, 2, 0).numpy())


def test_what_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fault, match="cannot be written"):
        write_picture(torch.zeros(3, 5, 7, dtype=torch.uint8), tmp_path / "file" / "views.png")
