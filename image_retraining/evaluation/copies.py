"""Photos that are one and the same: equal in every byte, or nearly equal in their vectors.

A photo that is learnt from and judged by as well makes the accuracy look better than it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from image_retraining.evaluation.near_vectors import Components, join_near
from image_retraining.foundation.records import JUDGING_ORDER, FeatureSet, ImageRecord, Split


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos that are one and the same.

    Attributes:
        records: at least two, first the one that stays when copies are left out.
        equal_bytes: whether all of them are equal in every byte, as far as is known.
    """

    records: tuple[ImageRecord, ...]
    equal_bytes: bool

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that the group straddles; a single one for copies within a split."""
        return frozenset(record.split for record in self.records)

    @property
    def contradictory(self) -> bool:
        """Whether the same photo has different labels."""
        return len({record.label_id for record in self.records}) > 1

    @property
    def leaks(self) -> bool:
        """Whether a photo is learnt from and judged by."""
        return {Split.TRAINING, Split.TESTING} <= self.splits


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found.

    Attributes:
        groups: first those that straddle training and testing, then other splits, then those
            within a split; by their first photos.
        cosine: from which on vectors are near, above 0 and at most 1.
    """

    groups: tuple[DuplicateGroup, ...]
    cosine: float

    @property
    def copy_count(self) -> int:
        """How many photos go when one of each group stays."""
        return sum(len(group.records) - 1 for group in self.groups)


def find(sets: Mapping[Split, FeatureSet], *, cosine: float) -> Duplicates:
    """Returns the photos that are one and the same.

    These are photos of equal bytes, in whichever split, and photos of different splits whose
    vectors are near; and whatever is the same as the same photo. A vector of zeros is near none.

    Args:
        sets: features float32 [N, D] of each split, with the same D; digests where known.
        cosine: cosine of two vectors from which on they are near, above 0 and at most 1.
    """
    # The first of a group stays: copies in training must not shrink the test set. Groups of test
    # photos come first by that, too.
    in_order = [sets[split] for split in JUDGING_ORDER]
    same = Components(sum(map(len, in_order)))
    digests = [digest for photos in in_order for digest in photos.digests or [b""] * len(photos)]
    _join_equal(digests, same)
    join_near([photos.features for photos in in_order], same, cosine=cosine)
    groups = [_group(in_order, positions, digests) for positions in same.groups()]
    return Duplicates(tuple(sorted(groups, key=_rank)), cosine)


def without_copies(
    sets: Mapping[Split, FeatureSet], duplicates: Duplicates
) -> dict[Split, FeatureSet]:
    """Returns the sets with one photo of each group, its first; the others stay in order.

    A class may lose all its training photos by that.
    """
    copies = {
        (record.split, record.path) for group in duplicates.groups for record in group.records[1:]
    }
    return {
        split: photos.rows(
            [row for row, path in enumerate(photos.paths) if (split, path) not in copies]
        )
        for split, photos in sets.items()
    }


def _join_equal(digests: Sequence[bytes], same: Components) -> None:
    """Joins the photos of equal bytes; b"" is unknown."""
    firsts: dict[bytes, int] = {}
    pairs = [
        (first, position)
        for position, digest in enumerate(digests)
        if digest and (first := firsts.setdefault(digest, position)) != position
    ]
    same.join(*np.array(pairs, np.intp).reshape([-1, 2]).T)


def _group(
    in_order: Sequence[FeatureSet], positions: Sequence[int], digests: Sequence[bytes]
) -> DuplicateGroup:
    ends = np.cumsum([len(photos) for photos in in_order])
    numbers = np.searchsorted(ends, positions, side="right")
    records = []
    for position, number in zip(positions, numbers.tolist(), strict=True):
        photos = in_order[number]
        row = position - int(ends[number])  # negative: counted from the end of the set
        label_id, split = int(photos.label_ids[row]), JUDGING_ORDER[number]
        records.append(ImageRecord(photos.paths[row], label_id, split))
    known = {digests[position] for position in positions}
    return DuplicateGroup(
        records=tuple(records),
        equal_bytes=len(known) == 1 and b"" not in known,
    )


def _rank(group: DuplicateGroup) -> tuple[bool, bool]:
    return len(group.splits) == 1, not group.leaks
