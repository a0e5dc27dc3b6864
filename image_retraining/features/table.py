"""The feature vectors of a catalog while they are being gathered.

A row is one vector: of a photo itself, whose number is the photo's position in the catalog, or of a
distorted view of a training photo; these follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import (
    Extraction,
    FeatureSet,
    Floats,
    ImageRecord,
    Split,
    Unreadable,
)

Rows = npt.NDArray[np.int64]


class FeatureTable:
    """The rows of a catalog, filled in any order.

    Attributes:
        unreadable: position → photo that is left out.
        computed_count: how many vectors were computed.
        copied_count: how many rows got the vector of another photo with equal content.
        positions: int64 [R], the photo of each row.
        views: int64 [R], which view of it the row is; 0 is the photo itself.
        feature_size: D.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        feature_size: int,
        *,
        view_count: int = 0,
        fail_on_bad_image: bool,
    ) -> None:
        """Begins with no vector.

        Args:
            records: the photos, in the order of the catalog.
            feature_size: D.
            view_count: K, distorted views of each training photo.
            fail_on_bad_image: whether a photo that cannot be read is to raise.
        """
        self.unreadable: dict[int, Unreadable] = {}
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
        self.views: Rows = np.concatenate(
            [np.zeros([len(records)], int), np.tile(np.arange(view_count) + 1, len(self._viewed))]
        )
        self.feature_size = feature_size
        self._digests: dict[int, bytes] = {}
        self._vectors = np.empty([len(self.positions), feature_size], np.float32)
        self._done = np.zeros([len(self.positions)], np.bool_)
        self._copies: list[tuple[int, int]] = []

    @property
    def done_count(self) -> int:
        """How many rows have their vector."""
        return int(self._done.sum())

    def missing(self) -> list[int]:
        """Returns the rows without a vector, those of a photo one after the other."""
        rows = np.flatnonzero(~self._done)
        in_order: list[int] = rows[np.argsort(self.positions[rows], kind="stable")].tolist()
        return in_order

    def take_cached(
        self, digests: Mapping[int, bytes], vectors: Mapping[bytes, Floats]
    ) -> list[int]:
        """Fills in those rows whose content has a vector; returns them.

        Args:
            digests: row → SHA-256 of the content.
            vectors: SHA-256 → float32 [D].
        """
        found = [row for row, digest in digests.items() if digest in vectors]
        for row in found:
            self._vectors[row] = vectors[digests[row]]
        self._done[found] = True
        return found

    def take_computed(self, rows: Rows, vectors: Floats) -> None:
        """Fills in some rows with float32 [n, D]."""
        self._vectors[rows] = vectors
        self._done[rows] = True
        self.computed_count += len(rows)

    def note_content(self, position: int, digest: bytes) -> None:
        """Notes the SHA-256 of a photo."""
        self._digests[position] = digest

    def note_copy(self, row: int, first: int) -> None:
        """Notes that a row's photo has the content of another, and will get that one's vector."""
        self._copies.append((row, first))

    def share_with_copies(self) -> None:
        """Gives photos of equal content the vectors, or the failure, of the first of them."""
        for row, first in self._copies:
            if self._done[first]:
                self._vectors[row] = self._vectors[first]
                self._done[row] = True
                self.copied_count += 1
            else:
                reason = self.unreadable[int(self.positions[first])].reason
                self.note_unreadable(int(self.positions[row]), reason)

    def note_unreadable(self, position: int, reason: str) -> None:
        """Leaves a photo out.

        Raises:
            PhotoError: that is not allowed.
        """
        path = self._records[position].path
        if self._fail_on_bad_image:
            raise PhotoError(
                "Every photo must be readable with --on_bad_image=fail. "
                f"Got {path}: {reason}. Replace or remove it, or use --on_bad_image=skip."
            )
        self.unreadable[position] = Unreadable(path, reason)

    def extraction(self) -> Extraction:
        """Returns what was gathered, by split."""
        is_done, views = self._done[: len(self._records)].copy(), None
        if self._view_count:
            shape = [len(self._viewed), self._view_count]
            has_views = self._done[len(self._records) :].reshape(shape).all(axis=1)
            is_done[self._viewed] &= has_views
            views = self._vectors[len(self._records) :].reshape([*shape, self.feature_size])
            kept = is_done[self._viewed]
            # They may fill the memory: not to be copied unless some are left out.
            views = views if kept.all() else views[kept]
        splits = np.array([list(Split).index(record.split) for record in self._records], int)
        sets = {
            split: self._feature_set(np.flatnonzero(is_done & (splits == number)))
            for number, split in enumerate(Split)
        }
        sets[Split.TRAINING] = replace(sets[Split.TRAINING], views=views)
        return Extraction(
            sets=sets,
            unreadable=tuple(self.unreadable[position] for position in sorted(self.unreadable)),
        )

    def _feature_set(self, positions: Rows) -> FeatureSet:
        listed = positions.tolist()
        records = [self._records[position] for position in listed]
        return FeatureSet(
            features=self._vectors[positions],
            label_ids=np.array([record.label_id for record in records], np.int32),
            paths=tuple(record.path for record in records),
            contents=tuple(self._digests.get(position, b"") for position in listed),
        )


def check_any(extraction: Extraction) -> None:
    """Checks that not all photos were left out.

    Raises:
        PhotoError: they were.
    """
    if extraction.unreadable and not any(len(photos) for photos in extraction.sets.values()):
        first = extraction.unreadable[0]
        raise PhotoError(
            f"--image_dir must hold photos that can be read. Got {len(extraction.unreadable)} "
            f"files, none of which can; the first is {first.path}: {first.reason}."
        )
