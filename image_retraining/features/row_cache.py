"""Rows of a feature table ↔ photo files and the cache: which rows are cached, and of which photos.

A row that lacks its vector is looked up twice: by its file, as long as that has not changed since
it was last read, and by the digest of its photo, once that has been read.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from image_retraining.cache.damaged_photos import DamagedPhotos
from image_retraining.cache.known_files import KnownFiles, PhotoFile, PhotoFiles
from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.features.table import FeatureTable
from image_retraining.features.trust import Trust
from image_retraining.foundation.interruption import held_back
from image_retraining.foundation.records import Floats
from image_retraining.photos import reading
from image_retraining.photos.damage import Damage, damage_of
from image_retraining.photos.distortions import Views
from image_retraining.photos.feed import limited_groups
from image_retraining.photos.preparation import Preparation, Prepared, prepared

# Bounds the memory for vectors on their way from the cache.
_LOOK_UPS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Row:
    """A row whose photo is known.

    Attributes:
        number: of the row, in the table.
        digest: what tells the photo from others; the SHA-256 of its contents, if it needs nothing.
        preparation: what is done to it before it is looked at.
    """

    number: int
    digest: bytes
    preparation: Preparation


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """A photo file as it was read, and rows that are of it; at least one.

    The bytes that were hashed are the bytes to decode, so that a file that changes meanwhile
    cannot put its vector under another digest.
    """

    file: PhotoFile
    rows: tuple[Row, ...]

    def prepared(self) -> Prepared:
        """Returns the photo ready to be decoded.

        Raises:
            OSError: Pillow cannot decode it.
        """
        return prepared(self.file.contents, self.rows[0].preparation)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vectors the rows are to have.

    Attributes:
        recipe: of the photos themselves.
        views: what else rows may be of a photo.
        stand_in: another recipe whose vectors will do for the photos themselves.
    """

    recipe: Recipe
    views: Views
    stand_in: Recipe | None


class RowCache:
    """The cached vectors of the rows of one table."""

    def __init__(
        self,
        cache: BottleneckCache,
        table: FeatureTable,
        wanted: Wanted,
        *,
        trust: Trust,
        files: KnownFiles | None = None,
    ) -> None:
        """Tells what decides the vectors.

        Args:
            cache: where they are kept.
            table: the rows; filled with what the cache has.
            wanted: which vectors they are to have.
            trust: whether what the cache has of the recipe may be used.
            files: which files are known; None for those that the cache knows.
        """
        self._cache = cache
        self._files = files or PhotoFiles(cache.file)
        self._damaged_photos = DamagedPhotos(cache.file)
        self._damages: dict[bytes, Damage] = {}
        self._table = table
        self._upright = wanted.views.upright
        self._views, self._trust = wanted.views, trust
        self._recipe, self._stand_in = wanted.recipe, wanted.stand_in

    def look_up(self) -> None:
        """Fills in the rows of files that are known and unchanged, without reading them."""
        known_damages = self._damaged_photos.all().items()
        self._damages = {photo: Damage(*damage) for photo, damage in known_damages}
        missing = self._table.missing()
        for start in range(0, len(missing), _LOOK_UPS_AT_ONCE):
            paths = {
                row: self._table.path(row) for row in missing[start : start + _LOOK_UPS_AT_ONCE]
            }
            known = self._files.known(list(dict.fromkeys(paths.values())))
            self._take(
                self._row(row, *known[path])
                for row, path in paths.items()
                if path in known and self._may_be_learnt(row, known[path][0])
            )

    def read_groups(self, count: int) -> Iterator[list[ReadPhoto]]:
        """Yields groups of photos that lack vectors, read; the next run need not read them again.

        Those that cannot be read are noted in the table.

        Args:
            count: photos a group, at most.
        """
        for group in limited_groups(
            self._read(), count, size_of=lambda photo: len(photo.file.contents)
        ):
            self._files.remember(photo.file for photo in group)
            yield group

    def uncached(self, group: Iterable[ReadPhoto]) -> Iterator[ReadPhoto]:
        """Fills in the rows of photos that are cached; yields the photos with the others."""
        rows = itertools.chain.from_iterable(photo.rows for photo in group)
        self._take(row for row in rows if self._table.is_missing(row.number))
        for photo in group:
            left = tuple(row for row in photo.rows if self._table.is_missing(row.number))
            if left:
                yield replace(photo, rows=left)

    def examine(self, row: int) -> bool:
        """Looks at a row's photo for damage, and keeps what is found; returns if it may be learnt.

        What is found of a file that cannot be read any more is nothing.
        """
        try:
            contents = reading.read(self._table.path(row))
        except OSError:
            return True
        damage = damage_of(contents)
        if damage is None:
            return True
        digest = hashlib.sha256(contents).digest()
        self._damaged_photos.remember(digest, damage.warning, damage.missing)
        self._damages[digest] = damage
        return self._may_be_learnt(row, digest)

    def take_in(self, files: Sequence[PhotoFile], damages: Mapping[bytes, Damage]) -> None:
        """Keeps what others found of photo files, which the next run need not read again.

        Args:
            files: without their contents; their states are of before anybody read them.
            damages: SHA-256 of a file → what is wrong with it, where anything is.
        """
        self._files.remember(files)
        self._damages |= damages
        for digest, damage in damages.items():
            self._damaged_photos.remember(digest, damage.warning, damage.missing)

    def take_vectors(self, of_files: Iterable[tuple[PhotoFile, Sequence[int], Floats]]) -> None:
        """Stores the vectors of photos that others have computed, and fills in their rows.

        Args:
            of_files: each with its rows, and float32 [V, D]: of the photo itself and its views.
        """
        rows: list[Row] = []
        vectors: list[Floats] = []
        for file, numbers, of_file in of_files:
            if not self._may_be_learnt(numbers[0], file.digest):
                continue
            for number in numbers:
                rows.append(self._row(number, file.digest, file.preparation))
                vectors.append(of_file[self._table.view(number)])
        if not rows:
            return
        # What is kept is told of: an interruption is not to come between.
        with held_back():
            self.store(rows, vectors)
            self._table.take_computed([row.number for row in rows], np.stack(vectors))
        for row in rows:
            self._table.note_photo(row.number, row.digest, row.preparation)

    def store(self, rows: Iterable[Row], vectors: Iterable[Floats]) -> None:
        """Keeps the vectors of rows, each float32 [D]."""
        self._trust.before_storing()
        by_view: dict[str, dict[bytes, Floats]] = {}
        for row, vector in zip(rows, vectors, strict=True):
            by_view.setdefault(self.view(row), {})[row.digest] = vector
        for view, of_view in by_view.items():
            self._cache.store(replace(self._recipe, view=view), of_view)
        self._trust.after_storing()

    def view(self, row: Row) -> str:
        """Returns what a row is of its photo, as `Views.name`; equal ones have equal vectors."""
        return self._views.name(self._table.view(row.number), row.digest)

    def _take(self, rows: Iterable[Row]) -> None:
        by_view: dict[str, dict[int, bytes]] = {}
        for row in rows:
            self._table.note_photo(row.number, row.digest, row.preparation)
            by_view.setdefault(self.view(row), {})[row.number] = row.digest
        for view, waiting in by_view.items():
            stand_ins = [self._stand_in] if self._stand_in and not view else []
            for recipe in [replace(self._recipe, view=view), *stand_ins]:
                vectors = self._vectors(recipe, waiting)
                for number in self._table.take_cached(waiting, vectors):
                    del waiting[number]

    def _vectors(self, recipe: Recipe, digests: Mapping[int, bytes]) -> Mapping[bytes, Floats]:
        """Returns the vectors that the cache has, and that may be used; digests are by row."""

        def kept() -> Mapping[bytes, Floats]:
            return self._cache.vectors(recipe, set(digests.values()), self._table.feature_size)

        vectors = kept()
        if recipe != self._recipe or self._trust.is_settled:
            return vectors
        of_files = {
            self._table.path(row): (digest, vectors[digest])
            for row, digest in digests.items()
            if digest in vectors
        }
        # Another run may have set some aside meanwhile, and stored others.
        return kept() if self._trust.is_deserved(of_files) else {}

    def _read(self) -> Iterator[ReadPhoto]:
        for path, rows in itertools.groupby(self._table.missing(), key=self._table.path):
            # Some may have been filled in since, by what another run has stored.
            missing = [row for row in rows if self._table.is_missing(row)]
            if not missing:
                continue
            try:
                file = PhotoFile.read(path, reading.read, lambda photo: Preparation.of(photo).name)
            except OSError as error:
                self._table.note_unreadable(missing[0], error.strerror or str(error))
                continue
            rows_of_file = (self._row(n, file.digest, file.preparation) for n in missing)
            if self._may_be_learnt(missing[0], file.digest):
                yield ReadPhoto(file, tuple(rows_of_file))

    def _may_be_learnt(self, row: int, digest_of_file: bytes) -> bool:
        """Returns whether enough is left of a row's photo, by what is known of its damage.

        Notes the damage, if there is one.
        """
        damage = self._damages.get(digest_of_file)
        if damage is None:
            return True
        if damage.is_mostly_missing:
            if self._table.is_missing(row):
                self._table.note_unreadable(row, str(damage))
            return False
        self._table.note_doubtful(row, str(damage))
        return True

    def _row(self, number: int, digest_of_file: bytes, preparation: str) -> Row:
        wanted = Preparation.named(preparation).wanted(upright=self._upright)
        return Row(number, wanted.digest(digest_of_file), wanted)
