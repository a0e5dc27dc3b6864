"""The SQLite file of the bottleneck cache: opened, versioned, shared. The only importer of sqlite3.

Its tables are described in docs/cache.md. A file that turns out to be damaged is set
aside under another name, never removed, and a new one takes its place.
"""

import contextlib
import itertools
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from absl import logging

from image_retraining.cache.schema import SCHEMA_SCRIPTS, SCHEMA_VERSION, TABLES, checksum
from image_retraining.foundation.errors import CacheError

_Result = TypeVar("_Result")

# An open database, as `read` and `write` hand it out.
Database = sqlite3.Connection

# SQLite takes 32766 values a statement; a few hundred are as fast and keep memory flat.
_KEYS_A_QUERY = 500
_WAIT_FOR_OTHERS_SECONDS = 60
# SQLite's name for a database that is no file.
_IN_MEMORY = ":memory:"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class _ForeignFileError(sqlite3.DatabaseError):
    """The file is a database, but not of ours."""


class CacheFile:
    """A cache file. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None) -> None:
        """Opens a file, making it when there is none.

        Args:
            path: on a local disk; SQLite's locks are not reliable on network folders. None keeps
                everything in memory.

        Raises:
            CacheError: the file is of a newer version, or cannot be opened.
        """
        self._path = path or Path(_IN_MEMORY)
        self._lock = threading.Lock()
        with self._in_words():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connect_to_sound_file()

    def __str__(self) -> str:
        return str(self._path)

    @property
    def size(self) -> int:
        """Bytes on disk, with the write-ahead log."""
        beside = (Path(f"{self._path}{ending}") for ending in ("", "-wal"))
        return sum(path.stat().st_size for path in beside if path.exists())

    def close(self) -> None:
        """Closes the file; everything committed is on disk already."""
        with self._lock:
            self._connection.close()

    def read(self, work: Callable[[Database], _Result]) -> _Result:
        """Returns what `work` makes of the open database; it may be called twice.

        Raises:
            CacheError: the file cannot be read.
        """
        return self._do(work)

    def write(self, work: Callable[[Database], _Result]) -> _Result:
        """Returns the same, and commits what `work` changes, or undoes it when it raises.

        Raises:
            CacheError: the file cannot be written, or is locked for too long.
        """

        def commit(database: Database) -> _Result:
            with database:
                database.execute("BEGIN IMMEDIATE")
                return work(database)

        return self._do(commit)

    def give_back_space(self) -> None:
        """Hands what deleted rows took back to the file system.

        Raises:
            CacheError: another process uses the file, or there is too little room to copy it.
        """
        self._do(lambda database: database.execute("VACUUM"))
        self._do(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    def _do(self, work: Callable[[Database], _Result]) -> _Result:
        with self._lock, self._in_words():
            try:
                return work(self._connection)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                self._connection.close()
                self._set_aside(error)
                self._connect_to_sound_file()
                return work(self._connection)

    def _connect_to_sound_file(self) -> None:
        try:
            self._connect()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            self._connect()

    def _connect(self) -> None:
        with self._locked(exclusive=False), contextlib.ExitStack() as on_failure:
            self._connection = sqlite3.connect(
                self._path,
                timeout=_WAIT_FOR_OTHERS_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            on_failure.callback(self._connection.close)
            # In a damaged file text may be no UTF-8; it will then be no text that is looked for.
            self._connection.text_factory = lambda text: text.decode(errors="backslashreplace")
            self._identity = _identity(self._path)
            self._prepare()
            on_failure.pop_all()

    def _set_aside(self, error: Exception) -> None:
        """Renames the damaged file that is open, unless another process was faster."""
        with self._locked(exclusive=True):
            if _identity(self._path) != self._identity:
                return
            stamp = time.strftime("%Y%m%d-%H%M%S")
            aside = _free_name(f"{self._path}.damaged-{stamp}-{os.getpid()}")
            for ending in ("-shm", "-wal", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self._path}{ending}").rename(f"{aside}{ending}")
        logging.warning(
            "WARNING: %s is damaged or no bottleneck cache (%s). It is kept as %s, and a new one "
            "is begun.",
            self._path,
            error,
            aside.name,
        )

    @contextlib.contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        """Keeps other processes from setting the file aside while this one opens it."""
        # Windows locks no folders, and renames no file that another process has open.
        if str(self._path) == _IN_MEMORY or os.name == "nt":
            yield
            return
        import fcntl  # noqa: PLC0415 - not to be had on Windows

        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            # Not every network folder can be locked.
            with contextlib.suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turns SQLite's errors into ours: full disk, a lock held for too long."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise CacheError(
                f"{self._path} must be a bottleneck cache that can be read and written to. "
                f"Got: {error}. If the disk is full, make room or name another --bottleneck_dir; "
                "what the cache holds already is safe."
            ) from error

    def _prepare(self) -> None:
        """Makes the tables of a new file; brings an old one up to date."""
        self._check_tables(self._version())
        self._use_write_ahead_log()
        # With WAL this loses nothing when the process dies, only the last batches with the power.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if self._version() == SCHEMA_VERSION:
            return
        self._connection.create_function("checksum", -1, checksum, deterministic=True)
        self._connection.create_function("crc32", 1, zlib.crc32, deterministic=True)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            version = self._version()
            for script in SCHEMA_SCRIPTS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_tables(self, version: int) -> None:
        """Raises _ForeignFileError for a file without our tables, or a new one with others."""
        rows = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in rows.fetchall()}
        # Another process may be making the tables of a new file at this moment.
        wanted = TABLES.get(version, set())
        is_ours = names >= wanted if wanted else version == 0 and names <= TABLES[SCHEMA_VERSION]
        if not is_ours:
            raise _ForeignFileError(f"it has the tables {', '.join(sorted(map(str, names)))}")

    def _version(self) -> int:
        """Returns the version of the file, 0 for a new one, before anything is changed in it."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise CacheError(
                f"{self._path} must be of version {SCHEMA_VERSION} or older. Got version "
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


def chunks(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yields keys in lists as long as is good for `execute_in`."""
    waiting = iter(keys)
    while some := list(itertools.islice(waiting, _KEYS_A_QUERY)):
        yield some


def execute_in(
    database: Database, query: str, keys: Collection[bytes | int], *before: int | str
) -> sqlite3.Cursor:
    """Executes a query whose `{}` stands for the keys, after other values."""
    return database.execute(query.format(",".join("?" * len(keys))), [*before, *keys])


def _is_damage(error: Exception) -> bool:
    """Whether an error tells of a file that is damaged or no cache."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Ours for missing tables, or Python's for a message of SQLite that quotes garbage.
        return isinstance(error, _ForeignFileError | UnicodeDecodeError)
    # Our queries are right: it is the file that has no such column, or two rows of one key.
    is_odd = isinstance(error, sqlite3.IntegrityError) or str(error).startswith("no such ")
    return code & 0xFF in _DAMAGED or is_odd


def _free_name(beginning: str) -> Path:
    """Returns this path, or the first with a number after it that is not taken."""
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    paths = (Path(f"{beginning}{ending}") for ending in endings)
    return next(path for path in paths if not path.exists())


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns what tells a file from another that takes its name, None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
