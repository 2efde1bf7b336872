"""Tar files of pictures as a source, with a text beside each: the shards that webdataset and img2dataset write.

    000017.jpg    a picture, by its suffix; folders in its name are as in a folder of pictures
    000017.txt    its captions, one on each line
    000017.json   or, where there is no .txt, an object that has them under `caption`, `captions` or `text`

A shard is read once from front to back for what lies where; afterwards any picture is read at its place, so a shard
must not be compressed as a whole. Clutter is passed over as in folders, and so is whatever else a shard holds.
"""

import json
import os
import tarfile
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from unlabel.data.captions import LONGEST, Captioned, cleaned, lines
from unlabel.data.decode import look_at
from unlabel.data.folder import classes_of, is_clutter, is_picture, printable
from unlabel.data.source import Look, Source, Unreadable, digest
from unlabel.errors import Fault

SUFFIX = ".tar"
_TEXTS = (".txt", ".json")
_KEYS = ("caption", "captions", "text")

_Told = tuple[str, ...] | str  # captions, or what is wrong with them


class Place(NamedTuple):
    """Where a picture lies: in which shard, under which name, from which byte on, and how many bytes."""

    shard: str
    name: str
    start: int
    length: int


class Shards(Source):
    """The pictures of some tar files, in the order of the files and of their places in them."""

    def __init__(self, name: str, places: Sequence[Place]) -> None:
        labels, classes = classes_of([place.name for place in places])
        super().__init__(name, labels, classes)
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def image(self, i: int) -> Tensor:
        """Picture i, decoded; see `Source.image`."""
        return self.look(i).pixels(None)

    def look(self, i: int) -> Look:
        """Picture i, its header read; see `Source.look`."""
        return self.watched(i, lambda: look_at(self._content(i), self.path(i)))

    def _content(self, i: int) -> bytes:
        place = self.places[i]
        try:
            with open(place.shard, "rb") as stream:
                stream.seek(place.start)
                return stream.read(place.length)
        except OSError as error:
            raise Unreadable(self.path(i), error.strerror or str(error)) from None

    def path(self, i: int) -> str:
        """The shard, and the name in it."""
        return printable(f"{self.places[i].shard}/{self.places[i].name}")

    def fingerprint(self) -> str:
        """Covers names, places and sizes."""
        return digest(
            part for p in self.places for part in (os.path.basename(p.shard), p.name, f"{p.start} {p.length}")
        )


def shards_in(folder: str) -> list[str]:
    """The tar files of a folder, sorted; none where it also holds pictures or folders, or cannot be listed."""
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not is_clutter(entry.name)]
    except OSError:
        return []
    if any(is_picture(entry.name) or os.path.isdir(entry.path) for entry in entries):
        return []
    return sorted(entry.path for entry in entries if entry.name.lower().endswith(SUFFIX))


def open_shards(name: str, shards: Sequence[str], *, captions: bool) -> Source:
    """The pictures of tar files, with their captions if asked for. Fault for a file that is no sound tar file."""
    places: list[Place] = []
    texts: list[tuple[str, ...]] = []
    reasons: dict[int, str] = {}
    for shard in shards:
        found, told = _index(shard, captions)
        for place in found:
            said = told.get(os.path.splitext(place.name)[0], ())
            if isinstance(said, str):
                reasons[len(places)] = said
            texts.append(() if isinstance(said, str) else said)
            places.append(place)
    if not places:
        raise Fault(f"there is no picture in {printable(name)}: its members need names such as 000017.jpg")
    source = Shards(printable(name), places)
    return Captioned(source, texts, reasons) if captions else source


def _index(shard: str, captions: bool) -> tuple[list[Place], dict[str, _Told]]:
    """The pictures of one shard, and what is told of them by name without suffix."""
    places: list[Place] = []
    told: dict[str, _Told] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                stem, suffix = os.path.splitext(name)
                if not member.isreg() or any(is_clutter(part) for part in name.split("/")):
                    continue
                if is_picture(name):
                    places.append(Place(shard, name, member.offset_data, member.size))
                elif captions and suffix.lower() in _TEXTS and (suffix.lower() == ".txt" or stem not in told):
                    content = archive.extractfile(member)
                    assert content is not None  # of a regular file
                    told[stem] = _told(content.read(LONGEST + 1), suffix.lower())
    except (tarfile.TarError, EOFError, OSError) as wrong:
        raise Fault(
            f"{printable(shard)} is no plain tar file, or cut short or damaged ({wrong}): a compressed one must be "
            "unpacked first"
        ) from None
    return places, told


def _told(content: bytes, suffix: str) -> _Told:
    """The captions of a member, or why it has none."""
    if len(content) > LONGEST:
        return f"its caption is longer than {LONGEST:,} bytes"
    if suffix == ".txt":
        try:
            return lines(content)
        except ValueError as wrong:
            return str(wrong)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return "its caption is not JSON that can be read"
    return next((cleaned(found[key]) for key in _KEYS if key in found), ()) if isinstance(found, dict) else ()
