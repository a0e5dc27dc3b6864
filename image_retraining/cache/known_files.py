"""Which digest the photo files had when they were read, so that they need not be read again."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from image_retraining.cache.database import CacheFile, Database, chunks, execute_in

# A file changed as lately as this may change again without its time stamp showing it.
_SETTLED_AFTER_NS = 2_000_000_000


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
        status = os.stat(path)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return cls(status.st_size, *times, status.st_ino, time.time_ns())

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
    """

    path: str
    state: FileState
    contents: bytes = field(repr=False)
    digest: bytes

    @classmethod
    def read(cls, path: str, reader: Callable[[str], bytes]) -> Self:
        """Returns a file with what is read from it now.

        Args:
            path: the file.
            reader: gives its bytes.

        Raises:
            OSError: it cannot be read.
        """
        state = FileState.of(path)
        contents = reader(path)
        return cls(path, state, contents, hashlib.sha256(contents).digest())


class PhotoFiles:
    """The photo files that a cache file knows."""

    def __init__(self, file: CacheFile) -> None:
        """Takes the file that keeps them."""
        self._file = file

    def known(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Returns path → SHA-256 for the files that have not changed since they were remembered."""
        known = {}
        keys = {path: _path_key(path) for path in paths}
        rows = self._file.read(lambda database: _rows(database, keys.values()))
        remembered = {key: (FileState(*state), digest) for key, *state, digest in rows}
        for path, key in keys.items():
            if key in remembered:
                state, digest = remembered[key]
                # In a damaged file a value may even be of another type.
                if isinstance(digest, bytes) and _has_state(path, state):
                    known[path] = digest
        return known

    def remember(self, files: Iterable[PhotoFile]) -> None:
        """Keeps the digests of files, in one transaction."""
        rows = [
            (
                _path_key(file.path),
                *(file.state.size, file.state.mtime_ns, file.state.ctime_ns, file.state.inode),
                file.digest,
            )
            for file in files
            if file.state.settled
        ]
        if rows:
            self._file.write(
                lambda database: database.executemany(
                    "REPLACE INTO files (path, size, mtime_ns, ctime_ns, inode, photo) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )
            )


def _rows(database: Database, keys: Iterable[bytes]) -> list[tuple[Any, ...]]:
    query = "SELECT path, size, mtime_ns, ctime_ns, inode, photo FROM files WHERE path IN ({})"
    return [row for some in chunks(keys) for row in execute_in(database, query, some)]


def _path_key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _has_state(path: str, state: FileState) -> bool:
    try:
        return FileState.of(path) == state
    except OSError:
        return False
