"""Photo files → bytes to decode, or in one line why they cannot be."""

import os

from image_retraining.photos.damage import Damage, damage_of
from image_retraining.photos.decoding_room import check_room_for
from image_retraining.photos.header import check_enough_bytes, check_pixel_count, pixel_count
from image_retraining.photos.opening import opened
from image_retraining.photos.pixels import why_unreadable
from image_retraining.photos.preparation import Preparation, Prepared, prepared

# Bytes; photos beyond would take the machine's memory.
_LARGEST_FILE = 500_000_000
# TensorFlow decodes these as well, of any size, and damaged ones may end the run.
_JPEG_XL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")


def read(path: str | os.PathLike[str]) -> bytes:
    """Returns the bytes of a photo file.

    Raises:
        OSError: it cannot be read, is of no kind that is read, or decoding it would take the
            machine's memory.
    """
    with opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size > _LARGEST_FILE:
            raise OSError(f"the file has {size / 1e6:.0f} MB, more than {_LARGEST_FILE / 1e6:.0f}")
        file.seek(0)
        contents = file.read()
    if contents.startswith(_JPEG_XL_STARTS):
        raise OSError("the photo is a JPEG XL; convert it to JPEG")
    count = pixel_count(contents)
    check_pixel_count(count)
    check_enough_bytes(contents, count)
    return contents


def read_prepared(path: str | os.PathLike[str], *, upright: bool) -> Prepared:
    """Returns a photo file ready to be decoded.

    Args:
        path: the file.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        OSError: as for `read`, or Pillow cannot decode what TensorFlow does not.
    """
    contents = read(path)
    return prepared(contents, Preparation.of(contents).wanted(upright=upright))


def why_left_out(path: str | os.PathLike[str]) -> str:
    """Returns in one line why a photo file could not be decoded, by trying once more."""
    try:
        contents = read_prepared(path, upright=False).contents
        check_room_for(contents)
        reason = why_unreadable(contents)
    except OSError as error:
        return error.strerror or str(error)
    return reason or "decoding it failed, and a second try did not; run again"


def damage_in(path: str | os.PathLike[str]) -> Damage | None:
    """Returns what is wrong with a photo file that can be decoded; None if nothing."""
    try:
        return damage_of(read(path))
    except OSError:
        return None
