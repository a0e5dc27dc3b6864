"""Intervals, against the closed formula of Wilson's paper and SciPy."""

import math

import pytest
from scipy.stats import binomtest

from image_retraining.evaluation.intervals import wilson


def by_formula(right: int, count: int) -> tuple[float, float]:
    """Wilson (1927), equation for the limits; z is the normal quantile of 97.5%."""
    z, share = 1.959963984540054, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z
        / (1 + z * z / count)
        * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    )
    return middle - half, middle + half


@pytest.mark.parametrize(
    ("right", "count"), [(0, 1), (1, 1), (16, 22), (79, 90), (90, 90), (0, 7), (900, 1000)]
)
def test_it_is_wilson_s(right: int, count: int) -> None:
    low, high = wilson(right, count)
    assert (low, high) == pytest.approx(by_formula(right, count), abs=1e-9)
    found = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert 0 <= low <= right / count <= high <= 1
