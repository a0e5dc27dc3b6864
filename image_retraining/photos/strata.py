"""Photos of a class → splits at the exact percentages, for sets that are small or share names.

Each class is cut by itself: its photos stand in the order of a hash of class and name; the first
are for validation, the last for testing, at least one each where there are enough. So a photo's
split depends on how many others there are: photos that are added move a few of those before across
the cuts. That is no promise, as the split by names is (`photos/splits.py`).
"""

import hashlib
import os
from collections.abc import Sequence
from itertools import accumulate

from image_retraining.foundation.records import Split
from image_retraining.photos.splits import GROUP_MARK, group_of


def stratified(
    label: str, paths: Sequence[str], *, validation_percentage: int, testing_percentage: int
) -> dict[str, Split]:
    """Returns the split of each photo of a class.

    Photos whose names are the same up to `_nohash_` stay together, so that the cuts are as near to
    the percentages as these let them be.

    Args:
        label: the class.
        paths: its photos, as paths from a folder whose own place does not matter.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.
    """
    groups = _groups(label, paths)
    first, last = _cuts([len(group) for group in groups], validation_percentage, testing_percentage)
    splits: dict[str, Split] = {}
    for place, group in enumerate(groups):
        split = Split.VALIDATION if place < first else Split.TRAINING
        splits |= dict.fromkeys(group, split if place < last else Split.TESTING)
    return splits


def _groups(label: str, paths: Sequence[str]) -> list[list[str]]:
    """Returns the photos that stay together, in the order of the hash."""
    groups: dict[tuple[bytes, bytes], list[str]] = {}
    for path in paths:
        name = os.fsencode(os.path.basename(path))
        place = _hash(os.fsencode(label), group_of(path))
        # Of one name in many folders, each is a photo by itself.
        own = b"" if GROUP_MARK in name else _hash(os.fsencode(path))
        groups.setdefault((place, own), []).append(path)
    return [group for _, group in sorted(groups.items())]


def _cuts(sizes: Sequence[int], validation: int, testing: int) -> tuple[int, int]:
    """Returns how many groups are before the training photos, and how many before the test."""
    count, total = len(sizes), sum(sizes)
    ends = [0, *accumulate(sizes)]
    # A head needs photos to learn from, then some to be judged by, then some to be chosen by.
    least_testing = int(testing > 0 and count > 1)
    least_validation = int(validation > 0 and count > 1 + least_testing)
    first = last = 0
    if least_validation:
        first = _nearest(ends, total * validation, range(1, count - least_testing))
    last = count
    if least_testing:
        last = _nearest(ends, total * (100 - testing), range(first + 1, count))
    return first, last


def _nearest(ends: Sequence[int], hundredfold: int, places: range) -> int:
    """Returns the place at which as many photos are before as are wanted, or nearly."""
    return min(places, key=lambda place: abs(ends[place] * 100 - hundredfold))


def _hash(*parts: bytes) -> bytes:
    # SHA-1 as for the split by names: not a safeguard.
    return hashlib.sha1(b"\0".join(parts), usedforsecurity=False).digest()
