from base64 import b64decode
from io import BytesIO

import numpy as np
from PIL import Image

from unlabel.reporting.pictures import sheet_url


def encoded(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85, subsampling=0)
    return buffer.getvalue()


def test_a_small_sheet_stays_as_it_is() -> None:
    image = Image.new("RGB", (480, 480), "red")
    assert b64decode(sheet_url(encoded(image), image).partition(",")[2]) == encoded(image)


def test_a_heavy_sheet_is_made_lighter_and_keeps_its_size() -> None:
    """Photographs shrunk to thumbnails hold about as much as smoothed noise does."""
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1080, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((2160, 2160), Image.Resampling.BICUBIC)
    before = encoded(image)
    after = b64decode(sheet_url(before, image).partition(",")[2])
    assert len(after) < 1_200_000 < len(before)
    with Image.open(BytesIO(after)) as found:
        assert found.size == image.size
