"""Photo files → small pictures of them, for pages that people look at."""

import io

from PIL import Image, ImageOps

from image_retraining.photos import pillow, reading

_QUALITY = 78


def thumbnail(path: str, side: int, *, upright: bool) -> Image.Image:
    """Returns a picture of a photo in RGB, at most so many pixels a side, never enlarged.

    Args:
        path: the photo.
        side: its longer side, in pixels.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        OSError: it cannot be read, or is no picture.
    """
    contents = reading.read(path)
    try:
        with pillow.opened(contents) as picture:
            # Of JPEG only as many details are decoded as are seen.
            picture.draft("RGB", (side, side))
            turned = ImageOps.exif_transpose(picture) if upright else picture
            small = pillow.on_white(turned)
    except pillow.UNREADABLE as error:
        raise OSError(str(error)) from error
    small.thumbnail((side, side), reducing_gap=2.0)
    return small


def as_jpeg(picture: Image.Image) -> bytes:
    """Returns the file of a picture in RGB."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
