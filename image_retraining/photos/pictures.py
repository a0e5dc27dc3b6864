"""Picture of Pillow → pixels, those that `pixels` makes of the same file.

JPEGs are decoded by Pillow's own library, which rounds otherwise; all else is equal bit for bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.errors import SettingError, first_line
from image_retraining.photos import pillow
from image_retraining.photos.turning import turned

# Of 8 bits a channel, or of 1; and those of 16 bits, which are greys.
_MODES_OF_8_BITS = frozenset(
    "1 CMYK HSV L LA LAB La P PA RGB RGBA RGBX RGBa YCbCr".split()  # noqa: SIM905 - one line
)
_MODES_OF_16_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_RGB = 3


def of_picture(picture: Any, *, upright: bool) -> npt.NDArray[np.uint8]:
    """Returns uint8 [h, w, 3], RGB, of a picture of Pillow, in its own size.

    Args:
        picture: of any mode of 8 or 16 bits.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        OSError: it cannot be read: its file is cut short, damaged or closed.
        SettingError: nobody knows which of its values is white.
    """
    mode = picture.mode
    if mode not in _MODES_OF_8_BITS | _MODES_OF_16_BITS:
        raise SettingError(
            "A picture of Pillow must have 8 or 16 bits a channel, so that it is known which value "
            f"is white. Got one of mode {mode}. Scale its values, and give an array of RGB, uint8 "
            "or float of 0 to 1."
        )
    _load(picture)
    seen = _pixels(picture)
    return turned(seen, pillow.orientation_of(picture)) if upright else seen


def _pixels(picture: Any) -> npt.NDArray[np.uint8]:
    mode = picture.mode
    if mode in _MODES_OF_16_BITS:
        # As libpng drops the low byte.
        greys = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(greys[..., np.newaxis], _RGB, axis=-1)
    if mode == "CMYK":
        # As TensorFlow has it, where Pillow rounds up.
        inks = np.asarray(picture, np.int32)
        return ((255 - inks[..., :_RGB]) * (255 - inks[..., _RGB:]) // 255).astype(np.uint8)
    if pillow.is_transparent(picture):
        return np.asarray(pillow.on_white(picture))
    return _converted(picture)


def _load(picture: Any) -> None:
    # Pillow asserts that a file is open which has not been read yet.
    if getattr(picture, "tile", ()) and getattr(picture, "fp", None) is None:
        raise OSError("the picture was closed before it was read")
    try:
        picture.load()
    except (SyntaxError, ValueError) as error:
        raise OSError(first_line(error)) from error


def _converted(picture: Any) -> npt.NDArray[np.uint8]:
    """Returns uint8 [h, w, 3]: the colours, as they are below any transparency."""
    if picture.mode == "La":
        picture = picture.convert("LA")
    # Of a palette with transparency Pillow warns, unless it may keep it.
    wanted = "RGBA" if picture.mode in ("P", "PA") else "RGB"
    return np.asarray(picture.convert(wanted))[..., :_RGB]
