"""The feature vectors of a catalog while they are being gathered.

A row is one vector: of a photo itself, whose number is the photo's position in the catalog, or of a
distorted view of a training photo; these follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.large_arrays import floats
from image_retraining.foundation.records import (
    Doubtful,
    Extraction,
    FeatureSet,
    Floats,
    ImageRecord,
    Split,
    Unreadable,
)
from image_retraining.photos.preparation import NOTHING, Preparation

Rows = npt.NDArray[np.int64]
# Bounds the memory that moving takes.
_MOVED_AT_ONCE = 1000


class FeatureTable:
    """The rows of a catalog, filled in any order.

    Attributes:
        unreadable: position → photo that is left out.
        doubtful: position → photo that is damaged, and not left out for it.
        computed_count: how many vectors were computed.
        copied_count: how many rows got the vector of another photo with equal content.
        positions: int64 [R], the photo of each row.
        feature_size: D.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        feature_size: int,
        *,
        view_count: int = 0,
        fail_on_bad_image: bool,
        holds_vectors: bool = True,
        folder: Path | None = None,
    ) -> None:
        """Begins with no vector.

        Args:
            records: the photos, in the order of the catalog.
            feature_size: D.
            view_count: K, distorted views of each training photo.
            fail_on_bad_image: whether a photo that cannot be read is to raise.
            holds_vectors: whether they are wanted here, or in the cache alone.
            folder: where those may lie that take too much memory; None for nowhere else.
        """
        self._holds_vectors = holds_vectors
        self.unreadable: dict[int, Unreadable] = {}
        self.doubtful: dict[int, Doubtful] = {}
        self.computed_count = self.copied_count = 0
        self._records = records
        self._fail_on_bad_image = fail_on_bad_image
        self._view_count = view_count
        self._viewed = np.array(
            [n for n, record in enumerate(records) if record.split is Split.TRAINING], np.int64
        )
        self.positions: Rows = np.concatenate(
            [np.arange(len(records)), np.repeat(self._viewed, view_count)]
        )
        self._view_numbers: Rows = np.concatenate(
            [np.zeros([len(records)], int), np.tile(np.arange(view_count) + 1, len(self._viewed))]
        )
        self.feature_size = feature_size
        self._digests: dict[int, bytes] = {}
        # Of the few photos that need any.
        self._preparations: dict[int, Preparation] = {}
        # Those of a split lie together, so that its set need not be copied out.
        self._splits = np.array([list(Split).index(record.split) for record in records], int)
        in_memory = np.argsort(self._splits, kind="stable")
        self._places: Rows = np.arange(len(self.positions))
        self._places[in_memory] = np.arange(len(records))
        row_size = feature_size if holds_vectors else 0
        shape = (len(self.positions), row_size)
        self._vectors = floats(shape, folder=folder, what="Feature vectors")
        self._done = np.zeros([len(self.positions)], np.bool_)
        self._missing = np.ones([len(self.positions)], np.bool_)
        # (Digest, view's name) → the first row of it.
        self._originals: dict[tuple[bytes, str], int] = {}
        # Row → the first of its digest and view.
        self._copies: dict[int, int] = {}

    @property
    def done_count(self) -> int:
        """How many rows have their vector."""
        return int(np.count_nonzero(self._done))

    @property
    def missing_count(self) -> int:
        """How many rows are missing."""
        return int(np.count_nonzero(self._missing))

    def is_missing(self, row: int) -> bool:
        """Whether a row is to get a vector still: it has none, is no copy, and is not left out."""
        return bool(self._missing[row])

    def missing(self) -> list[int]:
        """Returns the rows that are missing, those of a photo one after the other."""
        rows = np.flatnonzero(self._missing)
        in_order: list[int] = rows[np.argsort(self.positions[rows], kind="stable")].tolist()
        return in_order

    def path(self, row: int) -> str:
        """Returns the file of a row's photo."""
        return self._records[int(self.positions[row])].path

    def view(self, row: int) -> int:
        """Returns which view of its photo a row is; 0 is the photo itself."""
        return int(self._view_numbers[row])

    def take_cached(
        self, digests: Mapping[int, bytes], vectors: Mapping[bytes, Floats]
    ) -> list[int]:
        """Fills in those rows whose photo has a vector; returns them.

        Args:
            digests: row → SHA-256 of its photo.
            vectors: SHA-256 → float32 [D].
        """
        found = [row for row, digest in digests.items() if digest in vectors]
        if self._holds_vectors:
            for row in found:
                self._vectors[self._places[row]] = vectors[digests[row]]
        self._done[found] = True
        self._missing[found] = False
        return found

    def take_computed(self, rows: list[int], vectors: Floats) -> None:
        """Fills in some rows with float32 [n, D]."""
        if self._holds_vectors:
            self._vectors[self._places[rows]] = vectors
        self._done[rows] = True
        self._missing[rows] = False
        self.computed_count += len(rows)

    def note_photo(self, row: int, digest: bytes, preparation: Preparation) -> None:
        """Notes what tells a row's photo from others, and what is done to it."""
        position = int(self.positions[row])
        self._digests[position] = digest
        if preparation != NOTHING:
            self._preparations[position] = preparation

    def defer_copy(self, row: int, digest: bytes, view: str) -> bool:
        """Returns whether a row is a copy: it shares what becomes of an earlier row.

        That is one of equal digest and view that was asked about before.

        Args:
            row: its number.
            digest: what tells its photo from others.
            view: what it is of the photo, as `Views.name`.
        """
        original = self._originals.setdefault((digest, view), row)
        if original == row:
            return False
        self._copies[row] = original
        self._missing[row] = False
        return True

    def share_with_copies(self) -> None:
        """Gives photos of equal content the vectors, or the failure, of the first of them."""
        for row, original in self._copies.items():
            if self._done[original]:
                self._vectors[self._places[row]] = self._vectors[self._places[original]]
                self._done[row] = True
                self.copied_count += 1
                self._share_doubt(row, original)
            else:
                reason = self.unreadable[int(self.positions[original])].reason
                self.note_unreadable(row, reason)

    def note_unreadable(self, row: int, reason: str) -> None:
        """Leaves a row's photo out, with all rows of it.

        Raises:
            PhotoError: that is not allowed.
        """
        path = self.path(row)
        if self._fail_on_bad_image:
            raise PhotoError(
                "Every photo must be readable with --on_bad_image=fail. "
                f"Got {path}: {reason}. Replace or remove it, or use --on_bad_image=skip."
            )
        position = int(self.positions[row])
        self.unreadable[position] = Unreadable(path, reason)
        self._missing[self.positions == position] = False

    def note_doubtful(self, row: int, damage: str) -> None:
        """Notes that a row's photo is damaged, though it can be read."""
        self.doubtful[int(self.positions[row])] = Doubtful(self.path(row), damage)

    def _share_doubt(self, row: int, original: int) -> None:
        doubt = self.doubtful.get(int(self.positions[original]))
        if doubt:
            self.note_doubtful(row, doubt.damage)

    def extraction(self) -> Extraction:
        """Returns what was gathered, by split; the table is of no use afterwards.

        The vectors may fill the memory, and so are handed out where they lie.
        """
        is_done, views = self._done[: len(self._records)].copy(), None
        if self._view_count:
            shape = [len(self._viewed), self._view_count]
            has_views = self._done[len(self._records) :].reshape(shape).all(axis=1)
            is_done[self._viewed] &= has_views
            views = self._vectors[len(self._records) :].reshape([*shape, self._vectors.shape[1]])
            kept = is_done[self._viewed]
            views = _only(views, np.flatnonzero(kept))
        sets = {
            split: self._feature_set(np.flatnonzero(is_done & (self._splits == number)))
            for number, split in enumerate(Split)
        }
        sets[Split.TRAINING] = replace(sets[Split.TRAINING], views=views)
        return Extraction(
            sets=sets,
            unreadable=tuple(self.unreadable[position] for position in sorted(self.unreadable)),
            doubtful=tuple(self.doubtful[position] for position in sorted(self.doubtful)),
            turned_count=self._count(lambda done: done.orientation != 1),
            flattened_count=self._count(lambda done: done.is_flattened),
            converted_count=self._count(lambda done: done.is_converted),
        )

    def _count(self, is_so: Callable[[Preparation], bool]) -> int:
        """Returns how many of the photos that were read are prepared in a way."""
        return sum(
            is_so(preparation)
            for position, preparation in self._preparations.items()
            if position not in self.unreadable
        )

    def _feature_set(self, positions: Rows) -> FeatureSet:
        listed = positions.tolist()
        records = [self._records[position] for position in listed]
        places = self._places[positions]
        first = int(places.min(initial=len(self._vectors)))
        return FeatureSet(
            features=_only(self._vectors[first:], places - first),
            label_ids=np.array([record.label_id for record in records], np.int32),
            paths=tuple(record.path for record in records),
            digests=tuple(self._digests.get(position, b"") for position in listed),
        )


def _only(rows: Floats, kept: Rows) -> Floats:
    """Returns some rows of an array, in whose beginning they are moved together.

    Args:
        rows: float32 [n, ...]; what lies behind the result stays as it is.
        kept: which, ascending.
    """
    gaps = np.flatnonzero(kept != np.arange(len(kept)))
    for start in range(int(gaps[0]) if len(gaps) else len(kept), len(kept), _MOVED_AT_ONCE):
        some = kept[start : start + _MOVED_AT_ONCE]
        rows[start : start + len(some)] = rows[some]
    return rows[: len(kept)]
