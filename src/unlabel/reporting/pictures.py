"""Pictures inside the page: as data, since the page loads nothing."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from unlabel.reporting.words import title_of

_LARGEST = 2_400  # pixels in width; a wider grid is shrunk
_HEAVY = 1_500_000  # bytes of PNG, beyond which a picture is stored as JPEG

_SHEET = 1_200_000  # bytes of the sheet of all thumbnails, beyond which it is stored with less quality

_TITLES = {
    "views": (
        "The views",
        "What training saw: views of one image stand side by side; a new row or a wider gap begins the next image.",
    ),
    "reconstructions": (
        "Reconstructions",
        "What the method rebuilt from what it was shown; the parts it could not see are its own guess.",
    ),
    "correspondences": (
        "Correspondences",
        "A place of one view, the same place in another view, and the places there that the network takes it for.",
    ),
    "propagation": (
        "Propagation",
        "A place of one view, the same place in another view, and the places of the first that it listens to.",
    ),
    "translations": ("Translations", "Images of the first collection beside their translation into the second."),
    "correlations": (
        "Cross-correlation of two views",
        "Dimension i of one view with dimension j of the other, the first 128 of each: blue is 1, white 0, red -1. "
        "Nothing but the diagonal should be blue.",
    ),
}


@dataclass(frozen=True)
class Picture:
    """id (the figure's anchor is fig-ID), title, caption, alt, url (data), width and height in pixels."""

    id: str
    title: str
    caption: str
    alt: str
    url: str
    width: int
    height: int


def data_url(encoded: bytes, kind: str) -> str:
    """Bytes of a picture as a data: address; kind is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{b64encode(encoded).decode('ascii')}"


def jpeg_url(image: Image.Image) -> str:
    """A small picture as JPEG data."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    return data_url(buffer.getvalue(), "jpeg")


def sheet_url(encoded: bytes, image: Image.Image) -> str:
    """All thumbnails as JPEG data of about a megabyte at most.

    encoded  the sheet as it lies in the run folder, kept as it is where it is small enough;  image  the same, decoded
    """
    for quality in (70, 55, 40, 25, 10):
        if len(encoded) <= _SHEET:
            break
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=quality)  # tiles are whole blocks of 16 pixels: shared chroma cannot bleed
        encoded = buffer.getvalue()
    return data_url(encoded, "jpeg")


def title_and_caption(stem: str, otherwise: str = "What the method drew.") -> tuple[str, str]:
    """What a picture of this name is called, and how it is read (`otherwise` where that is not known)."""
    return _TITLES.get(stem, (title_of(stem), otherwise))


def picture(stem: str, image: Image.Image) -> Picture:
    """The picture artifacts/STEM.png with a human title and caption."""
    title, caption = title_and_caption(stem, "A picture that the method drew at the end of training.")
    if image.width > _LARGEST:
        image = image.resize((_LARGEST, max(1, round(image.height * _LARGEST / image.width))), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    url = data_url(buffer.getvalue(), "png") if buffer.tell() <= _HEAVY else jpeg_url(image)
    # Anything but letters, digits and hyphens would make a poor anchor.
    anchor = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem)
    return Picture(anchor, title, caption, f"{title}: {caption}", url, image.width, image.height)
