from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors

from image_retraining.evaluation.label_next import Candidate, rank
from image_retraining.foundation.records import FeatureSet, Floats, Head

# Three labels, told by the first three of 24 features.
HEAD = Head(np.eye(24, 3, dtype=np.float32), np.zeros([3], np.float32))


def photos_of(features: Floats) -> FeatureSet:
    count = len(features)
    nobody = np.zeros([count], np.int32)
    return FeatureSet(features, nobody, tuple(f"{number}.jpg" for number in range(count)))


def around(count: int, *, seed: int = 0, at: int | None = None) -> Floats:
    """Returns vectors around nothing, or around a label's."""
    features = np.random.default_rng(seed).normal(size=[count, 24])
    if at is not None:
        features[:, at] += 6
    return features.astype(np.float32)


def places(found: tuple[Candidate, ...]) -> list[int]:
    return [int(one.path.removesuffix(".jpg")) for one in found]


def expected_first(photos: Floats, labelled: Floats) -> tuple[int, float]:
    """Returns the first place and its score, by the formula of the module's docstring."""
    everything = np.concatenate([photos, labelled]).astype(float)
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    everything -= everything.mean(axis=0)
    own, known = everything[: len(photos)], everything[len(photos) :]
    finder = NearestNeighbors(n_neighbors=20, metric="cosine").fit(own)
    density = (1 - finder.kneighbors()[0]).mean(axis=1).clip(0, 1)
    distance = NearestNeighbors(n_neighbors=1, metric="cosine").fit(known).kneighbors(own)[0][:, 0]
    best = np.sort(softmax(photos @ HEAD.weights, axis=1), axis=1)
    score = (1 - (best[:, -1] - best[:, -2])) * distance * density**2
    return int(score.argmax()), float(score.max())


@pytest.mark.parametrize("seed", range(4))
def test_the_first_is_that_of_the_formula(seed: int) -> None:
    photos, labelled = around(80, seed=seed), around(30, seed=seed + 10)
    found = rank(photos_of(photos), HEAD, [labelled[:10], labelled[10:]])
    place, score = expected_first(photos, labelled)
    assert found[0].path == f"{place}.jpg"
    assert found[0].score == pytest.approx(score, rel=1e-3)
    probabilities = softmax(photos[place] @ HEAD.weights)
    assert found[0].likely_id == probabilities.argmax()
    assert found[0].probability == pytest.approx(probabilities.max(), rel=1e-5)
    margin = np.sort(probabilities)[-1] - np.sort(probabilities)[-2]
    assert found[0].margin == pytest.approx(margin, rel=1e-4)


@pytest.mark.parametrize("spread", [1000, 7, 1])
def test_each_photo_is_there_once_and_scores_fall(spread: int) -> None:
    found = rank(photos_of(around(60)), HEAD, [around(20, seed=1)], spread=spread)
    assert sorted(places(found)) == list(range(60))
    scores = [one.score for one in found]
    assert all(one >= other - 1e-6 for one, other in pairwise(scores))


def test_what_the_head_is_sure_of_comes_last() -> None:
    sure = around(40, at=0)
    found = rank(photos_of(np.concatenate([sure, around(40, seed=2)])), HEAD, [around(20, seed=3)])
    first = places(found)[:30]
    assert sum(place < 40 for place in first) <= 2


def test_near_equal_photos_do_not_fill_the_list() -> None:
    """A burst of thirty photos of which the head knows nothing, and thirty of their own."""
    random = np.random.default_rng(5)
    one = around(1, seed=4)
    one[:, :3] = 0
    burst = one + 0.05 * random.normal(size=[30, 24]).astype(np.float32)
    found = rank(photos_of(np.concatenate([burst, around(60, seed=6)])), HEAD, [around(9, seed=7)])
    first = places(found)[:20]
    assert 1 <= sum(place < 30 for place in first) <= 2


def test_what_is_labelled_already_teaches_nothing() -> None:
    photos = around(50)
    found = rank(photos_of(photos), HEAD, [around(10, seed=1), photos[20:30]])
    assert set(places(found)[-10:]) == set(range(20, 30))
    assert all(one.score < 1e-5 for one in found[-10:])


@pytest.mark.parametrize("count", [1, 2, 20])
def test_few_photos(count: int) -> None:
    found = rank(photos_of(around(count)), HEAD, [around(5, seed=1)])
    assert sorted(places(found)) == list(range(count))
    assert all(np.isfinite([one.score, one.margin, one.probability]).all() for one in found)


def test_of_many_directions_the_ranking_is_nearly_the_same() -> None:
    """Vectors of 600 features that lie in 24 directions."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=[600, 600]))[0][:24].astype(np.float32)
    photos, labelled = around(80), around(30, seed=1)
    found = rank(photos_of(photos), HEAD, [labelled])
    wide = Head(turn.T @ HEAD.weights, HEAD.bias)
    turned = rank(photos_of(photos @ turn), wide, [labelled @ turn])
    assert places(turned)[:10] == places(found)[:10]
