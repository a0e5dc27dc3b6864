"""The SQLite file of the bottleneck cache: opened, versioned, shared. The only importer of sqlite3.

Its tables are described in bottleneck_cache/README.md.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from image_retraining.errors import CacheError

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE recipes (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    pixels INTEGER NOT NULL,
    precision TEXT NOT NULL,
    view TEXT NOT NULL,
    UNIQUE (fingerprint, height, width, pixels, precision, view)
);
CREATE TABLE bottlenecks (
    recipe_id INTEGER NOT NULL REFERENCES recipes (id),
    photo BLOB NOT NULL,
    crc INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (recipe_id, photo)
);
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    photo BLOB NOT NULL
) WITHOUT ROWID;
"""
_WAIT_FOR_OTHERS_SECONDS = 60


class CacheFile:
    """A cache file. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Opens a file, making it when there is none.

        Args:
            path: on a local disk; SQLite's locks are not reliable on network folders.

        Raises:
            CacheError: the file is of a newer version, damaged, or not a cache.
        """
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._in_words(), contextlib.ExitStack() as on_failure:
            self._connection = sqlite3.connect(
                path,
                timeout=_WAIT_FOR_OTHERS_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            on_failure.callback(self._connection.close)
            self._prepare()
            on_failure.pop_all()

    def __str__(self) -> str:
        return str(self._path)

    def close(self) -> None:
        """Closes the file; everything committed is on disk already."""
        with self._lock:
            self._connection.close()

    def select(self, query: str, keys: Sequence[bytes], *before: int) -> list[tuple[Any, ...]]:
        """Returns the rows of a query whose `{}` stands for the keys, after other values.

        Raises:
            CacheError: the file cannot be read.
        """
        query = query.format(",".join("?" * len(keys)))
        with self._lock, self._in_words():
            return self._connection.execute(query, [*before, *keys]).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits what the block does, or undoes it when the block raises.

        Raises:
            CacheError: the file cannot be written, or is locked for too long.
        """
        with self._lock, self._in_words(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turns SQLite's errors into ours: full disk, damaged file, a lock held for too long."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise CacheError(
                f"{self._path} must be a bottleneck cache that can be read and written to. "
                f"Got: {error}. If the disk is full, make room or name another --bottleneck_dir; "
                "if the file is damaged, move it away, and a new one is made."
            ) from error

    def _prepare(self) -> None:
        """Makes the tables of a new file; checks the version of an old one."""
        self._check_version()
        self._use_write_ahead_log()
        # With WAL this loses nothing when the process dies, only the last batches with the power.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._check_version() == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _check_version(self) -> int:
        """Returns the version of the file, 0 for a new one, before anything is changed in it."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise CacheError(
                f"{self._path} must be of version {_SCHEMA_VERSION} or older. Got version "
                f"{version}, made by a newer release. Use that release, or another "
                "--bottleneck_dir."
            )
        return int(version)

    def _use_write_ahead_log(self) -> None:
        """Turns WAL on; SQLite's own time-out does not cover two processes that do it at once."""
        deadline = time.monotonic() + _WAIT_FOR_OTHERS_SECONDS
        is_on = False
        while not is_on:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                is_on = True
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
