"""Feature vectors in two dimensions."""

import numpy as np
import pytest
from sklearn import decomposition

from image_retraining.evaluation.projection import PCA, TSNE, project


def clouds(count: int = 30, size: int = 20) -> np.ndarray:
    """Returns float32 [3 * count, size], three clouds far apart."""
    random = np.random.default_rng(0)
    middles = np.repeat(10 * np.eye(3, size), count, axis=0)
    return (middles + random.normal(size=middles.shape)).astype(np.float32)


@pytest.mark.parametrize("kind", [PCA, TSNE])
def test_what_lies_together_stays_together(kind: str) -> None:
    points = project(clouds(), kind, seed=0)
    assert points.shape == (90, 2)
    assert points.dtype == np.float32
    middles = points.reshape(3, 30, 2).mean(axis=1)
    nearest = np.linalg.norm(points[:, np.newaxis] - middles, axis=2).argmin(axis=1)
    assert nearest.tolist() == np.repeat(range(3), 30).tolist()


def test_principal_components_are_those_of_the_covariance() -> None:
    vectors = clouds().astype(np.float64)
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(centred.T))
    wanted = centred @ directions[:, :-3:-1]
    found = project(vectors.astype(np.float32), PCA, seed=0)
    # A direction has no sign of its own.
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3)


def test_principal_components_are_those_of_scikit_learn() -> None:
    # A thousand photos of ten classes, of which no two directions stand out.
    random = np.random.default_rng(3)
    middles = np.repeat(random.normal(scale=0.3, size=(10, 1280)), 100, axis=0)
    vectors = (middles + random.normal(scale=0.4, size=middles.shape)).astype(np.float32)
    wanted = decomposition.PCA(2, svd_solver="full").fit_transform(vectors)
    found = project(vectors, PCA, seed=0)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("kind", [PCA, TSNE])
@pytest.mark.parametrize("shape", [(2, 5), (3, 1), (5, 1), (4, 2), (8, 3)])
def test_few_photos_and_features_have_places(kind: str, shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(1).random(shape).astype(np.float32)
    points = project(vectors, kind, seed=3)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(points, project(vectors, kind, seed=3))


def test_equal_photos_have_one_place() -> None:
    points = project(np.ones([6, 4], np.float32), PCA, seed=0)
    assert np.ptp(points, axis=0).tolist() == [0, 0]
