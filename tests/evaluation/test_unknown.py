"""What is unknown by feature vectors."""

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from image_retraining.evaluation.unknown import FeatureRule, Space, fit, fit_space, thresholds
from image_retraining.exports.unknown_file import rule_bytes
from image_retraining.foundation import large_arrays
from image_retraining.foundation.records import FeatureSet

RANDOM = np.random.default_rng(7)


def photos(features: Any, label_ids: Any) -> FeatureSet:
    features = np.asarray(features, np.float32)
    paths = tuple(f"{number}.jpg" for number in range(len(features)))
    return FeatureSet(features, np.asarray(label_ids, np.int32), paths)


# Two classes at (1, 0) and (0, 1). Along the first axis 0.5 is one standard deviation, along the
# second 0.25.
SPACE = Space(
    places=np.arange(2, dtype=np.int16),
    signs=np.ones(2, np.int8),
    centre=np.zeros(2, np.float32),
    scale=1.0,
    means=np.array([[1, 0], [0, 1]], np.float16),
    directions=np.array([[1, 0]], np.float16),
    spreads=np.array([0.5], np.float32),
    rest=0.25,
)


@pytest.mark.parametrize(
    ("vector", "distance"),
    [
        ([1, 0], 0),
        ([0, 7], 0),
        # (0.6, 0.8) of length 1: to (1, 0) it is hypot(0.4 / 0.5, 0.8 / 0.25) = 3.30, and to
        # (0, 1) hypot(0.6 / 0.5, 0.2 / 0.25) = hypot(1.2, 0.8).
        ([3, 4], 1.44222051),
        # To (1, 0): 2 / 0.5 = 4; to (0, 1): hypot(1 / 0.5, 1 / 0.25) = 4.47.
        ([-1, 0], 4),
        # A vector of zeros has no direction: 1 / 0.5 to the nearer mean.
        ([0, 0], 2),
        ([np.nan, 0], np.inf),
    ],
)
def test_distances_by_hand(vector: list[float], distance: float) -> None:
    found = SPACE.distances(np.array([vector, [1, 0]], np.float32))
    np.testing.assert_allclose(found, [distance, 0], atol=1e-6)


def test_centre_scale_and_folding_by_hand() -> None:
    # (3, 4, 0) has the length 5; folded by the places 0, 1, 0 and the signs +, -, +: (0.6, -0.8).
    # Less (0.1, 0.2), over 0.5: (1, -2). To the mean (0, 0): hypot(1 / 0.5, 2 / 0.25).
    space = replace(
        SPACE,
        places=np.array([0, 1, 0], np.int16),
        signs=np.array([1, -1, 1], np.int8),
        centre=np.array([0.1, 0.2], np.float32),
        scale=0.5,
        means=np.array([[0, 0]], np.float16),
    )
    (found,) = space.distances(np.array([[3, 4, 0]], np.float32))
    assert found == pytest.approx(np.hypot(2, 8), rel=1e-6)


def test_no_photo_has_no_distance() -> None:
    assert SPACE.distances(np.empty([0, 2], np.float32)).shape == (0,)


def clouds(count: int, size: int, classes: int = 3) -> FeatureSet:
    """Returns photos whose vectors lie in clouds, each feature spread another way."""
    label_ids = np.sort(np.arange(count) % classes)
    means = np.random.default_rng(1).uniform(1, 2, [classes, size])
    spread = RANDOM.normal(size=[count, size]) * np.linspace(0.05, 0.3, size)
    return photos(means[label_ids] + spread, label_ids)


def test_distances_are_those_of_scikit_learn() -> None:
    training, others = clouds(120, 8), RANDOM.uniform(0, 3, [50, 8])
    space = fit_space(training)
    assert space is not None
    vectors = training.features.astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([unit[training.label_ids == label].mean(axis=0) for label in range(3)])
    shared = LedoitWolf(assume_centered=True).fit(unit - means[training.label_ids])
    asked = others / np.linalg.norm(others, axis=1, keepdims=True)
    wanted = np.min([shared.mahalanobis(asked - mean) for mean in means], axis=0) ** 0.5
    np.testing.assert_allclose(space.distances(others.astype(np.float32)), wanted, rtol=3e-3)


@pytest.mark.parametrize(
    ("probabilities", "distances", "keep", "least", "farthest"),
    [
        # 20 photos of which one may go: the unsurest is the farthest too.
        ([0.3, *[0.9] * 19], [9.0, *[1.0] * 19], 0.95, 0.9, 1.0),
        # The unsurest and the farthest are two: neither may go.
        ([0.3, *[0.9] * 19], [*[1.0] * 19, 9.0], 0.95, 0.3, 9.0),
        # Two may go, and they are the two.
        ([0.3, *[0.9] * 19], [*[1.0] * 19, 9.0], 0.9, 0.9, 1.0),
        # Of 4 that may go, each takes its worst two.
        (np.arange(10) / 10, np.arange(10.0), 0.6, 0.2, 7.0),
        # Of 19, one would be more than a twentieth.
        (np.arange(19) / 19, np.arange(19.0), 0.95, 0.0, 18.0),
    ],
)
def test_the_thresholds_by_hand(
    probabilities: Any, distances: Any, keep: float, least: float, farthest: float
) -> None:
    found = thresholds(np.asarray(probabilities, np.float32), np.asarray(distances), keep)
    assert found == pytest.approx((least, farthest))


def answers(label_ids: Any, right: Any) -> Any:
    """Returns probabilities of three labels: 0.9 for the true one, or for the next if not right."""
    found = np.full([len(label_ids), 3], 0.05, np.float32)
    found[np.arange(len(label_ids)), (label_ids + ~np.asarray(right)) % 3] = 0.9
    return found


def test_a_rule_keeps_right_answers_and_finds_foreign_vectors() -> None:
    training, validation = clouds(300, 8), clouds(60, 8)
    right = np.arange(60) % 6 > 0
    rule = fit(training, validation, answers(validation.label_ids, right))
    assert rule is not None
    assert rule.photo_count == 50
    distances = rule.space.distances(validation.features)
    unknown = np.array([rule.is_unknown(far, 0.9) for far in distances])
    # Two of 50 are a twentieth, rounded down.
    assert unknown[right].sum() <= 2
    foreign = RANDOM.uniform(0, 3, [200, 8]).astype(np.float32)
    assert np.mean([rule.is_unknown(far, 0.9) for far in rule.space.distances(foreign)]) > 0.9
    assert rule.is_unknown(0.0, rule.least_probability - 0.01)
    assert not rule.is_unknown(rule.farthest, rule.least_probability)
    assert rule.is_unknown(0.0, float("nan"))
    assert rule.is_unknown(float("nan"), 0.9)


@pytest.mark.parametrize(("count", "is_fitted"), [(19, False), (20, True)])
def test_too_few_right_answers_give_no_rule(count: int, is_fitted: bool) -> None:  # noqa: FBT001
    validation = clouds(40, 8)
    right = np.arange(40) < count
    rule = fit(clouds(60, 8), validation, answers(validation.label_ids, right))
    assert (rule is not None) == is_fitted


@pytest.mark.parametrize("value", [1.0, 0.0, np.inf, np.nan])
def test_vectors_without_spread_give_no_rule(value: float) -> None:
    validation = clouds(60, 8)
    label_ids = validation.label_ids
    training = photos(np.full([60, 8], value), label_ids)
    assert fit(training, validation, answers(label_ids, np.ones(60, np.bool_))) is None


@pytest.mark.parametrize(("spread", "is_fitted"), [(4e-5, False), (6e-5, True)])
def test_classes_that_hardly_spread(spread: float, is_fitted: bool) -> None:  # noqa: FBT001
    # The means differ by 1 / 6e-5 of the scale, which float16 holds, give or take 4.
    ends = np.repeat(np.eye(2), 50, axis=0)
    signs = np.tile([[1], [-1]], [50, 2])
    features = ends + 2**0.5 * spread * signs * ends[:, ::-1]
    space = fit_space(photos(features, np.repeat([0, 1], 50)))
    assert (space is not None) == is_fitted
    if space is not None:
        near, far = space.distances(np.array([[1, 0], [1, 1]], np.float32))
        assert near < 8
        assert 1000 < far < np.inf


def test_equal_photos_give_equal_bytes() -> None:
    training = clouds(120, 50)
    first, second = (fit_space(training) for _ in range(2))
    assert first is not None
    assert second is not None
    rules = [FeatureRule(space, 1.0, 0.5, 20) for space in (first, second)]
    assert rule_bytes(rules[0]) == rule_bytes(rules[1])


@pytest.mark.parametrize(
    ("size", "classes", "folded"),
    # 3,600,000 / (10000 + 256) = 351.
    [(2, 3, 2), (2048, 3, 2048), (2049, 3, 2048), (3000, 1000, 2048), (600, 10_000, 351)],
)
def test_it_stays_small(size: int, classes: int, folded: int) -> None:
    training = clouds(classes + 300, size, classes)
    space = fit_space(training)
    assert space is not None
    assert space.means.shape == (classes, folded)
    contents = rule_bytes(FeatureRule(space, 1.0, 0.5, 20))
    assert len(base64.b64encode(contents)) <= 10_000_000
    with np.load(io.BytesIO(contents)) as found:
        assert found["places"].shape == (size,)


def test_folded_vectors_still_tell() -> None:
    # 4000 features of which each class has its own 100, as the last layer's rectifiers leave them.
    label_ids = np.sort(np.arange(200) % 4)

    def drawn(groups: Any) -> Any:
        found = np.abs(RANDOM.normal(size=[len(groups), 4000])) * 0.2
        for row, group in enumerate(groups):
            found[row, group * 100 : group * 100 + 100] += 1
        return found.astype(np.float32)

    space = fit_space(photos(drawn(label_ids), label_ids))
    assert space is not None
    known, foreign = space.distances(drawn(label_ids)), space.distances(drawn([20] * 50))
    assert known.max() < foreign.min()


def test_many_photos_are_gone_through_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(4)
    ids = np.sort(draws.integers(3, size=200)).astype(np.int32)
    features = (draws.normal(size=[200, 12]) + 3 * np.eye(3, 12)[ids]).astype(np.float32)
    photos = FeatureSet(features, ids, ("x.jpg",) * 200)
    whole = fit_space(photos)
    assert whole
    wanted = whole.distances(features)
    monkeypatch.setattr(large_arrays, "_ROWS_AT_ONCE", 7)
    found = fit_space(photos)
    assert found
    np.testing.assert_allclose(found.distances(features), wanted, rtol=1e-3)
