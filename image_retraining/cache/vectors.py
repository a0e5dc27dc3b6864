"""Feature vectors on disk: a cache in one SQLite file, and a promise.

The promise: a vector that comes out is the one that went in, for exactly this photo and recipe. A
photo goes by its digest, the SHA-256 of its contents; a recipe is all else that decides the value:
the module's content, the image size, the pixel pipeline, the precision, the view. Names and places
decide nothing, so renaming, moving or copying photos finds their vectors again, and editing a photo
or a module does not. Breaking this would mix vectors of different photos or modules, which no later
stage could see.

The file format is written down in docs/cache.md.
"""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from absl import logging

from image_retraining.cache.database import CacheFile, Database, chunks, execute_in
from image_retraining.cache.schema import checksum
from image_retraining.foundation.records import Floats

FILE_NAME = "bottlenecks.sqlite3"

# End of the precision of what is kept in float16: activations are many, and rounded they train as
# well (measured: docs/training.md).
IN_HALVES = ", kept as float16"
# The same of what a fine-tuned network gives, which knows the photos that it has learnt from.
FINE_TUNED = ", fine-tuned"

_SECONDS_A_DAY = 86400


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a feature vector besides the photo.

    Attributes:
        fingerprint: SHA-256 of the module's files, hexadecimal.
        height: pixels.
        width: pixels.
        pixels: version of the pixel pipeline.
        precision: of the computation, as "float32"; what is kept in halves, or of a fine-tuned
            network, says so at its end.
        view: the distortion of the photo, '' for the photo itself.
    """

    fingerprint: str
    height: int
    width: int
    pixels: int
    precision: str = "float32"
    view: str = ""

    @property
    def number_type(self) -> str:
        """In which numbers vectors are kept, little-endian, as NumPy names them."""
        return "<f2" if self.precision.endswith(IN_HALVES) else "<f4"


def imported_recipe(fingerprint: str, image_size: tuple[int, int]) -> Recipe:
    """Returns the recipe of vectors that another program computed, apart from all of ours.

    Args:
        fingerprint: of the module that they were found to be of.
        image_size: (H, W).
    """
    return Recipe(fingerprint, *image_size, pixels=0, precision="imported")


class BottleneckCache:
    """The feature vectors kept in one folder. Safe to use from several threads and processes.

    Attributes:
        folder: where the file lies; None for one in memory.
        file: where they are kept; other things may be kept there as well.
    """

    def __init__(self, folder: str | None) -> None:
        """Opens the cache of a folder, making it when there is none.

        Args:
            folder: on a local disk; SQLite's locks are not reliable on network folders. None keeps
                the vectors in memory.

        Raises:
            CacheError: the cache file is of a newer version, or cannot be opened.
        """
        self.folder = None if folder is None else Path(folder)
        self.file = CacheFile(self.folder and self.folder / FILE_NAME)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; everything stored is on disk already."""
        self.file.close()

    def vectors(self, recipe: Recipe, digests: Collection[bytes], size: int) -> dict[bytes, Floats]:
        """Returns digest → feature vector float32 [size] for those of the digests that are kept.

        A vector whose length or checksum is wrong counts as not kept, with a warning. That these
        vectors were used today is noted.
        """
        today = today_number()
        found: dict[bytes, Floats] = {}
        damaged: list[bytes] = []
        for some in chunks(digests):
            rows = self.file.read(partial(_stored, recipe=recipe, digests=some))
            long_unused = []
            for digest, crc, used_day, stored in rows:
                if not _is_sound(recipe, digest, crc, stored, size):
                    damaged.append(digest)
                    continue
                numbers = np.frombuffer(stored, recipe.number_type)
                found[digest] = numbers.astype(np.float32, copy=False)
                if used_day != today:
                    long_unused.append(digest)
            if long_unused:
                self._note_use(recipe, long_unused, today)
        if damaged:
            self._forget_damaged(recipe, damaged, size)
            logging.warning("%d damaged vectors in %s are computed anew.", len(damaged), self.file)
        return found

    def store(self, recipe: Recipe, vectors: Mapping[bytes, Floats]) -> None:
        """Keeps digest → feature vector float32 [D], in one transaction."""
        today = today_number()

        def store(database: Database) -> None:
            recipe_id = _recipe_id(database, recipe)
            rows = []
            for digest, vector in vectors.items():
                # Who reads what is too large for it finds infinity.
                with np.errstate(over="ignore"):
                    stored = vector.astype(recipe.number_type).tobytes()
                crc = checksum(*astuple(recipe), digest, stored)
                rows.append((recipe_id, digest, crc, stored, today))
            database.executemany(
                "REPLACE INTO bottlenecks (recipe_id, photo, crc, vector, used_day) "
                "VALUES (?, ?, ?, ?, ?)",
                rows,
            )

        self.file.write(store)

    def number(self, recipe: Recipe) -> int | None:
        """Returns what is another number when a recipe begins anew; None where it has not begun."""
        return self.file.read(partial(_known_recipe_id, recipe=recipe))

    def some_known(self, recipe: Recipe, count: int) -> dict[str, tuple[bytes, Floats]]:
        """Returns photo file → digest and vector float32 [D], of some that are kept, drawn anew.

        They are of files that have been read, and may have changed or gone since.
        """
        query = (
            "SELECT path, bottlenecks.photo, vector FROM files JOIN bottlenecks "
            "ON bottlenecks.photo = files.photo WHERE recipe_id = ? ORDER BY random() LIMIT ?"
        )
        number, kind = self.number(recipe), recipe.number_type
        rows = self.file.read(lambda database: database.execute(query, [number, count]).fetchall())
        return {
            os.fsdecode(path): (digest, np.frombuffer(vector, kind).astype(np.float32))
            for path, digest, vector in rows
        }

    def set_aside(self, recipe: Recipe) -> int:
        """Keeps what is kept of a recipe and its views where no run finds it; returns how many.

        `--cache_info` still tells of them, and `--cache_prune` deletes them.
        """
        aside = f"{recipe.precision}, set aside {time.strftime('%Y-%m-%d %H:%M:%S')}"

        def set_aside(database: Database) -> int:
            found = database.execute(
                "SELECT id FROM recipes WHERE (fingerprint, height, width, pixels, precision) "
                "= (?, ?, ?, ?, ?)",
                astuple(recipe)[:-1],
            )
            count = 0
            for ids in chunks([recipe_id for (recipe_id,) in found.fetchall()]):
                query = "SELECT COUNT(*) FROM bottlenecks WHERE recipe_id IN ({})"
                count += execute_in(database, query, ids).fetchone()[0]
                query = "UPDATE recipes SET precision = ? WHERE id IN ({})"
                execute_in(database, query, ids, aside)
            return count

        return self.file.write(set_aside)

    def _forget_damaged(self, recipe: Recipe, digests: Sequence[bytes], size: int) -> None:
        """Deletes damaged vectors, so that they are told of once."""

        def forget(database: Database) -> None:
            recipe_id = _recipe_id(database, recipe)
            for some in chunks(digests):
                # Another run may have replaced some meanwhile.
                for digest, crc, _, stored in _stored(database, recipe=recipe, digests=some):
                    if not _is_sound(recipe, digest, crc, stored, size):
                        database.execute(
                            "DELETE FROM bottlenecks WHERE recipe_id = ? AND photo = ?",
                            [recipe_id, digest],
                        )

        self.file.write(forget)

    def _note_use(self, recipe: Recipe, digests: Sequence[bytes], day: int) -> None:
        self.file.write(
            lambda database: execute_in(
                database,
                "UPDATE bottlenecks SET used_day = ? WHERE recipe_id = ? AND photo IN ({})",
                digests,
                day,
                _recipe_id(database, recipe),
            )
        )


def _stored(
    database: Database, *, recipe: Recipe, digests: Sequence[bytes]
) -> list[tuple[Any, ...]]:
    """Returns digest, crc, used_day and vector of those of the digests that are kept."""
    recipe_id = _known_recipe_id(database, recipe)
    if recipe_id is None:
        return []
    query = (
        "SELECT photo, crc, used_day, vector FROM bottlenecks WHERE recipe_id = ? AND photo IN ({})"
    )
    return execute_in(database, query, digests, recipe_id).fetchall()


def _is_sound(recipe: Recipe, digest: object, crc: object, stored: object, size: int) -> bool:
    # In a damaged file a value may even be of another type.
    if not (isinstance(digest, bytes) and isinstance(stored, bytes)):
        return False
    if len(stored) != size * np.dtype(recipe.number_type).itemsize:
        return False
    return checksum(*astuple(recipe), digest, stored) == crc


def _recipe_id(database: Database, recipe: Recipe) -> int:
    """Returns the row number of a recipe, adding it when it is new."""
    known = _known_recipe_id(database, recipe)
    if known is not None:
        return known
    added = database.execute(
        "INSERT INTO recipes (fingerprint, height, width, pixels, precision, view) "
        "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        astuple(recipe),
    )
    return int(added.fetchone()[0])


def _known_recipe_id(database: Database, recipe: Recipe) -> int | None:
    row: tuple[Any] | None = database.execute(
        "SELECT id FROM recipes WHERE (fingerprint, height, width, pixels, precision, view) "
        "= (?, ?, ?, ?, ?, ?)",
        astuple(recipe),
    ).fetchone()
    return row[0] if row and isinstance(row[0], int) else None


def today_number() -> int:
    """Returns the days since 1970."""
    return int(time.time()) // _SECONDS_A_DAY
