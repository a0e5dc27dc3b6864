"""Which digest the photo files had when they were read, so that they need not be read again."""

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from image_retraining.cache.database import CacheFile, Database, chunks, execute_in
from image_retraining.foundation import remote

# A file changed as lately as this may change again without its time stamp showing it.
_SETTLED_AFTER_NS = 2_000_000_000
# SQLite's integers go from -_HALF to _HALF - 1.
_HALF = 2**63


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells a changed file from an unchanged one without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    # A folder that is renamed leaves the times of its files; another file has another number.
    inode: int
    # When the state was taken.
    taken_ns: int = field(default=0, compare=False)

    @classmethod
    def of(cls, path: str) -> Self:
        """Returns the present state of a file.

        Raises:
            OSError: there is no such file, or it cannot be asked about.
        """
        if remote.is_remote(path):
            size, version = remote.size_and_version(path)
            return cls(size, 0, 0, version, time.time_ns())
        status = os.stat(path)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return cls(status.st_size, *times, status.st_ino, time.time_ns())

    @property
    def kept(self) -> tuple[int, ...]:
        """What SQLite can keep of it: size, times and inode, folded into 64 bits with a sign.

        mergerfs numbers files beyond them, and what Windows gave no date is of 1601, which in
        nanoseconds is beyond them, too.
        """
        values = (self.size, self.mtime_ns, self.ctime_ns, self.inode)
        return tuple((value + _HALF) % (2 * _HALF) - _HALF for value in values)

    @property
    def settled(self) -> bool:
        """Whether the last change was so long ago that another would show."""
        return self.taken_ns - max(self.mtime_ns, self.ctime_ns) > _SETTLED_AFTER_NS


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo file that was read.

    Attributes:
        path: the file.
        state: its state before it was read.
        contents: its bytes.
        digest: their SHA-256.
        preparation: what has to be done to it before it is looked at, in words; '' is nothing.
    """

    path: str
    state: FileState
    contents: bytes = field(repr=False)
    digest: bytes
    preparation: str

    @classmethod
    def read(cls, path: str, reader: Callable[[str], bytes], judge: Callable[[bytes], str]) -> Self:
        """Returns a file with what is read from it now.

        Args:
            path: the file.
            reader: gives its bytes.
            judge: says what has to be done to a file of such bytes.

        Raises:
            OSError: it cannot be read.
        """
        state = FileState.of(path)
        contents = reader(path)
        digest = hashlib.sha256(contents).digest()
        return cls(path, state, contents, digest, judge(contents))


class KnownFiles(Protocol):
    """The files that need not be read again, as PhotoFiles knows them."""

    def known(self, paths: Sequence[str]) -> dict[str, tuple[bytes, str]]:
        """Returns path → SHA-256 and preparation of the files that have not changed since."""

    def remember(self, files: Iterable[PhotoFile]) -> None:
        """Keeps the digests of files."""


class PhotoFiles:
    """The photo files that a cache file knows."""

    def __init__(self, file: CacheFile) -> None:
        """Takes the file that keeps them."""
        self._file = file

    def known(self, paths: Sequence[str]) -> dict[str, tuple[bytes, str]]:
        """Returns path → SHA-256 and preparation of the files that have not changed since."""
        known = {}
        keys = {path: _path_key(path) for path in paths}
        rows = self._file.read(lambda database: _rows(database, keys.values()))
        remembered = {key: (tuple(row[:-2]), *row[-2:]) for key, *row in rows}
        for path, key in keys.items():
            if key in remembered:
                kept, digest, sealed = remembered[key]
                preparation = _unsealed(digest, sealed)
                if preparation is not None and present(path) == kept:
                    known[path] = (digest, preparation)
        return known

    def remember(self, files: Iterable[PhotoFile]) -> None:
        """Keeps the digests of files, in one transaction."""
        rows = [
            (
                _path_key(file.path),
                *file.state.kept,
                *(file.digest, _sealed(file.digest, file.preparation)),
            )
            for file in files
            if file.state.settled
        ]
        if rows:
            self._file.write(
                lambda database: database.executemany(
                    "REPLACE INTO files "
                    "(path, size, mtime_ns, ctime_ns, inode, photo, preparation) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
            )


def _rows(database: Database, keys: Iterable[bytes]) -> list[tuple[Any, ...]]:
    query = (
        "SELECT path, size, mtime_ns, ctime_ns, inode, photo, preparation FROM files "
        "WHERE path IN ({})"
    )
    return [row for some in chunks(keys) for row in execute_in(database, query, some)]


def _sealed(digest: bytes, preparation: str) -> str:
    """Returns what is kept of a preparation: with a checksum, for another one is another photo."""
    return f"{preparation};{zlib.crc32(preparation.encode(), zlib.crc32(digest)):08x}"


def _unsealed(digest: object, sealed: object) -> str | None:
    """Returns the preparation of a file; None where it is not kept, or damaged."""
    # In a damaged file a value may even be of another type.
    if not (isinstance(digest, bytes) and isinstance(sealed, str)):
        return None
    preparation = sealed.rpartition(";")[0]
    return preparation if sealed == _sealed(digest, preparation) else None


def _path_key(path: str) -> bytes:
    return os.fsencode(path if remote.is_remote(path) else os.path.abspath(path))


def present(path: str) -> tuple[int, ...] | None:
    """Returns what would be kept of the present state of a file; None if it cannot be told."""
    try:
        return FileState.of(path).kept
    except OSError:
        return None
