"""What Pillow is asked about photos: what it makes of a file, how it lies, what shines through."""

import contextlib
import functools
import importlib
import importlib.util
import io
import struct
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from image_retraining.photos.decoding_room import check_room
from image_retraining.photos.file_kinds import kind_of_contents
from image_retraining.photos.header import check_pixel_count
from image_retraining.photos.hints import is_heic

_OPAQUE = 255
# What is done about warnings is done to the whole process.
_one_at_a_time = threading.Lock()
# What Pillow raises at files that are damaged in one way or another.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)


@contextlib.contextmanager
def opened(contents: bytes) -> Iterator[Image.Image]:
    """Gives a picture whose pixels have not been decoded yet.

    Raises:
        OSError: it is none, or too large, or there is no memory for it.
    """
    with _one_at_a_time, warnings.catch_warnings():
        # Of damaged data, which ends in an error where it matters, and of large pictures.
        warnings.simplefilter("ignore")
        if is_heic(contents):
            _knows_heic()
        with Image.open(io.BytesIO(contents)) as picture:
            count = picture.width * picture.height
            check_pixel_count(count)
            check_room(count)
            yield picture


def on_white(picture: Image.Image) -> Image.Image:
    """Returns a picture in RGB, where it is transparent on white."""
    if not _has_alpha(picture):
        return picture.convert("RGB")
    over = with_alpha(picture)
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")


def is_transparent(picture: Image.Image) -> bool:
    """Whether something shines through a picture."""
    if not _has_alpha(picture):
        return False
    return bool(np.asarray(with_alpha(picture).getchannel("A")).min() < _OPAQUE)


def with_alpha(picture: Image.Image) -> Image.Image:
    """Returns a picture in RGBA."""
    # Of greys whose light is less already Pillow makes nothing else.
    return (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")


def orientation_of(picture: Image.Image) -> int:
    """Returns how the camera held a picture, as EXIF has it; 1 where nothing sensible is said."""
    try:
        said = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return 1
    return said if said in range(1, 9) else 1


def why_unknown(contents: bytes) -> str:
    """Returns in one line why Pillow does not know a file."""
    if is_heic(contents) and not _knows_heic():
        return (
            "the photo is a HEIC, which needs the package pillow-heif (pip install -r "
            "requirements-heic.txt, or the package's extra heic); or convert it to JPEG"
        )
    kind = kind_of_contents(contents)
    begins = f"it begins as a {kind.name} file does, but " if kind else ""
    return f"{begins}Pillow cannot tell what it is"


@functools.cache
def _knows_heic() -> bool:
    """Whether Pillow reads HEIC, which it learns here if the package for it is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def _has_alpha(picture: Image.Image) -> bool:
    # Of greys of 16 bits Pillow makes nothing with alpha.
    if picture.mode.startswith("I"):
        return False
    return bool({"A", "a"} & {*picture.getbands()}) or "transparency" in picture.info
