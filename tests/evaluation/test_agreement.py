from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from image_retraining.evaluation.agreement import neighbours_agree
from image_retraining.evaluation.pool import Pool, pool_of
from image_retraining.foundation.records import FeatureSet, Split


def pool(*counts: int, apart: float, compares: bool = True, copies: int = 1) -> Pool:
    label_ids = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    random = np.random.default_rng(0)
    around = random.normal(size=[len(label_ids), 30])
    features = (apart * np.eye(len(counts), 30)[label_ids] + around).astype(np.float32)
    rows = np.repeat(np.arange(len(label_ids)), copies)
    names = tuple(f"{place}.jpg" for place in range(len(rows)))
    # Copies that nobody knows of but by their vectors.
    photos = FeatureSet(features[rows], label_ids[rows], names, tuple(map(str.encode, names)))
    nobody = photos.rows([])
    sets = {Split.TRAINING: photos, Split.VALIDATION: nobody, Split.TESTING: nobody}
    return pool_of(sets, compares=compares)


def test_it_is_the_share_of_near_photos_with_the_same_label() -> None:
    """Against scikit-learn's neighbours; no two photos are of one moment."""
    photos = pool(60, 30, 40, apart=2.0)
    assert len(np.unique(photos.groups)) == 130
    vectors = photos.vectors(np.arange(130)).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    finder = NearestNeighbors(n_neighbors=6, metric="cosine").fit(vectors - vectors.mean(axis=0))
    # The nearest is the photo itself.
    near = finder.kneighbors(return_distance=True, n_neighbors=5)[1]
    shares = (photos.label_ids[near] == photos.label_ids[:, np.newaxis]).mean(axis=1)
    share = np.mean([shares[photos.label_ids == label_id].mean() for label_id in range(3)])
    assert neighbours_agree(photos) == pytest.approx((share - 1 / 3) / (2 / 3), abs=1e-6)
    assert 0.3 < neighbours_agree(photos) < 0.9


def test_by_chance_it_is_nothing() -> None:
    assert abs(neighbours_agree(pool(200, 100, 40, apart=0.0))) < 0.05


def test_of_classes_far_apart_it_is_all() -> None:
    assert neighbours_agree(pool(30, 30, apart=9.0)) > 0.99


def test_copies_are_no_neighbours() -> None:
    """Six of each photo: five copies would agree with it whatever it is."""
    assert neighbours_agree(pool(60, 60, 60, apart=0.0, copies=6)) < 0.2


def test_where_nothing_is_known_there_is_no_figure() -> None:
    assert np.isnan(neighbours_agree(pool(30, 30, apart=1.0, compares=False)))
    assert np.isnan(neighbours_agree(pool(30, apart=1.0)))
    alone = pool(30, 30, apart=1.0)
    assert np.isnan(neighbours_agree(replace(alone, groups=np.zeros([60], np.intp))))


@pytest.mark.parametrize("counts", [(4, 4, 30), (2, 40), (3, 3, 3, 3, 3, 3, 3, 3, 3, 3)])
def test_small_classes_can_agree_wholly(counts: tuple[int, ...]) -> None:
    """Of four photos each has three others of its class: only so many are asked."""
    assert neighbours_agree(pool(*counts, apart=9.0)) > 0.98


def test_few_photos_say_nothing() -> None:
    assert np.isnan(neighbours_agree(pool(15, 14, apart=9.0)))
    # A class of a single photo has no say.
    assert np.isnan(neighbours_agree(pool(29, 1, apart=9.0)))
    assert neighbours_agree(pool(30, 1, apart=9.0)) > 0.9
