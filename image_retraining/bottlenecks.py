"""Feature vectors on disk: a cache in one SQLite file, and a promise.

The promise: a vector that comes out is the one that went in, for exactly this photo and recipe. A
photo is its bytes (SHA-256), a recipe is all else that decides the value: the module's content,
the image size, the pixel pipeline, the precision, the view. Names and places decide nothing, so
renaming, moving or copying photos finds their vectors again, and editing a photo or a module does
not. Breaking this would mix vectors of different photos or modules, which no later stage could see.

The file format is written down in bottleneck_cache/README.md.
"""

import os
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from absl import logging

from image_retraining.cache_file import CacheFile
from image_retraining.records import Floats

_T = TypeVar("_T")

FILE_NAME = "bottlenecks.sqlite3"

# SQLite takes 32766 values a statement; a few hundred are as fast and keep memory flat.
_KEYS_A_QUERY = 500
# A file changed as lately as this may change again without its time stamp showing it.
_SETTLED_AFTER_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a feature vector besides the photo.

    Attributes:
        fingerprint: SHA-256 of the module's files, hexadecimal.
        height: pixels.
        width: pixels.
        pixels: version of the pixel pipeline.
        precision: of the computation, as "float32".
        view: the distortion of the photo, '' for the photo itself.
    """

    fingerprint: str
    height: int
    width: int
    pixels: int
    precision: str = "float32"
    view: str = ""


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells a changed file from an unchanged one without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    # When the state was taken.
    taken_ns: int = field(default=0, compare=False)

    @classmethod
    def of(cls, path: str) -> Self:
        """Returns the present state of a file.

        Raises:
            OSError: there is no such file, or it cannot be asked about.
        """
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, time.time_ns())

    @property
    def settled(self) -> bool:
        """Whether the last change was so long ago that another would show."""
        return self.taken_ns - max(self.mtime_ns, self.ctime_ns) > _SETTLED_AFTER_NS


class BottleneckCache:
    """The feature vectors kept in one folder. Safe to use from several threads and processes."""

    def __init__(self, folder: str) -> None:
        """Opens the cache of a folder, making it when there is none.

        Args:
            folder: on a local disk; SQLite's locks are not reliable on network folders.

        Raises:
            CacheError: the cache file is of a newer version, damaged, or not a cache.
        """
        self._file = CacheFile(Path(folder) / FILE_NAME)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; everything stored is on disk already."""
        self._file.close()

    def known_photos(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Returns path → SHA-256 for the files that have not changed since they were remembered."""
        known = {}
        for some in _chunks(paths):
            keys = {path: _path_key(path) for path in some}
            rows = self._file.select(
                "SELECT path, size, mtime_ns, ctime_ns, photo FROM files WHERE path IN ({})",
                list(keys.values()),
            )
            remembered = {key: (FileState(*state), photo) for key, *state, photo in rows}
            for path, key in keys.items():
                if key in remembered:
                    state, photo = remembered[key]
                    if _has_state(path, state):
                        known[path] = photo
        return known

    def remember_photos(self, photos: Mapping[str, tuple[FileState, bytes]]) -> None:
        """Keeps path → (state when read, SHA-256) for `known_photos`, in one transaction."""
        rows = [
            (_path_key(path), state.size, state.mtime_ns, state.ctime_ns, photo)
            for path, (state, photo) in photos.items()
            if state.settled
        ]
        with self._file.transaction() as database:
            database.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)

    def vectors(self, recipe: Recipe, photos: Collection[bytes], size: int) -> dict[bytes, Floats]:
        """Returns SHA-256 → feature vector float32 [size] for those of the photos that are kept.

        A vector whose length or checksum is wrong counts as not kept, with a warning.
        """
        recipe_id = self._recipe_id(recipe)
        found = {}
        damaged = 0
        for some in _chunks(list(photos)):
            rows = self._file.select(
                "SELECT photo, crc, vector FROM bottlenecks WHERE recipe_id = ? AND photo IN ({})",
                some,
                recipe_id,
            )
            for photo, crc, stored in rows:
                if len(stored) == 4 * size and zlib.crc32(stored) == crc:
                    found[photo] = np.frombuffer(stored, "<f4").astype(np.float32, copy=False)
                else:
                    damaged += 1
        if damaged:
            logging.warning("%d damaged vectors in %s are computed anew.", damaged, self._file)
        return found

    def store(self, recipe: Recipe, vectors: Mapping[bytes, Floats]) -> None:
        """Keeps SHA-256 → feature vector float32 [D], in one transaction."""
        recipe_id = self._recipe_id(recipe)
        rows = []
        for photo, vector in vectors.items():
            stored = vector.astype("<f4").tobytes()
            rows.append((recipe_id, photo, zlib.crc32(stored), stored))
        with self._file.transaction() as database:
            database.executemany("REPLACE INTO bottlenecks VALUES (?, ?, ?, ?)", rows)

    def _recipe_id(self, recipe: Recipe) -> int:
        """Returns the row number of a recipe, adding it when it is new."""
        values = astuple(recipe)
        query = (
            "SELECT id FROM recipes WHERE (fingerprint, height, width, pixels, precision, view) "
            "= (?, ?, ?, ?, ?, ?)"
        )
        with self._file.transaction() as database:
            row = database.execute(query, values).fetchone()
            if row is None:
                database.execute(
                    "INSERT INTO recipes (fingerprint, height, width, pixels, precision, view) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                )
                row = database.execute(query, values).fetchone()
        return int(row[0])


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _KEYS_A_QUERY):
        yield items[start : start + _KEYS_A_QUERY]


def _path_key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _has_state(path: str, state: FileState) -> bool:
    try:
        return FileState.of(path) == state
    except OSError:
        return False
