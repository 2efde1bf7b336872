"""Packs: the same pictures back, resumable to the byte, and nothing altered goes unnoticed."""

import errno
import io
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_sample_image

import unlabel
from unlabel.cli import cli, look  # noqa: F401 (its commands join the group)
from unlabel.data import pack as packs
from unlabel.data.folder import Folder
from unlabel.data.loader import ViewLoader
from unlabel.data.open import has_test_split, open_source
from unlabel.data.pack import Pack, write_pack
from unlabel.errors import Fault
from unlabel.views import named

PHOTO = Image.fromarray(load_sample_image("china.jpg"))  # 640 x 427


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of pictures of several sizes and kinds, one file of them damaged."""
    for i in range(14):
        place = tmp_path / "photos" / ("even", "odd")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture = PHOTO.rotate(17 * i).resize((640 - 40 * i, 300 - 10 * i))
        if i == 5:
            picture = picture.convert("L")
        picture.save(place / f"{i:02}.{('jpg', 'png')[i % 3 == 0]}")
    (tmp_path / "photos" / "odd" / "07.jpg").write_bytes(b"not a picture")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "BATCH", 4)


def test_raw_packs_give_the_very_pixels(folder: Path, tmp_path: Path) -> None:
    source = Folder(folder)
    done = write_pack(source, tmp_path / "a.pack", size=1000, quality=None)
    pack = Pack(tmp_path / "a.pack")
    assert len(pack) == done.pictures == 13 and [trouble.path for trouble in done.skipped] == [source.path(10)]
    readable = [i for i in range(14) if i != 10]
    for k, i in enumerate(readable):
        assert torch.equal(pack.image(k), source.image(i)) and pack.path(k) == source.path(i)
    assert pack.labels.tolist() == source.labels[readable].tolist() and pack.classes == ["even", "odd"]


def test_jpeg_packs_are_shrunk_and_close(folder: Path, tmp_path: Path) -> None:
    write_pack(Folder(folder), tmp_path / "a.pack", size=200, quality=95)
    pack, source = Pack(tmp_path / "a.pack"), Folder(folder)
    for k, i in ((0, 0), (1, 1), (12, 13)):
        whole = source.image(i)
        height, width = whole.shape[1:]
        scale = min(1.0, 200 / min(height, width))
        assert pack.look(k).size == pack.image(k).shape[1:] == (round(height * scale), round(width * scale))
        want = torch.nn.functional.interpolate(whole[None].float(), pack.look(k).size, mode="bicubic", antialias=True)
        assert (pack.image(k).float() - want[0]).abs().mean() < 8


def test_training_reads_a_pack_like_a_folder(folder: Path, tmp_path: Path) -> None:
    write_pack(Folder(folder), tmp_path / "a.pack", size=1000, quality=None)
    source = open_source(str(tmp_path / "a.pack"))
    batch = next(iter(ViewLoader([source], named("simclr", 32), 4, seed=0, stop=1, threads=0)))
    assert batch.views[0].shape == (4, 3, 32, 32) and batch.views[0].isfinite().all()
    assert not has_test_split(str(tmp_path / "a.pack"))
    with pytest.raises(Fault, match="no test split"):
        open_source(str(tmp_path / "a.pack"), split="test")


@pytest.mark.parametrize("cut", [0, 1, 5_000, 60_000, -9, -3, -1])
def test_packing_that_was_cut_off_goes_on_to_the_same_file(folder: Path, tmp_path: Path, cut: int) -> None:
    write_pack(Folder(folder), tmp_path / "whole.pack", size=100, quality=80)
    data = (tmp_path / "whole.pack").read_bytes()
    kept = max(data[:cut], data[: packs._head_length(tmp_path / "whole.pack")] if cut else b"", key=len)
    (tmp_path / "cut.pack").write_bytes(kept)
    if cut:
        with pytest.raises(Fault, match="not complete"):
            Pack(tmp_path / "cut.pack")
    asked = []
    source = Folder(folder)
    write_pack(source, tmp_path / "cut.pack", size=100, quality=80, progress=lambda done, total: asked.append(done))
    assert (tmp_path / "cut.pack").read_bytes() == data
    if cut in (-9, -3, -1):
        assert len(asked) <= 1, "whole batches are not made again"


def test_jpegs_of_two_kinds_do_not_mix(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, kinds = tmp_path / "a.pack", []
    for jpeg in ({}, packs._JPEG):  # first as packs were written before
        with monkeypatch.context() as patch:
            patch.setattr(packs, "_JPEG", jpeg)
            file.unlink(missing_ok=True)
            write_pack(Folder(folder), file, size=100, quality=80)
        pack = Pack(file)
        pack.verify()
        kinds.append({simplejpeg.decode_jpeg_header(pack._cell("image", i).as_py())[3] for i in range(len(pack))})
        if not jpeg:
            begun = file.read_bytes()[:-1]
    assert kinds == [{"444"}, {"420"}]
    file.write_bytes(begun)
    with pytest.raises(Fault, match=r"other options or pictures \(colorsubsampling\)"):
        write_pack(Folder(folder), file, size=100, quality=80)
    assert file.read_bytes() == begun


@pytest.mark.parametrize("quality", [80, None])
def test_whatever_byte_was_altered_is_refused(tmp_path: Path, quality: int | None) -> None:
    """Arrow believes what it parses, and ends the process where that makes no sense: nothing altered may reach it."""
    for i in range(5):
        place = tmp_path / "tiny" / ("cat", "dög")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        PHOTO.rotate(i).resize((4, 5)).save(place / f"{i}.png")
    file = tmp_path / "a.pack"
    write_pack(Folder(tmp_path / "tiny"), file, size=4, quality=quality)
    data = file.read_bytes()
    refused = 0
    for at in range(0, len(data), 3):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            Pack(file).verify()
        except Fault as fault:
            refused += 1
            assert "pack" in str(fault)
    # Bytes between the values, which align them, mean nothing and may differ.
    assert refused > 0.9 * len(data) / 3


def test_a_batch_that_was_taken_out_shows(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.pack"
    write_pack(Folder(folder), file, size=60, quality=80)
    ends = [packs._head_length(file), *(end for _, end in packs._batches(file))]
    data = file.read_bytes()
    file.write_bytes(data[: ends[1]] + data[ends[2] :])
    with pytest.raises(Fault, match="altered"):
        Pack(file).verify()


def test_pixels_are_checked_when_they_are_first_read(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.pack"
    write_pack(Folder(folder), file, size=100, quality=80)
    image = Pack(file)._cell("image", 2).as_py()
    data = file.read_bytes()
    place = data.index(image) + len(image) // 2
    file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    pack = Pack(file)
    pack.image(1)
    with pytest.raises(Fault, match=r"altered or damaged at picture 2 \("):
        pack.image(2)


def test_any_arrow_reader_opens_it(folder: Path, tmp_path: Path) -> None:
    write_pack(Folder(folder), tmp_path / "a.pack", size=50, quality=80)
    with pa.memory_map(str(tmp_path / "a.pack")) as mapped:
        table = pa.ipc.open_stream(mapped).read_all()
    assert table.num_rows == 13
    first = Image.open(io.BytesIO(table["image"][0].as_py()))
    assert first.size == (table["width"][0].as_py(), table["height"][0].as_py())


def test_threads_may_read_at_once(folder: Path, tmp_path: Path) -> None:
    write_pack(Folder(folder), tmp_path / "a.pack", size=100, quality=80)
    pack, seen = Pack(tmp_path / "a.pack"), []
    threads = [threading.Thread(target=lambda: seen.append([pack.image(i).sum() for i in range(13)])) for _ in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(seen) == 4 and all(one == seen[0] for one in seen)


def test_mistakes_are_answered(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.pack"
    write_pack(Folder(folder), file, size=50, quality=80)
    with pytest.raises(Fault, match="whole pack already"):
        write_pack(Folder(folder), file, size=50, quality=80)
    with pytest.raises(Fault, match=r"other options or pictures \(size\)"):
        write_pack(Folder(folder), file, size=60, quality=80)
    (tmp_path / "b.pack").write_bytes(b"something else entirely, and longer than a header is")
    for name, message in (("b.pack", "not a pack"), ("c.pack", "no pack")):
        with pytest.raises(Fault, match=message):
            Pack(tmp_path / name)
    before = (tmp_path / "b.pack").read_bytes()
    with pytest.raises(Fault, match="not a pack"):
        write_pack(Folder(folder), tmp_path / "b.pack", size=50, quality=80)
    assert (tmp_path / "b.pack").read_bytes() == before, "a file of somebody else's is left alone"


def test_a_full_disk_is_a_sentence_and_packing_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(packs, "_seal", full)
        with pytest.raises(Fault, match=r"a\.pack cannot be written: No space left on device"):
            unlabel.pack(folder, out=tmp_path / "a.pack", size=50)
    assert unlabel.pack(folder, out=tmp_path / "a.pack", size=50).pictures == 13


def test_the_command(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "photos.pack")
    run = CliRunner().invoke(cli, ["pack", str(folder), "-o", out, "--size", "64", "--quality", "raw"])
    assert run.exit_code == 0, run.output
    assert "13 pictures" in run.output and "left out" in run.output and "07.jpg" in run.output
    checked = CliRunner().invoke(cli, ["pack", "--verify", out])
    assert "13 pictures, all as they were packed" in checked.output
    for wrong, message in (
        (["pack", str(folder)], "give a folder and a file"),
        (["pack", str(folder), "-o", "x.zip"], "ends in .pack"),
        (["pack", str(folder), "-o", "x.pack", "--quality", "high"], "1 to 100"),
        (["pack", str(folder), "-o", "x.pack", "--size", "2"], "between 8"),
    ):
        failed = CliRunner().invoke(cli, wrong)
        assert isinstance(failed.exception, Fault) and message in str(failed.exception)
    assert not os.path.exists("x.pack") and np.unique(Pack(out).labels).tolist() == [0, 1]
