"""Areas and precisions, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from image_retraining.evaluation.ranking_quality import mean_of_defined, one_against_rest
from image_retraining.foundation.records import Floats
from image_retraining.head.softmax import softmax

NAN = float("nan")


def logits_of(*rows: list[float]) -> Floats:
    return np.array(rows, np.float32)


@pytest.mark.parametrize("steps", [1, 3, 1000], ids=["all equal", "many ties", "few ties"])
def test_they_are_scikit_learn_s(steps: int) -> None:
    random = np.random.default_rng(steps)
    # Of two logits the probabilities are as equal as the logits are.
    logits = (random.integers(steps, size=[200, 2]) / 4).astype(np.float32)
    logits[:, 1] = 0
    label_ids = random.integers(2, size=200).astype(np.int32)
    areas, precisions = one_against_rest(logits, label_ids)
    probabilities = softmax(logits)
    for label_id in range(2):
        truth, scores = label_ids == label_id, probabilities[:, label_id]
        assert areas[label_id] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        expected = average_precision_score(truth, scores)
        assert precisions[label_id] == pytest.approx(expected, abs=1e-12)


def test_of_many_classes_they_are_scikit_learn_s_means() -> None:
    random = np.random.default_rng(0)
    label_ids = np.repeat(np.arange(7), [1, 2, 40, 3, 50, 10, 4]).astype(np.int32)
    logits = (random.normal(size=[110, 7]) + 2 * np.eye(7)[label_ids]).astype(np.float32)
    areas, precisions = one_against_rest(logits, label_ids)
    truth, probabilities = np.eye(7)[label_ids], softmax(logits)
    expected = roc_auc_score(truth, probabilities, average="macro")
    assert mean_of_defined(areas) == pytest.approx(expected, abs=1e-12)
    expected = average_precision_score(truth, probabilities, average="macro")
    assert mean_of_defined(precisions) == pytest.approx(expected, abs=1e-12)


# Worked out by hand.
@pytest.mark.parametrize(
    ("logits", "label_ids", "areas", "precisions"),
    [
        # The one photo of the class is behind one of two others: half of the pairs.
        (logits_of([1, 0], [2, 0], [0, 0]), [0, 1, 1], [0.5, 0.5], [0.5, 5 / 6]),
        # Class 2 has no photo, so that it is undefined.
        (logits_of([3, 0, 9], [0, 3, 9]), [0, 1], [1, 1, NAN], [1, 1, NAN]),
        # All photos are of class 1.
        (logits_of([3, 0], [0, 3]), [1, 1], [NAN, NAN], [NAN, NAN]),
        (logits_of([0, 0]), [1], [NAN, NAN], [NAN, NAN]),
        # The training went astray.
        (logits_of([NAN, 0], [0, 1]), [0, 1], [NAN, NAN], [NAN, NAN]),
        (logits_of([float("inf"), 0], [0, 1]), [0, 1], [NAN, NAN], [NAN, NAN]),
    ],
)
def test_few_photos(
    logits: Floats, label_ids: list[int], areas: list[float], precisions: list[float]
) -> None:
    found = one_against_rest(logits, np.array(label_ids, np.int32))
    assert found[0].tolist() == pytest.approx(areas, nan_ok=True)
    assert found[1].tolist() == pytest.approx(precisions, nan_ok=True)


def test_the_mean_is_of_what_is_defined() -> None:
    assert mean_of_defined(np.array([0.5, NAN, 1.0])) == 0.75
    assert np.isnan(mean_of_defined(np.array([NAN, NAN])))
