"""What the page says and shows of the inside of a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from unlabel.engine.album import NAME, thinned
from unlabel.reporting.files import Sprite
from unlabel.reporting.inside import Look, Sheet, read_inside
from unlabel.reporting.pictures import jpeg_url, title_and_caption
from unlabel.reporting.sheets import SCALE

_SCALE = f"linear-gradient(to right, {', '.join(SCALE)})"
_FEW = 5  # pictures beside each other on a phone

_TITLES = {"attention": "Attention maps", "heat": "Grad-CAM", "colours": "Principal components of places"}
_ALTS = {
    "attention": "Attention, {column}, on {path}",
    "heat": "Grad-CAM on {path}: what makes it like other crops of itself",
    "colours": "First three principal components of the places of {path}, as colours",
}
_CAPTIONS = {
    "heat": (
        "Where an image's vector comes from. Bright places make it more like the mean vector of four other crops of "
        "the same image; dark ones do nothing for that, or work against it. There are no classes here, so what is "
        "differentiated is the cosine of the two. A picture without any bright place says nothing. After Selvaraju et "
        "al. 2017 (Grad-CAM), for embeddings as in Chen et al. 2020."
    ),
    "colours": (
        "What the last layer says of each place: its first three principal components, over all of these images "
        "together, are red, green and blue. Places of one colour are alike to the network, across images too; which "
        "colour it is means nothing. Objects that stand out from their ground, or parts that keep their colour from "
        "image to image, were found without labels. Grey everywhere: all places are alike. After Oquab et al. 2023 "
        "(DINOv2)."
    ),
}


@dataclass(frozen=True)
class Cell:
    """A picture: its data, what it shows, and a word or two below it."""

    url: str
    alt: str
    words: str = ""


@dataclass(frozen=True)
class Figure:
    """Rows of cells: id (the figure's anchor is fig-ID), title, caption; columns beside each other, `few` on a phone.

    scale  a gradient of colours from nothing to most; "" where colours are no amounts
    """

    id: str
    title: str
    caption: str
    rows: list[list[Cell]]
    columns: int
    few: int
    scale: str


@dataclass(frozen=True)
class Moments:
    """What a method drew over time: a row for each image, a column for each moment (its name in `heads`)."""

    id: str
    title: str
    caption: str
    heads: list[str]
    rows: list[list[Cell]]
    least: float  # width of a column, in rem


@dataclass(frozen=True)
class Prototype:
    """One row of the gallery."""

    title: str
    share: str
    cells: list[Cell]


@dataclass(frozen=True)
class Gallery:
    """Prototypes and their images."""

    caption: str
    rows: list[Prototype]


@dataclass(frozen=True)
class InsideSection:
    """All of the section: broad figures, figures side by side, what is absent and why, what could not be read."""

    broad: list[Figure]
    beside: list[Figure]
    moments: list[Moments]
    gallery: Gallery | None
    absent: list[str]
    notes: list[str]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not (self.broad or self.beside or self.moments or self.gallery or self.absent)


def inside_section(folder: Path, sprite: Sprite | None) -> InsideSection:
    """The section of a run whose pictures lie in `folder`; `sprite` holds the thumbnails of evaluated images."""
    look = read_inside(folder)
    facts = look.facts or {}
    figures = {name: _figure(name, sheet, look) for name, sheet in look.sheets.items()}
    notes = list(look.notes)
    said = facts.get("absent")
    absent = [str(sentence) for sentence in said.values()] if isinstance(said, dict) else []
    gallery = None
    if facts.get("prototypes") is not None:
        try:
            gallery = _gallery(facts["prototypes"], sprite)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            notes.append(
                f"The prototypes in artifacts/inside.json are damaged ({type(error).__name__}); `unlabel evaluate` "
                "writes them anew."
            )
        else:
            if gallery is None:
                absent.append("No prototype gallery: it takes the thumbnails in artifacts/, and these are missing.")
    return InsideSection(
        broad=[figure for name, figure in figures.items() if name == "attention"],
        beside=[figure for name, figure in figures.items() if name != "attention"],
        moments=_moments(folder / "over-time", notes),
        gallery=gallery,
        absent=absent,
        notes=notes,
    )


def _figure(name: str, sheet: Sheet, look: Look) -> Figure:
    facts = look.facts or {}
    caption = _CAPTIONS.get(name) or _attention(facts, len(sheet.columns) - 2)
    rows = [
        [
            Cell(jpeg_url(cell), path if j == 0 else _ALTS[name].format(column=column, path=path),
                 column if name == "attention" else "")
            for j, (column, cell) in enumerate(zip(sheet.columns, row, strict=True))
        ]
        for path, row in zip(look.paths, sheet.cells, strict=True)
    ]  # fmt: skip
    count = len(sheet.columns)
    few = count if count <= _FEW else -(-count // 2)
    return Figure(f"inside-{name}", _TITLES[name], caption, rows, count, few, "" if name == "colours" else _SCALE)


def _attention(facts: dict[str, Any], heads: int) -> str:
    asks = (
        "The class token, which becomes the vector of the image, attends"
        if facts.get("asks") == "class token"
        else "The patches, whose mean becomes the vector of the image, attend on average"
    )
    every = facts.get("heads")
    single = "each head" if every == heads else f"the first {heads} of {every} heads"
    return (
        f"Where the last block of the transformer looks. {asks} most to the bright places and least to the dark ones: "
        f"first the mean over all heads, then {single}. Each picture has its own scale, from zero to its largest "
        "value, so one that is bright all over looks everywhere alike. Heads on an object that nobody named are a good "
        "sign. After Caron et al. 2021 (DINO)."
    )


def _gallery(facts: dict[str, Any], sprite: Sprite | None) -> Gallery | None:
    if sprite is None:
        return None
    count, used, images = (int(facts[name]) for name in ("count", "used", "images"))
    rows = []
    for one in facts["most"]:
        cells = [
            Cell(jpeg_url(sprite.crop(int(item["tile"]))), str(item["path"]), f"{float(item['likely']):.2f}")
            for item in one["images"]
            if 0 <= int(item["tile"]) < sprite.count
        ]
        rows.append(Prototype(f"prototype {int(one['number'])}", f"{100 * float(one['share']):.1f} %", cells))
    caption = (
        f"{used:,} of {count:,} prototypes are in use: they are the likeliest one of at least one of {images:,} "
        f"images. Here are the {len(rows)} that most images have, each with its share of the images and, likeliest "
        "first, the images that are most likely its own, with how likely. A prototype worth having shows one kind of "
        "thing; where all rows look alike, or one has all of the images, the prototypes have collapsed. After Caron "
        "et al. 2020 (SwAV) and 2021 (DINO)."
    )
    return Gallery(caption, rows)


def _moments(folder: Path, notes: list[str]) -> list[Moments]:
    """The album of training, by name of what was drawn."""
    found: dict[str, dict[int, tuple[Path, int]]] = {}
    for path in sorted(folder.glob("*.jpg")) if folder.is_dir() else []:
        if match := NAME.fullmatch(path.name):
            found.setdefault(match["name"], {})[int(match["update"])] = path, int(match["images"])
    albums = []
    for name, files in found.items():
        strips: dict[int, list[Image.Image]] = {}
        for update in sorted(thinned(files)):
            path, count = files[update]
            try:
                strips[update] = _strip(path, count)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                notes.append(f"artifacts/over-time/{path.name} cannot be read ({type(error).__name__}).")
        if strips:
            albums.append(_over_time(name, strips))
    return albums


def _strip(path: Path, count: int) -> list[Image.Image]:
    """The pictures that stand side by side in a file."""
    with Image.open(path) as picture:
        strip = picture.convert("RGB")
    if not count or strip.width % count:
        raise ValueError(f"{strip.width} pixels are not {count} pictures")
    width = strip.width // count
    return [strip.crop((i * width, 0, (i + 1) * width, strip.height)) for i in range(count)]


def _over_time(name: str, strips: dict[int, list[Image.Image]]) -> Moments:
    title, caption = title_and_caption(name)
    rows = [
        [
            Cell(jpeg_url(strip[i]), f"{title}, image {i + 1}, after {update:,} updates")
            if i < len(strip)
            else Cell("", "")
            for update, strip in strips.items()
        ]
        for i in range(max(len(strip) for strip in strips.values()))
    ]
    first = next(iter(strips.values()))[0]
    anchor = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    what = "Each row is one image" if len(rows) > 1 else "The same images each time"
    return Moments(
        id=f"over-time-{anchor}",
        title=f"{title} over time",
        caption=f"{caption} {what}, each column one moment of training: how many updates were done. From left to right "
        "there should be progress, and nothing that comes and goes.",
        heads=[f"{update:,}" for update in strips],
        rows=rows,
        least=4.5 * min(3.0, max(1.0, first.width / first.height)),
    )
