"""A scan as one HTML page: what should be known first, a run to start, the pictures in question, the histograms."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from unlabel.data.decode import look_at_file
from unlabel.data.findings import FLAT, HUGE, TINY, Likeness, Scan
from unlabel.data.remarks import remarks, size_on_disk
from unlabel.data.source import Unreadable
from unlabel.engine.advice import Advice
from unlabel.engine.folder import write_atomically
from unlabel.reporting.page import policy
from unlabel.reporting.pictures import jpeg_url
from unlabel.views import as_rgb

_GROUPS = 6  # of a kind that are shown
_MEMBERS = 4  # pictures of a group
_SINGLES = 12  # pictures of a kind that are no groups
_FILES = 200  # lines of the table of files that cannot be read
_BINS = 40  # lines of a histogram
_SIDE = 160  # pixels of a small picture's longer side

_LEAKS: dict[Likeness, str] = {
    "exact": "In more than one split, the same file",
    "near": "In more than one split, nearly the same",
    "run": "In more than one split, nearly the same to the network of the run",
}


@dataclass(frozen=True)
class Small:
    """A small picture: its data address ("" where it cannot be read) and its name within the folder."""

    url: str
    path: str


@dataclass(frozen=True)
class Exhibit:
    """Pictures of one kind, in groups that belong together (or one by one): `more` groups are not shown.

    Each group: its pictures, and how many more it has.
    """

    title: str
    caption: str
    groups: list[tuple[list[Small], int]]
    more: int
    single: bool = False


def write_scan(path: Path, found: Scan, advice: Advice | None) -> Path:
    """Write the page of a scan; returns its path. It loads nothing, and shows some dozens of the pictures in question.

    Those are read again; a picture that is gone by now is left blank.
    """
    package = files("unlabel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("scan.html.j2").read_text(encoding="utf-8"))
    said = remarks(found)
    page = template.render(
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")),
        policy=policy([]),
        found=found,
        advice=advice,
        subtitle=_subtitle(found),
        tone="bad" if any(remark.grave for remark in said) else "open" if said else "good",
        remarks=said,
        tiles=_tiles(found),
        exhibits=list(_exhibits(found)),
        histograms=[_histogram(title, counts) for title, counts in found.histograms().items()],
        unreadable=[(_inside(found, path), reason) for path, reason in found.unreadable[:_FILES]],
        unreadable_more=max(0, len(found.unreadable) - _FILES),
    )
    write_atomically(path, page.encode("utf-8", "replace"))
    return path


def _subtitle(found: Scan) -> list[str]:
    parts = [f"{found.readable:,} picture{'' if found.readable == 1 else 's'}", size_on_disk(found)]
    if found.smallest and found.largest:
        ends = dict.fromkeys((found.smallest, found.largest))  # one where they are the same
        parts.append(" to ".join(f"{width} × {height}" for width, height in ends) + " px")
    if found.ignored:
        parts.append(f"files that are not pictures: {found.ignored:,}")
    return parts


def _tiles(found: Scan) -> list[tuple[str, str, str]]:
    """Label, value, note."""
    short = f"{len(found.truncated):,} cut short" if found.truncated else ""
    tiles = [
        ("to train on", f"{found.training:,}", f"in {found.train}" if found.train else "pictures"),
        ("cannot be read", f"{len(found.unreadable):,}", short),
        ("copies", f"{sum(len(g) - 1 for g in found.duplicates):,}", "of other files, byte for byte"),
        ("near copies", f"{sum(len(g) - 1 for g in found.near):,}", "by what the pixels show"),
        ("nearly constant", f"{len(found.constant):,}", "of one colour"),
    ]
    if found.shorter_side is not None:
        tiles.insert(1, ("shorter side", f"{found.shorter_side:,.0f} px", "median"))
    return tiles


def _exhibits(found: Scan) -> Iterable[Exhibit]:
    """What there is to see, the worst first."""
    for kind, title in _LEAKS.items():
        groups = [_one_of_each_split(found, leak.paths) for leak in found.leaks if leak.kind == kind]
        yield from _shown(found, title, "Each row is one picture, in the splits that its names say.", groups)
    yield from _shown(
        found, "In more than one class", "The same file, byte for byte, under different classes.", found.conflicts
    )
    yield from _shown(found, "Copies", "The same file, byte for byte, more than once.", found.copies())
    yield from _shown(
        found,
        "Near copies",
        "The same picture to the eye, perhaps of another size, format or quality.",
        found.undivided(found.near),
    )
    by_run = found.undivided(found.near_by_run or [])
    yield from _shown(found, "Near copies, to the network of the run", "Their embeddings are nearly the same.", by_run)
    for title, caption, paths in (
        ("Nearly constant", f"Levels that vary by less than {FLAT:g} of 255 in every channel.", found.constant),
        ("Tiny", f"A side below {TINY} pixels leaves nothing to crop.", found.tiny),
        ("Huge", f"More than {HUGE // 1_000_000} megapixels each.", found.huge),
    ):
        yield from _shown(found, title, caption, [[path] for path in paths], single=True)


def _one_of_each_split(found: Scan, paths: list[str]) -> list[str]:
    """The paths with those of different splits in front."""
    first = {found.split_of(path): path for path in reversed(paths)}
    return [*first.values(), *(path for path in paths if path not in first.values())]


def _shown(
    found: Scan, title: str, caption: str, groups: list[list[str]], *, single: bool = False
) -> Iterable[Exhibit]:
    """The exhibit of some groups; nothing where there are none."""
    if not groups:
        return
    chosen = groups[: _SINGLES if single else _GROUPS]
    shown = [([_small(found, path) for path in group[:_MEMBERS]], len(group[_MEMBERS:])) for group in chosen]
    yield Exhibit(title, caption, shown, len(groups) - len(chosen), single)


def _small(found: Scan, path: str) -> Small:
    name = _inside(found, path)
    try:
        pixels = look_at_file(found.names.get(path, path), path).pixels((_SIDE, _SIDE))
    except Unreadable:
        return Small("", name)
    image = Image.fromarray(as_rgb(pixels).permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((_SIDE, _SIDE))
    return Small(jpeg_url(image), name)


def _inside(found: Scan, path: str) -> str:
    """A path without the folder that was scanned."""
    return path[len(found.folder) + 1 :] if path.startswith(f"{found.folder}/") else path


def _histogram(title: str, counts: dict[str, int]) -> dict[str, Any]:
    """Lines of a histogram: name, count, length of its bar in per cent."""
    most = max(counts.values()) or 1
    lines = [(name, f"{count:,}", 100 * count / most) for name, count in counts.items()]
    return {"title": title, "lines": lines[:_BINS], "more": max(0, len(lines) - _BINS)}
