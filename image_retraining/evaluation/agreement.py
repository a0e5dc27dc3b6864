"""How well a module knows the photos: whether those whose vectors are near have the same label.

No head is solved for it: what lies close together in the module's eyes is of one class, or is not.
"""

import numpy as np

from image_retraining.evaluation.folds import Positions
from image_retraining.evaluation.pool import Pool

_NEIGHBOURS = 5
_FEWEST = 30


def neighbours_agree(pool: Pool) -> float:
    """Returns how far the labels of near photos agree: 0 by chance, 1 always; NaN where unknown.

    Of each photo's five nearest by the cosine of their vectors, the mean of all taken off, the
    share with its label; averaged over each class, then over the classes, so that chance is one in
    C; then (share - 1 / C) / (1 - 1 / C). Photos of one group, as copies, are no neighbours, and of
    a class with fewer than five others only as many are asked. Unknown, too, is what fewer than 30
    photos would say.
    """
    present = np.unique(pool.label_ids)
    if pool.near is None or len(present) < 2:
        return float("nan")
    others = _others(pool)
    if np.count_nonzero(others) < _FEWEST:
        return float("nan")
    wanted = np.minimum(others, _NEIGHBOURS)
    same, heard = np.zeros([2, len(pool)])
    for places, cosines in zip(pool.near.places.T, pool.near.cosines.T, strict=True):
        counts = (cosines > -1.5) & (pool.groups != pool.groups[places]) & (heard < wanted)
        heard += counts
        same += counts & (pool.label_ids == pool.label_ids[places])
    known = heard > 0
    shares = same[known] / heard[known]
    label_ids = pool.label_ids[known]
    means = [shares[label_ids == label_id].mean() for label_id in np.unique(label_ids)]
    chance = 1 / len(present)
    return (float(np.mean(means)) - chance) / (1 - chance) if means else float("nan")


def _others(pool: Pool) -> Positions:
    """Returns int [N], how many photos of its class are not of a photo's group."""
    _, pairs = np.unique(np.stack([pool.label_ids, pool.groups]), axis=1, return_inverse=True)
    own = np.bincount(pairs.ravel())[pairs.ravel()]
    of_class: Positions = np.bincount(pool.label_ids)[pool.label_ids] - own
    return of_class
