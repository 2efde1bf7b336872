"""A query and its nearest images on one labelled sheet."""

import textwrap
from collections.abc import Sequence
from pathlib import PurePath

from PIL import Image, ImageDraw, ImageFont

_CELL, _GAP, _TEXT = 144, 14, 40  # side of a picture, space between, room for two lines below
_PAPER, _INK, _SOFT, _FRAME, _ACCENT = "#fbfaf7", "#1d2129", "#5b6472", "#d9d5cc", "#2f5fd0"


def neighbours_picture(
    query: Image.Image, neighbours: Sequence[tuple[Image.Image, float, str]], *, columns: int = 5
) -> Image.Image:
    """A contact sheet: the query, framed, in a column of its own; its neighbours in rows, nearest first.

    query       the picture that was asked about
    neighbours  (picture, distance, path), in the order in which they are to be shown
    columns     neighbours in one row
    Returns an RGB picture; below each neighbour stand its distance and the end of its name.
    """
    columns = max(1, min(columns, len(neighbours)))
    rows = max(1, -(-len(neighbours) // columns))
    step = _CELL + _GAP
    width = _GAP + step + _GAP + columns * step  # an extra gap sets the query apart
    sheet = Image.new("RGB", (width, _GAP + rows * (step + _TEXT)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _place(sheet, draw, query, (_GAP, _GAP), _ACCENT, ("query", ""))
    for i, (picture, distance, path) in enumerate(neighbours):
        corner = (2 * _GAP + step + (i % columns) * step, _GAP + (i // columns) * (step + _TEXT))
        _place(sheet, draw, picture, corner, _FRAME, (f"{i + 1}.  distance {distance:.3f}", PurePath(path).name))
    return sheet


def text_card(text: str) -> Image.Image:
    """A query in words, as a picture to set beside what it found."""
    card = Image.new("RGB", (_CELL, _CELL), _PAPER)
    lines = textwrap.wrap("".join(letter if letter.isprintable() else "?" for letter in text), 18) or [""]
    ImageDraw.Draw(card).multiline_text((10, 10), "\n".join(lines[:7]), fill=_INK, font=ImageFont.load_default(13))
    return card


def _place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    picture: Image.Image,
    corner: tuple[int, int],
    frame: str,
    lines: tuple[str, str],
) -> None:
    left, top = corner
    scale = _CELL / max(picture.size)
    enlarged = Image.Resampling.NEAREST if scale >= 3 else Image.Resampling.BICUBIC  # tiny pictures keep their pixels
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.convert("RGB").resize(size, enlarged)
    sheet.paste(fitted, (left + (_CELL - size[0]) // 2, top + (_CELL - size[1]) // 2))
    thick = 3 if frame == _ACCENT else 1
    draw.rectangle(
        (left - thick, top - thick, left + _CELL + thick - 1, top + _CELL + thick - 1), outline=frame, width=thick
    )
    font = ImageFont.load_default(13)
    for line, (text, colour) in enumerate(zip(lines, (_INK, _SOFT), strict=True)):
        draw.text((left, top + _CELL + 5 + 16 * line), _fitting(text, font), fill=colour, font=font)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, its middle left out where it is wider than a cell; line breaks and the like shown as `?`."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    shown, keep = text, len(text)
    while font.getlength(shown) > _CELL and keep > 2:
        keep -= 1
        shown = text[: keep // 2] + "…" + text[len(text) - (keep - keep // 2) :]
    return shown
