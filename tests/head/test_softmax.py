import math
from typing import Any

import numpy as np
import pytest

from image_retraining.foundation.records import Head
from image_retraining.head.softmax import evaluate, softmax


def head(weights: Any, bias: Any) -> Head:
    return Head(np.array(weights, np.float32), np.array(bias, np.float32))


# Worked out by hand: with logits log(a) and log(b) the probabilities are a / (a + b), b / (a + b).
LOG_3 = math.log(3)
BY_HAND = [
    # weights, bias, features, label_ids, predicted_ids, accuracy, cross entropy
    ([[1, 0], [0, 1]], [0, 0], [[LOG_3, 0]], [0], [0], 1.0, math.log(4 / 3)),
    ([[1, 0], [0, 1]], [0, 0], [[LOG_3, 0]], [1], [0], 0.0, math.log(4)),
    ([[1, 0], [0, 1]], [0, LOG_3], [[0, 0]], [1], [1], 1.0, math.log(4 / 3)),
    (
        [[2, 0, 0]],
        [0, LOG_3, 0],
        [[LOG_3], [0], [0]],
        [0, 0, 1],
        [0, 1, 1],
        2 / 3,
        (math.log(13 / 9) + math.log(5) + math.log(5 / 3)) / 3,
    ),
]


def test_weighted_by_hand() -> None:
    known = ([[1, 0], [0, 1]], [0, 0])
    features, label_ids = np.array([[LOG_3, 0]] * 4, np.float32), np.array([0, 0, 0, 1], np.int32)
    # Losses of log(4 / 3) three times, and of log(4).
    plain = evaluate(head(*known), features, label_ids)
    assert plain.cross_entropy == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4, rel=1e-6)
    assert plain.weighted_cross_entropy == plain.cross_entropy
    weights = np.array([2, 6], np.float32)
    evenly = evaluate(head(*known), features, label_ids, weights)
    assert evenly.cross_entropy == plain.cross_entropy
    expected = (math.log(4 / 3) + math.log(4)) / 2
    assert evenly.weighted_cross_entropy == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "bias", "features", "label_ids", "predicted", "accuracy", "cross_entropy"), BY_HAND
)
def test_figures_worked_out_by_hand(  # noqa: PLR0913
    *,
    weights: Any,
    bias: Any,
    features: Any,
    label_ids: list[int],
    predicted: list[int],
    accuracy: float,
    cross_entropy: float,
) -> None:
    result = evaluate(
        head(weights, bias), np.array(features, np.float32), np.array(label_ids, np.int32)
    )
    assert result.predicted_ids.tolist() == predicted
    assert result.predicted_ids.dtype == np.int32
    assert result.label_ids.tolist() == label_ids
    assert result.accuracy == pytest.approx(accuracy)
    assert result.cross_entropy == pytest.approx(cross_entropy, rel=1e-6)


@pytest.mark.parametrize(("photos", "size", "labels"), [(1, 3, 2), (200, 30, 5), (50, 1, 300)])
def test_figures_are_those_of_double_precision(photos: int, size: int, labels: int) -> None:
    random = np.random.default_rng(photos)
    weights, bias = random.normal(size=[size, labels]), random.normal(size=labels)
    some_head = head(weights, bias)
    features = random.normal(size=[photos, size]).astype(np.float32)
    label_ids = random.integers(labels, size=photos).astype(np.int32)

    logits = features.astype(np.float64) @ some_head.weights.astype(np.float64) + some_head.bias
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    result = evaluate(some_head, features, label_ids)
    assert result.logits.dtype == np.float32
    np.testing.assert_allclose(result.logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(softmax(result.logits), probabilities, rtol=1e-4, atol=1e-6)
    assert result.predicted_ids.tolist() == logits.argmax(axis=1).tolist()
    assert result.accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == label_ids))
    expected = -np.log(probabilities[np.arange(photos), label_ids]).mean()
    assert result.cross_entropy == pytest.approx(expected, rel=1e-5)


def test_huge_logits_stay_finite() -> None:
    features = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    result = evaluate(head([[1e4, 0], [0, -1e4]], [0, 0]), features, np.array([0, 1, 1], np.int32))
    assert result.logits.tolist() == [[1e4, 0], [0, -1e4], [-1e4, 0]]
    # Certain and right, certain and wrong by 10,000 nats, certain and right.
    assert result.cross_entropy == pytest.approx(1e4 / 3)
    assert result.accuracy == pytest.approx(2 / 3)
    assert softmax(result.logits).tolist() == [[1, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize("scale", [0, 1e-6, 1, 100, 1e4, 1e30])
def test_probabilities_sum_to_one(scale: float) -> None:
    logits = (scale * np.random.default_rng(0).normal(size=[40, 7])).astype(np.float32)
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    of_largest = probabilities[np.arange(40), logits.argmax(axis=1)]
    assert of_largest.tolist() == probabilities.max(axis=1).tolist()


def test_equal_logits_are_equally_probable() -> None:
    np.testing.assert_allclose(softmax(np.full([2, 4], -500, np.float32)), 0.25)
