"""Photos as Python programs give them: files, folders, pictures of Pillow, arrays."""

import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from image_retraining.foundation.errors import PhotoError, SettingError, short_line
from image_retraining.foundation.python_settings import plain
from image_retraining.foundation.text import shown
from image_retraining.photos.folder import photos_below
from image_retraining.photos.pictures import of_picture

# A file, a folder, a picture of Pillow, or an array: uint8 [h, w, 3], RGB, or float of 0 to 1.
Photo: TypeAlias = Any

_CHANNELS = 3
# Of what is no photo this much is told.
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80
_EMPTY_NAME = "its name is empty"


@dataclass(frozen=True, slots=True)
class GivenPhoto:
    """What a program gave for one photo, or for those of a folder.

    Attributes:
        path: the file or folder; '' of a photo in memory.
        files: the photo files there; () of a photo in memory.
        pixels: of a photo in memory, uint8 or float32 [h, w, 3]; else None.
        error: why there is neither, else ''.
    """

    path: str = ""
    files: tuple[str, ...] = ()
    pixels: Any = None
    error: str = ""


def each_of(photos: Photo | Iterable[Photo]) -> list[Photo]:
    """Returns the photos and folders that are given, where one may stand for itself."""
    # An array of names, or of several photos, has another number of axes.
    is_array = getattr(photos, "ndim", 1) in (0, 2, 3)
    is_bytes = isinstance(photos, bytes | bytearray)
    if _is_path(photos) or _is_picture(photos) or is_array or is_bytes:
        return [photos]
    try:
        several = iter(photos)
    except TypeError:
        return [photos]
    return list(several)


def given_photo(photo: Photo, *, upright: bool) -> GivenPhoto:
    """Returns what a program gave; the files themselves are not read yet.

    Args:
        photo: what it gave.
        upright: whether a picture is turned as its EXIF orientation says.

    Raises:
        SettingError: it is no photo.
    """
    path = plain(photo) if _is_path(photo) else None
    if not isinstance(path, str):
        try:
            return GivenPhoto(pixels=_pixels_of(photo, upright=upright))
        except OSError as error:
            return GivenPhoto(error=error.strerror or str(error))
    if not path:
        return GivenPhoto(error=_EMPTY_NAME)
    if not os.path.isdir(path):
        return GivenPhoto(path, (path,))
    try:
        files = tuple(photos_below(path))
    except PhotoError as error:
        return GivenPhoto(path, error=str(error).rstrip("."))
    return GivenPhoto(path, files, error="" if files else "the folder has no photos")


def in_full(photo: Photo, *, upright: bool) -> Any:
    """Returns uint8 or float32 [h, w, 3] of a photo in its own size.

    Args:
        photo: a file, a picture or an array.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        PhotoError: it cannot be read.
        SettingError: it is no photo.
    """
    import tensorflow as tf  # noqa: PLC0415 - takes seconds

    from image_retraining.photos import pixels, reading  # noqa: PLC0415

    path = plain(photo) if _is_path(photo) else None
    if not path or not isinstance(path, str):
        given = given_photo(photo, upright=upright)
        if given.error:
            raise PhotoError(f"The picture cannot be read: {given.error}.")
        return given.pixels
    try:
        ready = reading.read_prepared(path, upright=upright)
        return pixels.in_full(ready.contents, ready.orientation)
    except (OSError, UnicodeDecodeError, tf.errors.InvalidArgumentError) as error:
        reason = reading.why_left_out(path)
        raise PhotoError(f"{shown(path)} cannot be read: {reason}.") from error


def _is_path(photo: Photo) -> bool:
    return isinstance(photo, str | os.PathLike)


def _is_picture(photo: Photo) -> bool:
    return hasattr(photo, "convert") and hasattr(photo, "getbands")


def _pixels_of(photo: Photo, *, upright: bool) -> Any:
    """Returns uint8 or float32 [h, w, 3] of a picture of Pillow or an array.

    Raises:
        OSError: a picture cannot be read.
        SettingError: it is neither.
    """
    array = of_picture(photo, upright=upright) if _is_picture(photo) else _array(photo)
    is_rgb = array.ndim == _CHANNELS and array.shape[-1] == _CHANNELS and array.size > 0
    if is_rgb and array.dtype == np.uint8:
        return array
    if is_rgb and array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:
        return array.astype(np.float32)
    raise _no_photo(_described(photo, array))


def _array(photo: Photo) -> Any:
    try:
        return np.asarray(photo)
    # Lists of unequal lengths, and arrays of other libraries that NumPy cannot take over.
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_photo(f"{_short(photo)}, which is no array: {short_line(error)[:-1]}") from error


def _no_photo(got: str) -> SettingError:
    return SettingError(
        "A photo must be a file, a picture of Pillow, or an array [h, w, 3], RGB, uint8 or float "
        f"of 0 to 1. Got {got}."
    )


def _short(photo: Photo) -> str:
    return shown(" ".join(_brief.repr(photo).split()))


def _described(photo: Photo, array: Any) -> str:
    if array.dtype.kind not in "iufb" or isinstance(photo, bytes | bytearray):
        return _short(photo)
    extent = f", {array.min():g} to {array.max():g}" if array.size else ""
    return f"{array.dtype} {list(array.shape)}{extent}"
