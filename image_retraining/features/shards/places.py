"""Files of a folder that the workers see as well, which appear whole or not at all."""

import os
from pathlib import Path

from image_retraining.foundation import remote
from image_retraining.foundation.errors import unwritable
from image_retraining.foundation.files import replacing


def read(place: str) -> bytes:
    """Returns the bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with remote.opened(place) if remote.is_remote(place) else open(place, "rb") as file:
        return file.read()


def write(place: str, contents: bytes) -> None:
    """Puts a file there, in the place of any other.

    Raises:
        OutputError: it cannot be written.
    """
    if not remote.is_remote(place):
        with replacing(place) as beside:
            beside.write_bytes(contents)
        return
    try:
        remote.write(place, contents)
    except OSError as error:
        raise unwritable(place, error) from error


def names(folder: str) -> list[str]:
    """Returns the names of what lies in a folder, sorted; none of one that is not there.

    Raises:
        OSError: it cannot be read.
    """
    try:
        if remote.is_remote(folder):
            return sorted(entry.name for entry in remote.entries(folder))
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def remove(place: str) -> None:
    """Removes a file, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    if remote.is_remote(place):
        remote.remove(place)
    else:
        Path(place).unlink(missing_ok=True)
