"""A photo's file, opened: on a disk or, with an address, in a store."""

import os
from typing import BinaryIO

from image_retraining.foundation import remote


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Returns a file opened for reading.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(path, str) and remote.is_remote(path):
        return remote.opened(path)
    try:
        return open(path, "rb")
    except ValueError as error:
        # A NUL in the name, or what is no character of names.
        raise OSError(f"no file can have such a name: {error}") from error
