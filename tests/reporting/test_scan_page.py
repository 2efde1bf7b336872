"""The page of a scan is one file that says what was found, whatever the files are called."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.data.findings import Scan
from unlabel.data.scan import scan
from unlabel.engine.advice import Advice, Choice
from unlabel.reporting.scan_page import write_scan

HOSTILE = "<img src=x onerror=window.pwned=1>.png"
ADVICE = Advice(
    "unlabel pretrain simclr --data 'my photos' --size 64",
    [Choice("method", "simclr", "it is <b>good</b>"), Choice("size", "64", "the pictures are small")],
    ["tiny_resnet at 64 px: 220 images/s"],
    ["10m are short"],
)


def cloud(seed: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def messy(root: Path) -> Path:
    """A folder with something of everything."""
    for folder in ("train/cat", "train/dog", "test/cat"):
        (root / folder).mkdir(parents=True)
    for k in range(12):
        cloud(k).save(root / f"train/{('cat', 'dog')[k % 2]}/{k}.png")
    for k in range(8):
        cloud(k).save(root / f"test/cat/{k}.png")  # leaks
    cloud(10, (160, 120)).save(root / "test/cat/near.jpg")
    for k in range(6):
        cloud(20, (100 + k, 90)).save(root / f"train/dog/series{k}.png")
    cloud(30).save(root / "train/cat" / HOSTILE)
    cloud(30).save(root / "train/cat/again.png")
    Image.new("RGB", (50, 50), (9, 9, 9)).save(root / "train/cat/flat.png")
    cloud(31, (9, 40)).save(root / "train/cat/tiny.png")
    (root / "train/cat/<b>bad.png").write_bytes(b"")
    return root


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.hidden = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag == "style"

    def handle_data(self, data: str) -> None:
        self.text += "" if self.hidden else data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    root = messy(tmp_path_factory.mktemp("messy") / "my photos")
    return Page(write_scan(root.parent / "scan.html", scan(root), ADVICE))


def test_it_loads_nothing_and_runs_nothing(page: Page) -> None:
    names = {tag for tag, _ in page.tags}
    assert "script" not in names and "iframe" not in names
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "srcset"):
            address = attributes.get(name) or "#"
            assert address.startswith(("data:", "#")), (tag, address)
    assert not re.search(r"url\((?!data:)|@import", page.source)
    (policy,) = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and "default-src 'none'" in policy


def test_it_says_what_was_found(page: Page) -> None:
    for words in (
        "8 of 9 pictures outside the training split", "In more than one split, the same file", "Near copies",
        "Nearly constant", "Tiny", "Unreadable", "the file is empty", "mean grey level", "102 to 127.5",
    ):  # fmt: skip
        assert words in page.text, words
    assert "… and 2 more; --json lists all of them" in page.text  # of eight leaks, six are shown
    assert "… and 2 more of this one" in page.text  # of the series of six, four


def test_the_recommendation_stands_with_its_reasons(page: Page) -> None:
    assert " ".join(page.text.split()).count("unlabel pretrain simclr --data 'my photos' --size 64") == 1
    for words in ("it is <b>good</b>", "the pictures are small", "220 images/s", "10m are short"):
        assert words in page.text


def test_names_are_text(page: Page) -> None:
    assert HOSTILE in page.text and "<b>bad.png" in page.text
    assert not [a for t, a in page.tags if t == "img" and not (a["src"] or "").startswith("data:image/jpeg;base64,")]


def test_few_pictures_are_inside(page: Page) -> None:
    assert 20 < sum(tag == "img" for tag, _ in page.tags) < 100
    assert len(page.source) < 1_000_000


def test_a_folder_without_oddities(tmp_path: Path) -> None:
    for k in range(2):
        cloud(k).save(tmp_path / f"{k}.png")
    found = scan(tmp_path)
    text = Page(write_scan(tmp_path / "scan.html", found, None)).text
    assert "Nothing odd was found" in text and "To train with" not in text and "Unreadable" not in text


def test_pictures_that_are_gone_or_called_strangely(tmp_path: Path) -> None:
    """A name that is not UTF-8 is opened by what the file system calls it; a file that is gone is left blank."""
    odd = os.fsdecode(b"caf\xe9.png")
    for name in (odd, "b.png", "c.png"):
        cloud(0).save(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", tmp_path / name)
    found = scan(tmp_path)
    (tmp_path / "c.png").unlink()
    tags = Page(write_scan(tmp_path / "scan.html", found, None)).tags
    assert sum(tag == "img" for tag, _ in tags) == 2
    assert sum(attributes.get("class") == "blank" for _, attributes in tags) == 1


def test_nothing_readable(tmp_path: Path) -> None:
    found = Scan("x", "x", unreadable=[("x/a.png", "the file is empty")])
    assert "No picture could be read" in Page(write_scan(tmp_path / "scan.html", found, None)).text
