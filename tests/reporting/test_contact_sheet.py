import numpy as np
import pytest
from PIL import Image

from unlabel.reporting import neighbours_picture


def solid(colour: str, size: tuple[int, int] = (60, 60)) -> Image.Image:
    return Image.new("RGB", size, colour)


def count(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(sheet) == colour).all(-1).sum())


def test_query_and_neighbours_are_all_on_the_sheet() -> None:
    near = [(solid("#00ff00"), 0.125, "photos/a.jpg"), (solid("#0000ff"), 0.25, "photos/b.jpg")]
    sheet = neighbours_picture(solid("#ff0000"), near)
    assert sheet.mode == "RGB"
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert count(sheet, colour) >= 140 * 140
    positions = [
        np.argwhere((np.asarray(sheet) == c).all(-1))[:, 1].min() for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    ]
    assert positions == sorted(positions)  # the query first, then the nearest


def test_distances_and_names_are_written() -> None:
    one = neighbours_picture(solid("red"), [(solid("blue"), 0.125, "a.jpg")])
    other = neighbours_picture(solid("red"), [(solid("blue"), 0.126, "a.jpg")])
    renamed = neighbours_picture(solid("red"), [(solid("blue"), 0.125, "b.jpg")])
    assert one != other
    assert one != renamed
    assert one == neighbours_picture(solid("red"), [(solid("blue"), 0.125, "folder/a.jpg")])


@pytest.mark.parametrize("neighbours", [0, 1, 5, 6, 23])
def test_any_number(neighbours: int) -> None:
    sheet = neighbours_picture(solid("red"), [(solid("#00ff00", (20, 90)), 0.5, f"{i}.png") for i in range(neighbours)])
    shown = count(sheet, (0, 255, 0)) / (144 * 32)
    assert shown == pytest.approx(neighbours, rel=0.05)


@pytest.mark.parametrize(
    "name", ["x" * 400 + ".jpg", "new\nline\t\x00.png", "\u202egnp.exe", "\udcff.jpg", "猫.png", ""]
)
def test_odd_names(name: str) -> None:
    neighbours_picture(solid("red"), [(Image.new("L", (1, 300), 9), float("nan"), name)])
