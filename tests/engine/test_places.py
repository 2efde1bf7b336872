"""Where results are to be written is looked at before the work."""

from pathlib import Path

import pytest

from unlabel.engine.places import PICTURES, check_file, check_folder, check_other, check_picture
from unlabel.errors import Fault


def test_what_can_be_made_is_let_through_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, tmp_path / "new" / "deep", "new", "."):
        check_folder(place)
    for file in (tmp_path / "new" / "it.parquet", "it.parquet", "new/it.parquet"):
        check_file(file)
    for suffix in PICTURES:
        check_picture(f"new/it{suffix.upper()}")
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_written_is_a_fault_that_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(Fault, match="file cannot be written: it is a file; choose another place"):
        check_folder(tmp_path / "file")
    for place in ("file", "link"):
        with pytest.raises(Fault, match=f"below cannot be written: .*{place} is no folder"):
            check_folder(tmp_path / place / "below")
        with pytest.raises(Fault, match=f"it cannot be written: .*{place} is no folder"):
            check_file(tmp_path / place / "it")
    with pytest.raises(Fault, match="cannot be written: it is a folder"):
        check_file(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(Fault, match="may not be written to"):
        check_file(tmp_path / "new" / "it")


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    (given := tmp_path / "it.parquet").touch()
    (link := tmp_path / "link.parquet").symlink_to(given)
    for out in (given, link):
        with pytest.raises(Fault, match="cannot be written: it is what was given to be read; choose another place"):
            check_other(out, given)
    for out, data in ((tmp_path / "new.parquet", given), (given, tmp_path), (given, "shapes:10")):
        check_other(out, data)


@pytest.mark.parametrize("name", ["it", "it.xyz", ".png", "it.parquet"])
def test_a_picture_is_known_by_its_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(Fault, match=r"is to be a picture: .* ends in one of \.png, \.jpg"):
        check_picture(tmp_path / name)
