"""File name → split: a promise.

A photo's split depends on its base file name and the two percentages alone: not on the folder it
lies in, not on the other photos, not on the machine. So adding photos, moving the folder, or
renaming a class never moves a photo from the training set into the test set. Changing the formula
breaks that for everybody: test accuracies of two versions could no longer be compared, because
photos learnt from yesterday would be judged by today.

The formula is the one of TensorFlow Hub's image_retraining example, whose key was the whole path.
"""

import hashlib
import os

from image_retraining.foundation.records import Split

# Photos whose names are the same up to here stay together.
GROUP_MARK = b"_nohash_"
_MAX_HASH = 2**27 - 1


def split_of(file_name: str, *, validation_percentage: int, testing_percentage: int) -> Split:
    """Returns the split that a photo of this name belongs to.

    Everything from `_nohash_` on is dropped before hashing, so that close variants of one object
    (`plum_nohash_1.jpg`, `plum_nohash_2.jpg`) always share a split.

    Args:
        file_name: base file name with its ending, as the file system spells it.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.
    """
    percent = _percent(file_name)
    if percent < validation_percentage:
        return Split.VALIDATION
    if percent < validation_percentage + testing_percentage:
        return Split.TESTING
    return Split.TRAINING


def group_of(file_name: str) -> bytes:
    """Returns what of a file name decides the split: all up to `_nohash_`."""
    return os.fsencode(os.path.basename(file_name)).partition(GROUP_MARK)[0]


def object_of(file_name: str) -> bytes:
    """Returns what is equal for photos of one object, by their names; b"" without `_nohash_`."""
    return group_of(file_name) if GROUP_MARK in os.fsencode(os.path.basename(file_name)) else b""


def _percent(file_name: str) -> float:
    """Returns the place of a file name on a scale from 0 to 100, spread evenly by SHA-1."""
    # SHA-1 is the promise here, not a safeguard.
    number = int(hashlib.sha1(group_of(file_name), usedforsecurity=False).hexdigest(), 16)
    return number % (_MAX_HASH + 1) * (100.0 / _MAX_HASH)
