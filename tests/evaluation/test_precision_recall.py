"""Precision and recall at thresholds, against counting and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from image_retraining.evaluation.precision_recall import trade_off


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_comparing_all_with_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    # Some lie on a threshold, and some at the ends.
    probabilities = np.r_[random.random(50), random.integers(0, 9, 50) / 8].astype(np.float32)
    is_of_class = random.random(100) < 0.3
    found = trade_off(probabilities, is_of_class, 9)
    for place, threshold in enumerate(np.linspace(0, 1, 9)):
        taken = probabilities >= threshold
        assert found.right[place] == np.count_nonzero(taken & is_of_class)
        assert found.wrong[place] == np.count_nonzero(taken & ~is_of_class)
        expected = precision_score(is_of_class, taken, zero_division=1)
        assert found.precision[place] == pytest.approx(expected)
        assert found.recall[place] == pytest.approx(recall_score(is_of_class, taken))
    assert (found.positives, found.negatives) == (is_of_class.sum(), 100 - is_of_class.sum())


def test_nothing_taken_is_nothing_wrong() -> None:
    found = trade_off(np.array([0.2, 0.4], np.float32), np.array([True, False]), 3)
    assert found.right.tolist() == [1, 0, 0]
    assert found.wrong.tolist() == [1, 0, 0]
    assert found.precision.tolist() == [0.5, 1, 1]
    assert found.recall.tolist() == [1, 0, 0]
