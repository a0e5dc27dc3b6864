"""The feature vectors of a catalog while they are being gathered; photos go by their positions."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from image_retraining.errors import PhotoError
from image_retraining.records import (
    Extraction,
    FeatureSet,
    Floats,
    ImageRecord,
    Split,
    Unreadable,
)


class FeatureTable:
    """One row a photo of the catalog, filled in any order.

    Attributes:
        unreadable: position → photo that is left out.
        computed_count: how many vectors were computed.
        copied_count: how many photos got the vector of another with equal content.
    """

    def __init__(
        self, records: Sequence[ImageRecord], feature_size: int, *, fail_on_bad_image: bool
    ) -> None:
        """Begins with no vector.

        Args:
            records: the photos, in the order of the catalog.
            feature_size: D.
            fail_on_bad_image: whether a photo that cannot be read is to raise.
        """
        self.unreadable: dict[int, Unreadable] = {}
        self.computed_count = self.copied_count = 0
        self._records = records
        self._fail_on_bad_image = fail_on_bad_image
        self._rows = np.empty([len(records), feature_size], np.float32)
        self._done = np.zeros([len(records)], np.bool_)
        self._copies: list[tuple[int, int]] = []

    @property
    def done_count(self) -> int:
        """How many photos have their vector."""
        return int(self._done.sum())

    def missing(self) -> list[int]:
        """Returns the positions without a vector."""
        positions: list[int] = np.flatnonzero(~self._done).tolist()
        return positions

    def take_cached(
        self, digests: Mapping[int, bytes], vectors: Mapping[bytes, Floats]
    ) -> list[int]:
        """Fills in those positions whose content has a vector; returns them.

        Args:
            digests: position → SHA-256 of the content.
            vectors: SHA-256 → float32 [D].
        """
        found = [position for position, digest in digests.items() if digest in vectors]
        for position in found:
            self._rows[position] = vectors[digests[position]]
        self._done[found] = True
        return found

    def take_computed(self, positions: npt.NDArray[np.int64], vectors: Floats) -> None:
        """Fills in the rows of some positions, float32 [n, D]."""
        self._rows[positions] = vectors
        self._done[positions] = True
        self.computed_count += len(positions)

    def note_copy(self, position: int, first: int) -> None:
        """Notes that a photo has the content of another, and will get what that one gets."""
        self._copies.append((position, first))

    def share_with_copies(self) -> None:
        """Gives files of equal content the vector, or the failure, of the first of them."""
        for position, first in self._copies:
            if self._done[first]:
                self._rows[position] = self._rows[first]
                self._done[position] = True
                self.copied_count += 1
            else:
                self.note_unreadable(position, self.unreadable[first].reason)

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

    def check_any(self) -> None:
        """Raises PhotoError when photos were left out and no other is there."""
        if self.unreadable and not self._done.any():
            first = self.unreadable[min(self.unreadable)]
            raise PhotoError(
                f"--image_dir must hold photos that can be read. Got {len(self.unreadable)} files, "
                f"none of which can; the first is {first.path}: {first.reason}."
            )

    def extraction(self) -> Extraction:
        """Returns what was gathered, by split."""
        splits = np.array([list(Split).index(record.split) for record in self._records])
        return Extraction(
            sets={
                split: self._feature_set(np.flatnonzero(self._done & (splits == number)))
                for number, split in enumerate(Split)
            },
            unreadable=tuple(self.unreadable[position] for position in sorted(self.unreadable)),
        )

    def _feature_set(self, positions: npt.NDArray[np.intp]) -> FeatureSet:
        records = [self._records[position] for position in positions.tolist()]
        return FeatureSet(
            features=self._rows[positions],
            label_ids=np.array([record.label_id for record in records], np.int32),
            paths=tuple(record.path for record in records),
        )
