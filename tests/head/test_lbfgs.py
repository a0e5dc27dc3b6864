import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from image_retraining.foundation.records import FeatureSet, Floats, Head
from image_retraining.head import lbfgs
from image_retraining.head import regularization_path as path_module
from image_retraining.head.descent_steps import step_taker
from image_retraining.head.layers import HeadLayers
from image_retraining.head.lbfgs import Samples, Solution, solve
from image_retraining.head.regularization_path import PathPoint, regularization_path

D = 12


def synthetic(
    counts: list[int], seed: int, *, features: int = D, spread: float = 1.0
) -> FeatureSet:
    """Returns vectors like a module's: none below 0, each class around a place of its own."""
    places = np.random.default_rng(99).normal(size=[len(counts), features])
    label_ids = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    random = np.random.default_rng(seed)
    vectors = places[label_ids] + random.normal(scale=spread, size=[len(label_ids), features])
    paths = tuple(f"{number}.jpg" for number in range(len(label_ids)))
    return FeatureSet(np.maximum(vectors, 0).astype(np.float32), label_ids, paths)


TRAINING = synthetic([40, 25, 60, 10], 0)
VALIDATION = synthetic([15, 15, 15, 15], 1)
ONES = np.ones([4], np.float32)


def solved(training: FeatureSet = TRAINING, *, l2: float, **more: Any) -> Solution:
    weights = more.pop("weights", np.ones([len(training)], np.float32))
    samples = Samples([training.features], [training.label_ids], [weights], 4)
    return solve(samples, l2=l2, **more)


def loss(solution: Solution, l2: float, weights: Any, smoothing: float = 0.0) -> float:
    """Works the loss out from its formula, in double precision."""
    logits = TRAINING.features.astype(float) @ solution.head.weights + solution.head.bias
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = (1 - smoothing) * np.eye(4)[TRAINING.label_ids] + smoothing / 4
    losses = -(truth * logs).sum(axis=1)
    penalty = l2 / 2 * np.square(solution.head.weights.astype(float)).sum()
    return float((losses * weights).sum() / weights.sum() + penalty)


WEIGHTS = {
    "even": np.ones([len(TRAINING)], np.float32),
    "uneven": np.random.default_rng(3).uniform(0.2, 5, len(TRAINING)).astype(np.float32),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("l2", [1.0, 0.03, 1e-4])
def test_the_loss_is_that_of_scikit_learn(l2: float, weights: Floats) -> None:
    solution = solved(l2=l2, weights=weights)
    reference = LogisticRegression(C=1 / (l2 * weights.sum()), tol=1e-8, max_iter=10000)
    reference.fit(TRAINING.features.astype(float), TRAINING.label_ids, weights)
    expected = loss(
        Solution(
            Head(reference.coef_.T.astype(np.float32), reference.intercept_.astype(np.float32)),
            loss=0,
            iterations=0,
            has_converged=True,
        ),
        l2,
        weights,
    )
    assert solution.loss == pytest.approx(expected, rel=1e-4)
    assert loss(solution, l2, weights) == pytest.approx(expected, rel=1e-4)
    assert solution.has_converged
    assert solution.head.weights.dtype == solution.head.bias.dtype == np.float32


def test_smoothing_is_solved_as_well() -> None:
    weights = WEIGHTS["uneven"]
    solution = solved(l2=0.01, weights=weights, label_smoothing=0.2)
    best = loss(solution, 0.01, weights, 0.2)
    assert solution.loss == pytest.approx(best, rel=1e-5)
    # No step away from it leads down.
    random = np.random.default_rng(0)
    for _ in range(20):
        noise = random.normal(scale=1e-2, size=[D + 1, 4]).astype(np.float32)
        moved = Head(solution.head.weights + noise[:D], solution.head.bias + noise[D])
        other = Solution(moved, loss=0, iterations=0, has_converged=True)
        assert loss(other, 0.01, weights, 0.2) > best
    assert loss(solved(l2=0.01, weights=weights), 0.01, weights, 0.2) > best


def test_a_near_start_saves_iterations() -> None:
    near = solved(l2=0.011).head
    cold, warm = solved(l2=0.01), solved(l2=0.01, start=near)
    assert warm.iterations < cold.iterations
    assert warm.loss == pytest.approx(cold.loss, rel=1e-5)


def test_blocks_are_one_problem() -> None:
    half = len(TRAINING) // 2
    parts = [slice(0, half), slice(half, None)]
    samples = Samples(
        [TRAINING.features[part] for part in parts],
        [TRAINING.label_ids[part] for part in parts],
        [WEIGHTS["uneven"][part] for part in parts],
        4,
    )
    whole = solved(l2=0.01, weights=WEIGHTS["uneven"])
    assert solve(samples, l2=0.01).loss == pytest.approx(whole.loss, rel=1e-5)


# The path


def path(
    training: FeatureSet = TRAINING, validation: FeatureSet = VALIDATION, **more: Any
) -> list[PathPoint]:
    settings = {"l2": None, "label_smoothing": 0.0, "class_weights": ONES} | more
    return list(regularization_path(training, validation, **settings))


def test_the_path_goes_from_strong_to_weak_past_the_best() -> None:
    points = path()
    strengths = [point.l2 for point in points]
    assert strengths[0] == 1
    for one, next_one in itertools.pairwise(strengths):
        assert next_one == pytest.approx(one / 10**0.5)
    losses = []
    for point in points:
        assert point.report.whole_validation is not None
        losses.append(point.report.whole_validation.cross_entropy)
    # It ends after three without improvement, or at 1e-6.
    assert strengths[-1] == pytest.approx(1e-6) or np.argmin(losses) == len(losses) - 4
    assert 0 < np.argmin(losses) < len(losses) - 1
    assert [point.report.steps for point in points] == [range(n, n + 1) for n in range(len(points))]
    for point in points:
        assert point.solution.loss == pytest.approx(solved(l2=point.l2).loss, rel=1e-4)


def test_a_given_strength_is_the_only_one() -> None:
    (point,) = path(l2=0.02)
    assert point.l2 == 0.02
    assert point.solution.loss == pytest.approx(solved(l2=0.02).loss, rel=1e-6)


def test_without_validation_photos_there_is_one_strength() -> None:
    nobody = FeatureSet(np.empty([0, D], np.float32), np.empty([0], np.int32), ())
    (point,) = path(validation=nobody)
    assert point.l2 == 1 / len(TRAINING)
    assert point.report.validation is None
    assert point.report.whole_validation is None


def test_a_photo_with_views_counts_as_much_as_one_without() -> None:
    # Views that are the photo itself change nothing.
    same = FeatureSet(
        TRAINING.features,
        TRAINING.label_ids,
        TRAINING.paths,
        views=np.repeat(TRAINING.features[:, np.newaxis], 3, axis=1),
    )
    (alone,), (with_views,) = path(l2=0.01), path(same, l2=0.01)
    assert with_views.solution.loss == pytest.approx(alone.solution.loss, rel=1e-5)
    np.testing.assert_allclose(
        with_views.report.head.weights, alone.report.head.weights, rtol=0.02, atol=2e-3
    )


def test_class_weights_move_the_head() -> None:
    heavy = np.array([1, 1, 1, 50], np.float32)
    (plain,), (weighted,) = path(l2=0.1), path(l2=0.1, class_weights=heavy)
    expected = solved(l2=0.1, weights=heavy[TRAINING.label_ids])
    assert weighted.solution.loss == pytest.approx(expected.loss, rel=1e-5)
    assert weighted.report.head.bias[3] > plain.report.head.bias[3]


# Few photos, many classes, uneven classes


@pytest.mark.parametrize(
    ("counts", "features"),
    [
        pytest.param([2] * 1000, 64, id="2 photos of each of 1000 classes"),
        pytest.param([200, 4, 4], 16, id="50 times the photos"),
        pytest.param([1, 1], 4, id="one photo a class"),
    ],
)
def test_odd_shapes_are_learnt(counts: list[int], features: int) -> None:
    training = synthetic(counts, 5, features=features, spread=0.1)
    validation = synthetic([1] * len(counts), 6, features=features, spread=0.1)
    weights = np.asarray(len(training) / (len(counts) * np.array(counts)), np.float32)
    points = path(training, validation, class_weights=weights)
    evaluations = [point.report.whole_validation for point in points]
    best = min((one for one in evaluations if one), key=lambda one: one.cross_entropy)
    assert best.accuracy >= 0.99


def test_an_interruption_that_was_dropped_ends_it(interrupt_unheard: Callable[[], None]) -> None:
    interrupt_unheard()
    with pytest.raises(KeyboardInterrupt):
        solved(l2=0.01)


@pytest.mark.parametrize(("l2", "label_smoothing"), [(0.3, 0.0), (0.02, 0.0), (0.3, 0.2)])
def test_the_loss_is_the_one_that_descent_goes_down(l2: float, label_smoothing: float) -> None:
    """It is written twice, in NumPy and in TensorFlow: a step of size 1 takes off the slope."""
    random = np.random.default_rng(7)
    features = random.normal(size=(40, 6)).astype(np.float32)
    label_ids = random.integers(3, size=40).astype(np.int32)
    weights = random.normal(size=(6, 3)).astype(np.float32)
    bias = random.normal(size=3).astype(np.float32)
    take_steps = step_taker(HeadLayers(), adam=False, l2=l2, label_smoothing=label_smoothing)
    (after, *_), _ = take_steps(
        ({"weights": tf.constant(weights), "bias": tf.constant(bias)}, (), {}),
        (features, np.arange(40)[np.newaxis], label_ids[np.newaxis], np.zeros([1, 2], np.int64)),
        0.0,
        1.0,
    )
    samples = Samples([features], [label_ids], [np.ones(40, np.float32)], 3)
    objective = lbfgs._Objective(samples, l2, label_smoothing)  # noqa: SLF001 - its slope is inside
    _, slope = objective(objective.packed(Head(weights, bias)))
    rows = slope.reshape(-1, 3)
    # The solver's bias is that of centred features: its slope by the weights is of the same step.
    mean = features.mean(axis=0)
    np.testing.assert_allclose(bias - after["bias"], rows[-1], atol=1e-5)
    np.testing.assert_allclose(
        weights - after["weights"], rows[:-1] + np.outer(mean, rows[-1]), atol=1e-5
    )


def test_the_path_ends_by_the_weighted_loss() -> None:
    # Of each class but the first one photo: they weigh next to nothing unless they are weighted.
    validation = synthetic([60, 1, 1, 1], 5)
    weights = np.array([1, 200, 200, 200], np.float32)
    plain, weighted = (
        path(validation=validation),
        path(validation=validation, validation_weights=weights),
    )
    for points, name in ((plain, "cross_entropy"), (weighted, "weighted_cross_entropy")):
        losses = [getattr(point.report.whole_validation, name) for point in points]
        assert len(losses) == 13 or int(np.argmin(losses)) == len(losses) - 4
    assert len(plain) != len(weighted)


def test_many_photos_are_gone_through_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features = TRAINING.features, TRAINING.label_ids
    weights = np.ones([len(TRAINING)], np.float32)
    samples = Samples([features[0]], [features[1]], [weights], 4)
    whole = lbfgs.solve(samples, l2=0.01)
    monkeypatch.setattr(lbfgs, "_ROWS", 7)
    blocks = lbfgs.solve(samples, l2=0.01)
    assert blocks.loss == pytest.approx(whole.loss, rel=1e-6)
    np.testing.assert_allclose(
        blocks.head.logits(features[0]), whole.head.logits(features[0]), atol=2e-3
    )


def test_of_many_training_photos_the_accuracy_of_some_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(path_module, "_MOST_TOLD", 50)
    for point in path():
        assert point.report.train
        assert len(point.report.train.label_ids) == 50
