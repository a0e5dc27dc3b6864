"""Folders and files that have an address, as s3://bucket/photos: by fsspec, as if they lay here.

fsspec knows most stores (https://filesystem-spec.readthedocs.io); some need a package of their own,
which it names.
"""

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from image_retraining.foundation.errors import ClusterError, SettingError, short_line

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
# What stores tell of a file that it has from being written; they tell too when it was asked for.
_OF_A_VERSION = frozenset(
    (
        "created",
        "etag",
        "generation",
        "last_modified",
        "lastmodified",
        "md5hash",
        "mtime",
        "updated",
    )
)


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """What lies in a folder with an address; it can be asked what an os.DirEntry can.

    Attributes:
        name: without its folder.
        path: its address.
        is_in_folders: whether it is a folder.
    """

    name: str
    path: str
    is_in_folders: bool

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002 - there are no links
        """Returns whether it is a folder."""
        return self.is_in_folders

    def is_file(self) -> bool:
        """Returns whether it is a file."""
        return not self.is_in_folders

    def is_symlink(self) -> bool:
        """Returns False: there are no links."""
        return False


def is_remote(path: object) -> bool:
    """Returns whether a path is an address."""
    return isinstance(path, str) and _ADDRESS.match(path) is not None


def is_folder(address: str) -> bool:
    """Returns whether a folder lies there."""
    with _as_os_error(address):
        store, path = _opened(address)
        return bool(store.isdir(path))


def entries(address: str) -> Iterator[RemoteEntry]:
    """Yields what lies in a folder.

    Raises:
        OSError: it cannot be read.
    """
    with _as_os_error(address):
        store, path = _opened(address)
        listed = store.ls(path, detail=True)
    for one in listed:
        place = str(one["name"]).rstrip("/")
        name = place.rpartition("/")[2]
        # Stores of objects may keep an empty one to say that there is a folder.
        if place != path.rstrip("/") and name:
            is_in_folders = one["type"] == "directory"
            yield RemoteEntry(name, f"{address.rstrip('/')}/{name}", is_in_folders)


def opened(address: str) -> BinaryIO:
    """Returns a file opened for reading.

    Raises:
        OSError: it cannot be read.
    """
    with _as_os_error(address):
        store, path = _opened(address)
        file: BinaryIO = store.open(path, "rb")
        return file


def size_and_version(address: str) -> tuple[int, int]:
    """Returns the bytes of a file, and a number of 63 bits that another version of it changes.

    Raises:
        OSError: there is no such file.
    """
    with _as_os_error(address):
        store, path = _opened(address)
        told = store.info(path)
    about = [(key, str(told[key])) for key in sorted(told) if key.lower() in _OF_A_VERSION]
    digest = hashlib.sha256(repr((told["size"], about)).encode()).digest()
    return int(told["size"]), int.from_bytes(digest[:8], "big") >> 1


def write(address: str, contents: bytes) -> None:
    """Puts a file there, which stores of objects show whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with _as_os_error(address):
        store, path = _opened(address)
        store.makedirs(path.rpartition("/")[0], exist_ok=True)
        store.pipe_file(path, contents)


def remove(address: str) -> None:
    """Removes a file, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    with _as_os_error(address):
        store, path = _opened(address)
        if store.exists(path):
            store.rm_file(path)


def _opened(address: str) -> tuple[Any, str]:
    """Returns the store of an address, which is kept for the next time, and the path in it."""
    try:
        import fsspec  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ClusterError.not_installed("fsspec") from error
    try:
        store, path = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise SettingError(f"{address} cannot be opened: {short_line(error)}") from error
    return store, path


@contextlib.contextmanager
def _as_os_error(address: str) -> Iterator[None]:
    """Gives errors of stores the words that those of a disk have."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), address) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, short_line(error).rstrip("."), address) from error
