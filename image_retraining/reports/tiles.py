"""Many small pictures → one, row by row."""

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_GAP, _BETWEEN = 2, 255


def squared(jpeg: bytes, side: int) -> Image.Image:
    """Returns a picture of at most `side` pixels a side in the middle of a square; b"" is blank."""
    square = Image.new("RGB", (side, side), (_BETWEEN,) * 3)
    if jpeg:
        with Image.open(io.BytesIO(jpeg)) as small:
            square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def tiled(
    pictures: Sequence[Pixels], *, least_side: int, across: int = 0
) -> tuple[bytes, tuple[int, int]]:
    """Returns a PNG, and its width and height in pixels.

    Args:
        pictures: at least one, uint8 [h, w, 3], RGB, of one size.
        least_side: what is lower or narrower is enlarged, a pixel to a square of pixels.
        across: how many beside each other; 0 for as many as below.
    """
    height, width = pictures[0].shape[:2]
    times = max(1, math.ceil(least_side / min(height, width)))
    across = across or math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    high, wide = height * times + _GAP, width * times + _GAP
    sheet = np.full([down * high + _GAP, across * wide + _GAP, 3], _BETWEEN, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // across * high + _GAP, place % across * wide + _GAP
        large = picture.repeat(times, axis=0).repeat(times, axis=1)
        sheet[top : top + height * times, left : left + width * times] = large
    buffer = io.BytesIO()
    image = Image.fromarray(sheet)
    image.save(buffer, "PNG")
    return buffer.getvalue(), image.size
