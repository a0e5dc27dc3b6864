"""Photos as Python programs give them: files, folders, pictures of Pillow, arrays."""

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.foundation.python_settings import plain
from image_retraining.foundation.text import shown
from image_retraining.photos.folder import photos_below
from image_retraining.photos.pictures import of_picture

# A file, a folder, a picture of Pillow, or an array: uint8 [h, w, 3], RGB, or float of 0 to 1.
Photo: TypeAlias = Any

_CHANNELS = 3


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


def is_one(photos: Any) -> bool:
    """Whether it is one photo, or one folder, and not several."""
    # An array of names, or of several photos, has another number of axes.
    return _is_path(photos) or _is_picture(photos) or getattr(photos, "ndim", 0) in (2, 3)


def given_photo(photo: Photo, *, upright: bool) -> GivenPhoto:
    """Returns what a program gave; the files themselves are not read yet.

    Args:
        photo: what it gave.
        upright: whether a picture is turned as its EXIF orientation says.

    Raises:
        SettingError: it is no photo.
    """
    if not _is_path(photo):
        try:
            return GivenPhoto(pixels=_pixels_of(photo, upright=upright))
        except OSError as error:
            return GivenPhoto(error=error.strerror or str(error))
    path = plain(photo)
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

    if not _is_path(photo):
        given = given_photo(photo, upright=upright)
        if given.error:
            raise PhotoError(f"The picture cannot be read: {given.error}.")
        return given.pixels
    path = plain(photo)
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
    array = of_picture(photo, upright=upright) if _is_picture(photo) else np.asarray(photo)
    is_rgb = array.ndim == _CHANNELS and array.shape[-1] == _CHANNELS and array.size > 0
    if is_rgb and array.dtype == np.uint8:
        return array
    if is_rgb and array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:
        return array.astype(np.float32)
    raise SettingError(
        "A photo must be a file, a picture of Pillow, or an array [h, w, 3], RGB, uint8 or float "
        f"of 0 to 1. Got {_described(photo, array)}."
    )


def _described(photo: Photo, array: Any) -> str:
    if array.dtype.kind not in "iufb":
        return repr(photo)
    extent = f", {array.min():g} to {array.max():g}" if array.size else ""
    return f"{array.dtype} {list(array.shape)}{extent}"
