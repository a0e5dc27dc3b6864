from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from image_retraining.evaluation.sketch import Sketcher, principal, unit


@pytest.mark.parametrize("size", [1, 2, 40, 64, 65, 300])
@pytest.mark.parametrize("kind", ["normal", "gamma", "alike"])
def test_no_cosine_is_above_its_bound(size: int, kind: str) -> None:
    rng = np.random.default_rng(size)
    vectors = {
        "normal": rng.standard_normal([300, size]),
        "gamma": rng.gamma(0.3, 1, [300, size]),
        "alike": 1 + 1e-4 * rng.standard_normal([300, size]),
    }[kind].astype(np.float32)
    vectors[:50] = vectors[50:100] * (1 + 0.02 * rng.standard_normal([50, size]))
    sketches = Sketcher([vectors[:120], vectors[120:]]).sketches(vectors)
    long = vectors.astype(np.float64)
    long /= np.linalg.norm(long, axis=1, keepdims=True)
    bound = sketches.left @ sketches.right.T
    assert (bound - long @ long.T).min() > -5e-6
    assert sketches.has_direction.all()


def test_few_other_pairs_pass() -> None:
    rng = np.random.default_rng(0)
    spectrum = 0.97 ** np.arange(512)
    vectors = (rng.standard_normal([1000, 512]) * spectrum).astype(np.float32)
    sketches = Sketcher([vectors]).sketches(vectors)
    passed = np.count_nonzero(sketches.left @ sketches.right.T >= 0.998) - 1000
    assert passed < 100


def test_the_first_directions_have_most_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal([3000, 100]) * 0.8 ** np.arange(100)).astype(np.float32)
    directions = principal(vectors, 10)
    np.testing.assert_allclose(directions.T @ directions, np.eye(10), atol=1e-5)
    kept = np.square(vectors @ directions).sum()
    values = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    assert kept > 0.99 * np.square(values[:10]).sum()


def test_lengths_beyond_float32_have_a_direction_and_odd_vectors_none() -> None:
    vectors = np.array(
        [[3e30, 4e30], [3e-30, 4e-30], [0, 0], [np.nan, 1], [-np.inf, 1]], np.float32
    )
    found, has_direction = unit(vectors)
    assert has_direction.tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(found, [[0.6, 0.8]] * 2 + [[0, 0]] * 3, rtol=1e-6)


def test_one_thread_makes_right_angles(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine several wait for each other, a hundred times as long.
    threads: set[int] = set()
    qr = np.linalg.qr

    def watched(matrix: Any) -> Any:
        threads.update(one["num_threads"] for one in threadpool_info() if _is_blas(one))
        return qr(matrix)

    monkeypatch.setattr(np.linalg, "qr", watched)
    vectors = np.random.default_rng(0).standard_normal([300, 100]).astype(np.float32)
    with threadpool_limits(2):
        principal(vectors, 10)
        after = {one["num_threads"] for one in threadpool_info() if _is_blas(one)}
    assert threads == {1}
    assert 1 not in after


def _is_blas(library: dict[str, Any]) -> bool:
    return bool(library["user_api"] == "blas")
