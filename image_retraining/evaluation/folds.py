"""Which photos must stay together, and folds of photos that keep them so."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.near_vectors import Components
from image_retraining.foundation.records import Ints

Positions = npt.NDArray[np.intp]


def groups_by_keys(keys: Sequence[Sequence[bytes]]) -> Positions:
    """Returns int [N], equal for photos that share a key, directly or by others.

    Args:
        keys: of each of N photos as many as of the others: its digest, its object. A key is
            compared with those of its own place alone; b"" is shared by none.
    """
    joined = Components(len(keys))
    for place in range(len(keys[0]) if len(keys) else 0):
        firsts: dict[bytes, int] = {}
        pairs = [
            (firsts.setdefault(of_photo[place], number), number)
            for number, of_photo in enumerate(keys)
            if of_photo[place]
        ]
        joined.join(*np.array(pairs, np.intp).reshape([-1, 2]).T)
    return joined.numbers


def group_counts(label_ids: Ints, groups: Positions, label_count: int) -> Positions:
    """Returns int [C], in how many groups each class has photos."""
    pairs = np.unique(np.stack([label_ids.astype(np.intp), groups], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=label_count)


def deal(label_ids: Ints, groups: Positions, count: int, *, seed: int) -> Positions:
    """Returns the fold of each photo, as even over the classes as the groups let it be.

    Args:
        label_ids: int32 [N].
        groups: int [N], equal for photos that must be of one fold.
        count: of the folds, at least 2. Where there are fewer groups, or each class has fewer
            photos, all are of fold 0.
        seed: decides how they are dealt.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - takes a second

    folds = np.zeros([len(label_ids)], np.intp)
    if len(np.unique(groups)) < count or np.bincount(label_ids).max() < count:
        return folds
    dealer = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # Classes of few photos cannot be in every fold.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, places) in enumerate(dealer.split(folds, label_ids, groups)):
            folds[places] = number
    return folds
