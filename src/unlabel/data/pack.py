"""A pack: many pictures in one file that is mapped into memory; made once, read many times.

It is an Arrow IPC stream, which any Arrow reader opens: a schema, batches of rows, an end mark. Behind that, where no
reader looks, is a seal: the places and CRC-32s of what Arrow parses, for it may crash on what was altered.

    image          bytes of a JPEG, or of uint8 [height, width, channels]
    height, width  of the picture in the pack
    path, label    where it came from; label -1 = unknown
    index          its position in what was packed
    check          CRC-32 of the row, begun with the check of the row before: a row that is altered, lost or moved shows

Rows are only ever appended. Packing that was cut off goes on behind the last whole batch, and until it is sealed nobody
takes the file for a whole pack. The schema's metadata says what was packed and how, as JSON.
"""

import json
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from unlabel.data.ahead import cores
from unlabel.data.jpeg import Jpeg
from unlabel.data.source import Look, Source, Unreadable, digest
from unlabel.errors import Fault, command

SUFFIX = ".pack"
BATCH = 256  # rows; what is lost at most when packing is cut off
_VERSION = 3
# How JPEGs are written beside their quality, told in the pack: colours at half the size, as cameras do it, are decoded
# a fifth faster than at full size. At quality 90 it costs photographs 0.4 dB of 41.
_JPEG = {"colorsubsampling": "420"}
_BEGIN = b"\xff\xff\xff\xff"  # of every message, before the length of its metadata
_END = _BEGIN + b"\0\0\0\0"
_ENTRY = np.dtype([("start", "<u8"), ("length", "<u4"), ("crc", "<u4")])
_SEAL = struct.Struct("<II8s")  # number and CRC of the entries before it, and a mark
_MARK = b"unlabel\n"
_KEY = b"unlabel.pack"
_COLUMNS = [
    ("image", pa.large_binary()), ("height", pa.int32()), ("width", pa.int32()), ("path", pa.string()),
    ("label", pa.int32()), ("index", pa.int64()), ("check", pa.uint32()),
]  # fmt: skip

# Mapped memory cannot be written, of which torch warns once in each process; nobody writes into pictures.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.from_numpy(np.frombuffer(b"\0", np.uint8))


@dataclass(frozen=True)
class Packed:
    """What packing did: pictures in the pack, pictures left out with the reasons, bytes of the file."""

    pictures: int
    skipped: list[Unreadable]
    bytes: int


def write_pack(
    source: Source,
    file: str | Path,
    *,
    size: int,
    quality: int | None = 90,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Write the pictures of `source` into the pack `file`, or go on with it where packing was cut off.

    size      of the shorter side, in pixels; smaller pictures are left as they are
    quality   of the JPEGs, 1 to 100; None: pixels as they are, which are read fastest and take ten times the space
    progress  is told how many of how many pictures are done

    Raises Fault where `file` is a whole pack already, no pack, or a pack of something else.
    """
    if source.channels != 3 and quality is not None:
        raise Fault(f"JPEGs are RGB images, and those of {source.name} have {source.channels} channels: pack them raw")
    facts = {"version": _VERSION, "size": size, "quality": quality, "pictures": len(source),
             "channels": source.channels, "classes": source.classes, "source": source.fingerprint()}  # fmt: skip
    facts |= {} if quality is None else _JPEG
    schema = pa.schema(_COLUMNS, metadata={_KEY: json.dumps(facts)})
    begun = _begin(Path(file), schema, facts)
    total = len(source)
    with open(file, "r+b") as stream, ThreadPoolExecutor(threads or cores()) as pool:
        stream.seek(begun.end)
        stream.truncate()
        check, done, starts = begun.check, begun.next, [0, *begun.starts]
        while done < total:
            part = range(done, min(done + BATCH, total))
            rows = [row for row in pool.map(lambda i: _row(source, i, size, quality), part) if row is not None]
            for row in rows:
                check = row["check"] = _check(row, check)
            if rows:
                starts.append(stream.tell())
                stream.write(pa.RecordBatch.from_pylist(rows, schema=schema).serialize())
                stream.flush()
            done = part.stop
            progress(done, total)
        stream.write(_END)
        stream.flush()
        stream.write(_seal(Path(file), starts))
        stream.flush()
        os.fsync(stream.fileno())
    pack = Pack(file)
    return Packed(len(pack), list(source.skipped.values()), os.stat(file).st_size)


@dataclass(frozen=True)
class _Begun:
    """Where to go on: byte behind the last whole batch, check of its last row, next picture; where batches begin."""

    end: int
    check: int
    next: int
    starts: list[int]


def _begin(file: Path, schema: pa.Schema, facts: dict[str, Any]) -> _Begun:
    if not file.exists() or file.stat().st_size == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        head = schema.serialize().to_pybytes()
        file.write_bytes(head)
        return _Begun(len(head), 0, 0, [])
    found = _facts(file)
    if found != facts:
        differ = ", ".join(name for name in facts if found.get(name) != facts[name])
        raise Fault(f"{file} was packed with other options or pictures ({differ}): give another name with -o")
    if _entries(file) is not None:
        raise Fault(f"{file} is a whole pack already: give another name with -o, or remove it")
    end, check, following, starts = _head_length(file), 0, 0, []
    for batch, position in _batches(file):
        starts.append(end)
        end, check, following = position, batch["check"][-1].as_py(), batch["index"][-1].as_py() + 1
    return _Begun(end, check, following, starts)


def _row(source: Source, i: int, size: int, quality: int | None) -> dict[str, Any] | None:
    try:
        look = source.look(i)
        height, width = look.size
        scale = min(1.0, size / min(height, width))
        target = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = look.pixels(target).permute(1, 2, 0).contiguous().numpy()
    except Unreadable:
        return None  # the source has noted it
    if pixels.shape[:2] != target:
        pixels = np.stack([_resized(pixels[..., c], target) for c in range(source.channels)], axis=2)
    image = pixels.tobytes() if quality is None else simplejpeg.encode_jpeg(pixels, quality=quality, **_JPEG)
    return {"image": image, "height": target[0], "width": target[1], "path": source.path(i),
            "label": int(source.labels[i]), "index": i}  # fmt: skip


def _resized(channel: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W] at the target's (height, width)."""
    return np.asarray(Image.fromarray(channel).resize((target[1], target[0]), Image.Resampling.BICUBIC))


def _check(row: dict[str, Any], before: int) -> int:
    """CRC-32 of a row that follows one with the check `before`."""
    facts = f"{row['path']}\0{row['label']}\0{row['index']}\0{row['height']}\0{row['width']}"
    return zlib.crc32(facts.encode(), zlib.crc32(row["image"], before))


class Pack(Source):
    """The pictures of a pack, which is mapped into memory.

    Raises Fault for a file that is no pack, not a whole one, or altered; pixels are checked when they are first read.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self.facts = _facts(self.file)
        entries = _entries(self.file)
        if entries is None:
            raise Fault(f"{file} is not complete: run the `unlabel pack` that began it once more, and it goes on")
        if not np.array_equal(_looked_at(self.file, entries["start"]), entries):
            raise Fault(f"{file} was altered or damaged between its pictures: pack it anew")
        batches = [batch for batch, _ in _batches(self.file)]
        if len(batches) != len(entries) - 1:
            raise Fault(f"{file} was altered or damaged behind picture {sum(map(len, batches)):,}: pack it anew")
        if not batches:
            raise Fault(f"{file} is a pack without pictures: none of its source could be read")
        self.columns = {name: [batch[name] for batch in batches] for name, _ in _COLUMNS}
        self.starts = np.cumsum([0, *(len(batch) for batch in batches)])
        self.sound = np.zeros(self.starts[-1], bool)
        labels = self._all("label").astype(np.int64)
        super().__init__(str(file), labels, self.facts["classes"], channels=self.facts["channels"])

    def _all(self, column: str) -> np.ndarray:
        return np.concatenate([part.to_numpy() for part in self.columns[column]])

    def _cell(self, column: str, i: int) -> Any:
        batch = int(np.searchsorted(self.starts, i, side="right")) - 1
        return self.columns[column][batch][i - int(self.starts[batch])]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def image(self, i: int) -> Tensor:
        """Picture i, decoded; see `Source.image`."""
        return self.look(i).pixels(None)

    def look(self, i: int) -> Look:
        """Picture i, without a copy where it is stored as pixels; see `Source.look`. Fault: the pack was altered."""
        data = self._cell("image", i).as_buffer()
        height, width = self._cell("height", i).as_py(), self._cell("width", i).as_py()
        if not self.sound[i]:
            self._verify(i, data)
        if self.facts["quality"] is None:
            stored = np.frombuffer(data, np.uint8).reshape(height, width, self.channels)
            return Look.of(torch.from_numpy(stored).permute(2, 0, 1))
        jpeg = Jpeg(data.to_pybytes(), (height, width), "RGB")

        def pixels(least: tuple[int, int] | None) -> Tensor:
            decoded = jpeg.pixels(least)
            if decoded is None:  # its check was right, so it was written so
                raise self.refuse(i, "damaged when it was packed")
            return decoded

        return Look((height, width), pixels)

    def _verify(self, i: int, data: pa.Buffer) -> None:
        row = {name: self._cell(name, i).as_py() for name in ("path", "label", "index", "height", "width")}
        before = self._cell("check", i - 1).as_py() if i else 0
        if _check(row | {"image": data}, before) != self._cell("check", i).as_py():
            raise Fault(f"{self.file} was altered or damaged at picture {i:,} ({row['path']}): pack it anew")
        self.sound[i] = True

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Check every picture now; Fault at the first that was altered."""
        for i in range(len(self)):
            self._verify(i, self._cell("image", i).as_buffer())
            if i % BATCH == 0:
                progress(i, len(self))
        progress(len(self), len(self))

    def path(self, i: int) -> str:
        """Where picture i came from."""
        return str(self._cell("path", i).as_py())

    def fingerprint(self) -> str:
        """Covers what was packed, how, and every row's check."""
        return digest([json.dumps(self.facts, sort_keys=True), self._all("check").tobytes()])


def _facts(file: Path) -> dict[str, Any]:
    """What the pack says of itself, read without Arrow: the file may be anything."""
    try:
        with open(file, "rb") as stream:
            begin, length = struct.unpack("<4sI", stream.read(8))
            told = re.search(rb'\{"version".*?\}(?=\0)', stream.read(length) if begin == _BEGIN else b"", re.DOTALL)
        found = json.loads(told[0]) if told else None
    except FileNotFoundError:
        raise Fault(f"there is no pack {file}: `{command('pack', 'DIR', '-o', file)}` makes one") from None
    except (OSError, struct.error, ValueError):
        found = None
    if found is None:
        raise Fault(f"{file} is not a pack: `unlabel pack DIR -o FILE{SUFFIX}` makes one")
    if found.get("version") != _VERSION:
        raise Fault(f"{file} is a pack of another version of unlabel: pack it anew")
    return dict(found)


def _seal(file: Path, starts: list[int]) -> bytes:
    """What stands behind a whole pack, of the messages that start there."""
    entries = _looked_at(file, np.array(starts, np.uint64)).tobytes()
    return entries + _SEAL.pack(len(starts), zlib.crc32(entries), _MARK)


def _looked_at(file: Path, starts: np.ndarray) -> np.ndarray:
    """The entries of messages at these places: how long their metadata is, and its CRC-32."""
    found = np.zeros(len(starts), _ENTRY)
    with open(file, "rb") as stream:
        for entry, start in zip(found, starts, strict=True):
            stream.seek(int(start))
            head = stream.read(8)
            length = int.from_bytes(head[4:], "little")
            entry["start"], entry["length"] = start, length
            entry["crc"] = zlib.crc32(stream.read(length), zlib.crc32(head)) if length < 1 << 30 else 0
    return found


def _entries(file: Path) -> np.ndarray | None:
    """The entries of the seal; None where there is no sound one."""
    size = file.stat().st_size
    if size < _SEAL.size:
        return None
    with open(file, "rb") as stream:
        stream.seek(size - _SEAL.size)
        count, crc, mark = _SEAL.unpack(stream.read())
        begin = size - _SEAL.size - count * _ENTRY.itemsize
        if mark != _MARK or count < 1 or begin < 0:
            return None
        stream.seek(begin)
        entries = stream.read(count * _ENTRY.itemsize)
    return np.frombuffer(entries, _ENTRY) if zlib.crc32(entries) == crc else None


def _head_length(file: Path) -> int:
    with pa.memory_map(str(file)) as mapped:
        pa.ipc.open_stream(mapped)
        return int(mapped.tell())


def _batches(file: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The whole batches of a pack, without copying, and the byte behind each."""
    mapped = pa.memory_map(str(file))
    reader = pa.ipc.open_stream(mapped)
    while True:
        try:
            batch = reader.read_next_batch()
            batch.validate(full=True)  # of what is read without a copy, Arrow itself believes every offset
        except (StopIteration, OSError, pa.ArrowException):
            return
        yield batch, mapped.tell()
