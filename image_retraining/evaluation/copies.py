"""Photos that are one and the same: equal in every byte, or nearly equal in their vectors.

A photo that is learnt from and judged by as well makes the accuracy look better than it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.near_vectors import Block, Components, near_pairs
from image_retraining.foundation.large_arrays import some_rows
from image_retraining.foundation.records import (
    JUDGING_ORDER,
    FeatureSet,
    Floats,
    ImageRecord,
    Split,
)

# Another way to search, another number: what was kept of the one before is not used.
_VERSION = 1
# Fewer pairs are searched sooner than kept.
_WORTH_KEEPING = 20_000_000

_Mask = npt.NDArray[np.bool_]


class Kept(Protocol):
    """Where what was found is kept for the next time."""

    def get(self, key: bytes) -> bytes | None:
        """Returns what was kept under a key."""

    def put(self, key: bytes, content: bytes) -> None:
        """Keeps it."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Photos that are one and the same.

    Attributes:
        records: at least two, first those that stay when copies are left out: whatever is left out
            is the same as one that stays. As a rule that is one.
        equal_bytes: whether all of them are equal in every byte, as far as is known.
        stay_count: how many stay.
    """

    records: tuple[ImageRecord, ...]
    equal_bytes: bool
    stay_count: int = 1

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
        """How many photos go when copies are left out."""
        return sum(len(group.records) - group.stay_count for group in self.groups)


def find(
    sets: Mapping[Split, FeatureSet], *, cosine: float, kept: Kept | None = None
) -> Duplicates:
    """Returns the photos that are one and the same.

    These are photos of equal bytes, in whichever split, and photos of different splits whose
    vectors are near; and whatever is the same as the same photo. A vector of zeros is near none.

    Args:
        sets: features float32 [N, D] of each split, with the same D; digests where known.
        cosine: cosine of two vectors from which on they are near, above 0 and at most 1.
        kept: what was found of large sets before, by what they hold; None keeps nothing.
    """
    # Copies in training must not shrink the test set. So groups of test photos come first, too.
    in_order = [sets[split] for split in JUDGING_ORDER]
    digests = [digest for photos in in_order for digest in photos.digests or [b""] * len(photos)]
    count = len(digests)
    if count * count < _WORTH_KEEPING:
        kept = None
    search = _Search(count)
    key = b"" if kept is None else _key(in_order, digests, cosine)
    if kept is None or not search.restore(kept.get(key)):
        search.fill([photos.features for photos in in_order], digests, cosine)
        if kept is not None:
            kept.put(key, search.content())
    groups = [
        _group(in_order, positions, digests, search.stays) for positions in search.same.groups()
    ]
    return Duplicates(tuple(sorted(groups, key=_rank)), cosine)


def without_copies(
    sets: Mapping[Split, FeatureSet], duplicates: Duplicates, *, folder: Path | None = None
) -> dict[Split, FeatureSet]:
    """Returns the sets without the copies of photos that stay; the others stay in order.

    A class may lose all its training photos by that.

    Args:
        sets: the photos.
        duplicates: what was found of them.
        folder: where what stays may lie that takes too much memory; None for nowhere else.
    """
    copies = {
        (record.split, record.path)
        for group in duplicates.groups
        for record in group.records[group.stay_count :]
    }
    staying = {
        split: np.array([(split, path) not in copies for path in photos.paths], np.bool_)
        for split, photos in sets.items()
    }
    return {
        split: photos if staying[split].all() else _only(photos, staying[split], folder)
        for split, photos in sets.items()
    }


def _only(photos: FeatureSet, stays: _Mask, folder: Path | None) -> FeatureSet:
    """Returns a set of some of its photos."""
    rows = np.flatnonzero(stays)
    features, views = photos.features, photos.views
    # All else is small.
    rest = replace(photos, features=features[:, :0], views=None).rows(rows.tolist())
    return replace(
        rest,
        features=some_rows(features, rows, folder=folder),
        views=None if views is None else some_rows(views, rows, folder=folder),
    )


class _Search:
    """Which photos are the same, and which of them stay.

    A photo is left out if it is the same as one before it that stays, not as one that is left out:
    by a chain of near ones the last may be like the first no more.

    Attributes:
        same: groups of photos that are the same, directly or by others.
        stays: bool [N].
    """

    def __init__(self, count: int) -> None:
        self.same = Components(count)
        self.stays: _Mask = np.ones([count], np.bool_)

    def fill(self, features: Sequence[Floats], digests: Sequence[bytes], cosine: float) -> None:
        """Searches sets, float32 [N, D] each; the first are to stay."""
        self._take_equal(digests)
        for first, second in near_pairs(features, cosine=cosine, wanted=self._wanted):
            self.same.join(first, second)
            self.stays[second[self.stays[first]]] = False

    def content(self) -> bytes:
        """Returns what was found, to be kept."""
        return self.same.numbers.astype("<i4").tobytes() + self.stays.tobytes()

    def restore(self, content: bytes | None) -> bool:
        """Takes what was kept; returns whether there was anything."""
        count = len(self.stays)
        if content is None or len(content) != 5 * count:
            return False
        self.same.numbers = np.frombuffer(content, "<i4", count).astype(np.intp)
        self.stays = np.frombuffer(content, np.bool_, count, 4 * count).copy()
        return True

    def _take_equal(self, digests: Sequence[bytes]) -> None:
        """Joins photos of equal digests, of which the first stays; b"" is unknown."""
        firsts: dict[bytes, int] = {}
        pairs = [
            (first, position)
            for position, digest in enumerate(digests)
            if digest and (first := firsts.setdefault(digest, position)) != position
        ]
        first, second = np.array(pairs, np.intp).reshape([-1, 2]).T
        self.same.join(first, second)
        self.stays[second] = False

    def _wanted(self, block: Block) -> _Mask:
        """Returns of which pairs it matters whether they are near."""
        one, other = block.rows, block.columns
        numbers = self.same.numbers
        wanted: _Mask = numbers[one, np.newaxis] != numbers[other]
        return wanted | (self.stays[one, np.newaxis] & self.stays[other])


def _key(in_order: Sequence[FeatureSet], digests: Sequence[bytes], cosine: float) -> bytes:
    """Returns a SHA-256 of all that decides what is found."""
    content = hashlib.sha256(f"copies {_VERSION} {cosine!r}".encode())
    for photos in in_order:
        content.update(f"\n{photos.features.shape}\n".encode())
        content.update(np.ascontiguousarray(photos.features).data)
    for digest in digests:
        content.update(digest.rjust(32, b"\0"))
    return content.digest()


def _group(
    in_order: Sequence[FeatureSet],
    positions: Sequence[int],
    digests: Sequence[bytes],
    stays: _Mask,
) -> DuplicateGroup:
    positions = sorted(positions, key=lambda position: not stays[position])
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
        stay_count=int(np.count_nonzero(stays[positions])),
    )


def _rank(group: DuplicateGroup) -> tuple[bool, bool]:
    return len(group.splits) == 1, not group.leaks
