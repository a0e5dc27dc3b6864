import warnings

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

from image_retraining.evaluation.metrics import Metrics, measure
from image_retraining.foundation.records import Evaluation, Head
from image_retraining.head.softmax import evaluate

NAN = float("nan")


def evaluation(true_ids: list[int], predicted_ids: list[int], classes: int) -> Evaluation:
    """Returns what evaluate() makes of a head that answers so."""
    logits = np.eye(classes, dtype=np.float32)[predicted_ids]
    head = Head(np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32))
    return evaluate(head, logits, np.array(true_ids, np.int32))


def measured(true_ids: list[int], predicted_ids: list[int], classes: int) -> Metrics:
    labels = [f"label {label_id}" for label_id in range(classes)]
    return measure(evaluation(true_ids, predicted_ids, classes), labels)


# Counted by hand: ten photos of five classes. Class 3 has no photo and is answered once, class 4
# has neither photo nor answer.
TRUE_IDS = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
PREDICTED = [0, 0, 0, 1, 1, 1, 3, 0, 2, 1]


def test_figures_counted_by_hand() -> None:
    metrics = measured(TRUE_IDS, PREDICTED, 5)
    assert metrics.confusion.tolist() == [
        [3, 1, 0, 0, 0],
        [0, 2, 0, 1, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert metrics.support.tolist() == [4, 3, 3, 0, 0]
    assert metrics.count == 10
    assert metrics.precision.tolist() == pytest.approx([3 / 4, 2 / 4, 1, NAN, NAN], nan_ok=True)
    assert metrics.recall.tolist() == pytest.approx([3 / 4, 2 / 3, 1 / 3, NAN, NAN], nan_ok=True)
    assert metrics.f1.tolist() == pytest.approx([3 / 4, 4 / 7, 1 / 2, NAN, NAN], nan_ok=True)
    assert metrics.accuracy == 0.6
    assert metrics.macro_precision == pytest.approx(9 / 12)
    assert metrics.macro_recall == metrics.macro_accuracy == pytest.approx(21 / 36)
    assert metrics.macro_f1 == pytest.approx(51 / 84)
    assert metrics.cross_entropy == evaluation(TRUE_IDS, PREDICTED, 5).cross_entropy
    assert metrics.top_5_accuracy is None
    assert metrics.confusion.dtype == np.int64


@pytest.mark.parametrize(
    ("true_ids", "predicted_ids", "classes", "accuracy", "precision", "recall", "f1"),
    [
        ([1], [1], 2, 1.0, [NAN, 1], [NAN, 1], [NAN, 1]),
        ([0], [1], 2, 0.0, [0, NAN], [0, NAN], [0, NAN]),
        # Never answered: no photo is taken for class 0.
        ([0, 1], [1, 1], 2, 0.5, [0, 1 / 2], [0, 1], [0, 2 / 3]),
        ([2, 2], [0, 1], 3, 0.0, [NAN, NAN, 0], [NAN, NAN, 0], [NAN, NAN, 0]),
    ],
)
def test_few_photos_and_classes(  # noqa: PLR0913
    *,
    true_ids: list[int],
    predicted_ids: list[int],
    classes: int,
    accuracy: float,
    precision: list[float],
    recall: list[float],
    f1: list[float],
) -> None:
    metrics = measured(true_ids, predicted_ids, classes)
    assert metrics.accuracy == accuracy
    assert metrics.precision.tolist() == pytest.approx(precision, nan_ok=True)
    assert metrics.recall.tolist() == pytest.approx(recall, nan_ok=True)
    assert metrics.f1.tolist() == pytest.approx(f1, nan_ok=True)
    assert metrics.macro_f1 == pytest.approx(np.nanmean(f1))


@pytest.mark.parametrize(("photos", "classes"), [(1, 2), (30, 4), (400, 5), (400, 300)])
def test_figures_are_those_of_scikit_learn_to_the_last_bit(photos: int, classes: int) -> None:
    random = np.random.default_rng(photos)
    true_ids, predicted_ids = random.integers(classes, size=[2, photos]).tolist()
    metrics = measured(true_ids, predicted_ids, classes)
    ids = range(classes)
    expected = confusion_matrix(true_ids, predicted_ids, labels=ids)
    assert metrics.confusion.tolist() == expected.tolist()
    *figures, support = precision_recall_fscore_support(
        true_ids, predicted_ids, labels=ids, zero_division=0.0
    )
    for found, of_library in zip(
        (metrics.precision, metrics.recall, metrics.f1), figures, strict=True
    ):
        assert found[support > 0].tolist() == of_library[support > 0].tolist()


def test_intervals_are_wilson_s() -> None:
    metrics = measured(TRUE_IDS, PREDICTED, 5)

    def by_scipy(right: int, count: int) -> list[float]:
        found = binomtest(right, count).proportion_ci(0.95, method="wilson")
        return [found.low, found.high]

    assert list(metrics.accuracy_interval) == pytest.approx(by_scipy(6, 10))
    ends = [by_scipy(3, 4), by_scipy(2, 3), by_scipy(1, 3), [NAN, NAN], [NAN, NAN]]
    assert metrics.recall_intervals == pytest.approx(np.array(ends), nan_ok=True)
    assert metrics.top_5_accuracy_interval is None
    of_many = measured(TRUE_IDS, PREDICTED, 7)
    assert of_many.top_5_accuracy
    right = round(of_many.top_5_accuracy * 10)
    assert of_many.top_5_accuracy_interval == pytest.approx(tuple(by_scipy(right, 10)))


def test_areas_are_of_each_class_against_the_rest() -> None:
    logits = np.random.default_rng(0).normal(size=[60, 3]).astype(np.float32)
    label_ids = np.repeat(np.arange(3), 20).astype(np.int32)
    metrics = measure(Evaluation(logits, label_ids, 0, 0, 0), ("a", "b", "c"))
    truth, probabilities = np.eye(3)[label_ids], softmax(logits, axis=1)
    assert metrics.roc_auc == pytest.approx(roc_auc_score(truth, probabilities, average=None))
    expected = average_precision_score(truth, probabilities, average=None)
    assert metrics.average_precision == pytest.approx(expected)
    assert metrics.macro_roc_auc == pytest.approx(roc_auc_score(truth, probabilities))
    assert metrics.macro_average_precision == pytest.approx(expected.mean())


@pytest.mark.parametrize("photos", [1, 21, 1500])
def test_a_thousand_classes(photos: int) -> None:
    random = np.random.default_rng(photos)
    true_ids = random.integers(1000, size=photos).tolist()
    predicted_ids = random.integers(1000, size=photos).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = measured(true_ids, predicted_ids, 1000)
    assert metrics.confusion.shape == (1000, 1000)
    assert metrics.support.tolist() == np.bincount(true_ids, minlength=1000).tolist()
    taken = np.bincount(predicted_ids, minlength=1000)
    assert metrics.confusion.sum(axis=0).tolist() == taken.tolist()
    assert np.isnan(metrics.recall).tolist() == (metrics.support == 0).tolist()
    # The mean recall, weighed by the photos, is the share of right answers.
    assert np.nansum(metrics.recall * metrics.support) / photos == pytest.approx(metrics.accuracy)


def top_5(logits: list[list[float]], true_ids: list[int]) -> float | None:
    judged = Evaluation(np.array(logits, np.float32), np.array(true_ids, np.int32), 0, 0, 0)
    return measure(judged, [str(label_id) for label_id in range(len(logits[0]))]).top_5_accuracy


@pytest.mark.parametrize(
    ("logits", "true_ids", "expected"),
    [
        ([[9, 8, 7, 6, 5, 4]], [4], 1),
        ([[9, 8, 7, 6, 5, 4]], [5], 0),
        ([[4, 5, 6, 7, 8, 9, 3]] * 4, [0, 1, 5, 6], 0.5),
        # Of equals the lower label_id comes first.
        ([[0, 0, 0, 0, 0, 0]] * 2, [0, 4], 1),
        ([[0, 0, 0, 0, 0, 0]], [5], 0),
        ([[NAN] * 6], [5], 0),
        ([[5, 4, 3, 2, 1]], [4], None),
    ],
)
def test_top_5(logits: list[list[float]], true_ids: list[int], expected: float | None) -> None:
    assert top_5(logits, true_ids) == expected


def test_top_5_is_that_of_scikit_learn_where_no_logits_are_equal() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=[300, 20])
    true_ids = random.integers(20, size=300)
    expected = top_k_accuracy_score(true_ids, logits, k=5, labels=range(20))
    assert top_5(logits.tolist(), true_ids.tolist()) == pytest.approx(expected)
