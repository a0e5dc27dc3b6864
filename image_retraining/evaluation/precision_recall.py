"""Probabilities of a class → how precision and recall trade off as its threshold moves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.metrics import Counts, Figures
from image_retraining.foundation.records import Floats


@dataclass(frozen=True, slots=True)
class Trade:
    """What comes of taking photos for a class from each of T thresholds on, evenly from 0 to 1.

    Attributes:
        right: int64 [T], photos of the class that are taken for it.
        wrong: int64 [T], other photos that are.
        positives: how many photos are of the class, at least 1.
        negatives: how many are not.
    """

    right: Counts
    wrong: Counts
    positives: int
    negatives: int

    @property
    def precision(self) -> Figures:
        """float64 [T], share of right ones among those taken for the class; 1 where none is."""
        taken = self.right + self.wrong
        precision: Figures = np.where(taken, self.right, 1) / taken.clip(1)
        return precision

    @property
    def recall(self) -> Figures:
        """float64 [T], share of the class that is taken for it, 0 to 1."""
        recall: Figures = self.right / self.positives
        return recall


def trade_off(probabilities: Floats, is_of_class: npt.NDArray[np.bool_], thresholds: int) -> Trade:
    """Returns it for one class.

    Args:
        probabilities: float32 [N] of the class, 0 to 1.
        is_of_class: bool [N], with one that is at least.
        thresholds: T, at least 2.
    """
    # The last threshold that each photo reaches, so that none is compared with all.
    last = np.floor(probabilities.astype(np.float64) * (thresholds - 1)).astype(np.intp)
    right, wrong = (
        np.bincount(last[chosen], minlength=thresholds)[::-1].cumsum()[::-1]
        for chosen in (is_of_class, ~is_of_class)
    )
    positives = int(is_of_class.sum())
    return Trade(right, wrong, positives, len(is_of_class) - positives)
