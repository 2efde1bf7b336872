import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from tests.reporting.looks import VIEW, a_look, images, make_album, make_looked_into, some_prototypes
from tests.reporting.synthetic import make_run
from tests.reporting.test_page import Page
from unlabel.reporting import write_report
from unlabel.reporting.inside import read_inside, write_inside
from unlabel.reporting.inside_figures import inside_section
from unlabel.reporting.sheets import CELL, SCALE, over, read_sheet, shown, squares, write_sheet


def pictures(page: Page, name: str) -> list[dict[str, str | None]]:
    """The pictures of a figure, in order."""
    inside, found = False, []
    for tag, attributes in page.tags:
        if tag == "figure":
            inside = attributes.get("id") == f"fig-{name}"
        if inside and tag == "img":
            found.append(attributes)
    return found


@pytest.mark.parametrize("vit", [True, False])
def test_every_figure_of_the_network_is_there(tmp_path: Path, vit: bool) -> None:
    page = Page(write_report(make_looked_into(tmp_path, vit=vit)))
    own = "fig-inside-attention" if vit else "fig-inside-heat"
    other = "fig-inside-heat" if vit else "fig-inside-attention"
    assert {own, "fig-inside-colours", "fig-over-time-reconstructions", "fig-prototypes"} <= set(page.ids)
    assert other not in page.ids and "#inside" in page.source
    assert len(page.ids) == len(set(page.ids))
    assert ("No Grad-CAM" if vit else "No attention maps") in page.text
    assert len(pictures(page, "inside-colours")) == 16 and len(pictures(page, "prototypes")) == 96
    assert len(pictures(page, "over-time-reconstructions")) == 40
    if vit:
        cells = pictures(page, "inside-attention")
        assert len(cells) == 8 * 8  # the image, the mean, and six of the twelve heads
        assert cells[7]["alt"] == "Attention, head 6, on test/0.png"
        assert "the first 6 of 12 heads" in page.text and "Caron et al. 2021" in page.text
        assert "The class token" in page.text
    else:
        assert len(pictures(page, "inside-heat")) == 16
        assert "Selvaraju et al. 2017" in page.text and "Chen et al. 2020" in page.text
    assert "41 of 300 prototypes are in use" in page.text and "30.0 %" in page.text
    assert "Oquab et al. 2023" in page.text
    assert "13,500" in page.text  # the last moment
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes.get("alt") is not None
            assert (attributes["src"] or "").startswith("data:image/")


def test_an_old_run_has_a_sentence_instead(tmp_path: Path) -> None:
    page = Page(write_report(make_run(tmp_path, queries=30, updates=20)))
    assert "No look inside the network" in page.text and "fig-inside-colours" not in page.ids


def test_a_run_that_translates_has_nothing_to_look_into_but_its_album(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "evaluation.json").write_text(json.dumps({"translation": {"images": 8}}))
    assert "Inside" not in Page(write_report(tmp_path)).text
    make_album(tmp_path, "translations", moments=3)
    page = Page(write_report(tmp_path))
    assert "Translations over time" in page.text and "No look inside" not in page.text


@pytest.mark.parametrize("damage", ["gone", "cut", "no picture", "another size"])
def test_a_damaged_sheet_is_told_and_the_rest_is_shown(tmp_path: Path, damage: str) -> None:
    folder = make_looked_into(tmp_path, vit=True)
    sheet = folder / "artifacts" / "inside-attention.jpg"
    match damage:
        case "gone":
            sheet.unlink()
        case "cut":
            sheet.write_bytes(sheet.read_bytes()[:900])
        case "no picture":
            sheet.write_bytes(b"nothing")
        case "another size":
            Image.new("RGB", (1023, 1000)).save(sheet)
    page = Page(write_report(folder))
    assert "artifacts/inside-attention.jpg is missing or damaged" in page.text
    assert "fig-inside-attention" not in page.ids and "fig-inside-colours" in page.ids


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", "null", "{}", '{"images": 3, "figures": {}}', '{"images": [], "figures": {"colours": 7}}',
    '{"images": ["a"], "figures": ["colours"]}', '{"images": [], "figures": {"colours": ["image"]}, "absent": 3}',
    '{"images": ["a"], "figures": {}, "prototypes": {"count": "x", "most": [1]}}',
    '{"images": ["a"], "figures": {}, "prototypes": [1]}',
    '{"images": ["a"], "figures": {"colours": []}, "asks": [], "heads": {}}',
])  # fmt: skip
def test_damaged_facts_are_told_and_the_page_opens(tmp_path: Path, text: str) -> None:
    folder = make_looked_into(tmp_path, vit=True)
    (folder / "artifacts" / "inside.json").write_text(text)
    page = Page(write_report(folder))
    assert "writes it anew" in page.text or "writes them anew" in page.text
    assert "fig-over-time-reconstructions" in page.ids


def test_damaged_moments_are_told_and_the_others_shown(tmp_path: Path) -> None:
    make_album(tmp_path)
    album = tmp_path / "artifacts" / "over-time"
    (album / "reconstructions-00003000-4.jpg").write_bytes(b"nothing")
    Image.new("RGB", (33, 40)).save(album / "reconstructions-00004500-4.jpg")
    (album / "reconstructions-00006000-0.jpg").write_bytes((album / "reconstructions-00006000-4.jpg").read_bytes())
    (album / "reconstructions-00006000-4.jpg").unlink()
    (album / "else.jpg").write_bytes(b"not ours")
    section = inside_section(tmp_path / "artifacts", None)
    assert len(section.notes) == 3 and all("cannot be read" in note for note in section.notes)
    (found,) = section.moments
    assert found.heads == ["0", "1,500", "7,500", "9,000", "10,500", "12,000", "13,500"]
    assert [len(row) for row in found.rows] == [7] * 4


def test_prototypes_without_thumbnails_say_so(tmp_path: Path) -> None:
    folder = make_looked_into(tmp_path, vit=False)
    (folder / "artifacts" / "thumbnails.jpg").unlink()
    page = Page(write_report(folder))
    assert "No prototype gallery" in page.text and "fig-prototypes" not in page.ids


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    names = ['"><script>window.pwned=1</script>{{ 7 * 7 }}', "{column}", *(f"{i}" for i in range(6))]
    folder = make_looked_into(tmp_path, vit=False, names=names)
    page = Page(write_report(folder))
    assert "<script>window" not in page.source and "49" not in [a.get("alt") for _, a in page.tags]
    assert names[0] in [a.get("alt") for _, a in page.tags]


def test_a_second_look_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    write_inside(tmp_path, a_look(vit=True), VIEW, some_prototypes(), [f"{i}" for i in range(120)])
    assert {path.name for path in tmp_path.iterdir()} == {"inside.json", "inside-attention.jpg", "inside-colours.jpg"}
    write_inside(tmp_path, a_look(vit=False, names=[f"{i}" for i in range(8)]), VIEW)
    assert {path.name for path in tmp_path.iterdir()} == {"inside.json", "inside-heat.jpg", "inside-colours.jpg"}
    look = read_inside(tmp_path)
    assert look.facts is not None and look.facts["prototypes"] is None and look.notes == []
    assert set(look.sheets) == {"heat", "colours"}


def test_a_sheet_gives_back_its_cells(tmp_path: Path) -> None:
    cells = torch.rand(6, 3, 1, 1).expand(6, 3, CELL, CELL)
    write_sheet([cells[:2], cells[2:4], cells[4:]], tmp_path / "sheet.jpg")
    found = [cell for row in read_sheet(tmp_path / "sheet.jpg", 3, 2) for cell in row]
    for cell, picture in zip(cells, found, strict=True):
        assert picture.size == (CELL, CELL)
        expected = (cell[:, 0, 0] * 255).numpy()
        assert np.abs(np.asarray(picture, float).reshape(-1, 3) - expected).max() < 4
    with pytest.raises(ValueError, match="are not 5 rows"):
        read_sheet(tmp_path / "sheet.jpg", 5, 2)


def test_small_images_stay_squares_and_large_ones_shrink() -> None:
    cells = shown(images(2), VIEW)
    assert cells.shape == (2, 3, CELL, CELL)
    torch.testing.assert_close(cells[..., ::2, ::2], cells[..., 1::2, 1::2])
    assert shown(torch.zeros(1, 3, 224, 224), VIEW).shape == (1, 3, CELL, CELL)
    assert shown(torch.zeros(1, 1, 28, 28), VIEW.for_channels(1)).shape == (1, 3, CELL, CELL)
    places = squares(torch.rand(1, 3, 2, 2))
    assert (places[0, :, :64, :64] == places[0, :, :1, :1]).all()


def test_maps_run_from_dark_to_bright() -> None:
    """Over a black image, what is left are the scale's colours, of which 45 to 80 % cover the image."""
    heat = torch.linspace(0, 1, 16).view(1, 1, 16)
    found = over(torch.zeros(1, 3, CELL, CELL), heat, smooth=False)[0, :, 0, ::8]  # [3, 16]
    for position, cover in ((0, 0.45), (-1, 0.8)):
        expected = torch.tensor(ImageColor.getrgb(SCALE[position])) / 255 * cover
        torch.testing.assert_close(found[:, position], expected)
    light = found.sum(dim=0)
    assert (light.diff() > 0).all()
