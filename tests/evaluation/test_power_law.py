"""Power laws, against SciPy's curve_fit."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from image_retraining.evaluation.power_law import fit

SIZES = np.array([100.0, 200, 400, 800])


@pytest.mark.parametrize(
    ("floor", "slope", "power"), [(0.05, 0.1, 0.5), (0, 0.2, 0.3), (0.1, 0.02, 1.2), (0.3, 0, 1)]
)
def test_a_curve_without_noise_is_found(floor: float, slope: float, power: float) -> None:
    errors = floor + slope * (SIZES / 800) ** -power
    laws = fit(SIZES, errors[np.newaxis])
    assert laws.unit == 800
    np.testing.assert_allclose(laws.errors(400), errors[2], atol=1e-3)
    np.testing.assert_allclose(laws.errors(1600), floor + slope * 2**-power, atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_a_noisy_curve_is_scipy_s(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = np.array([50.0, 100, 200, 400, 800, 1600])
    errors = 0.05 + 0.1 * (sizes / 1600) ** -0.6 + random.normal(scale=0.003, size=6)

    def law(size: object, floor: float, slope: float, power: float) -> object:
        return floor + slope * (np.asarray(size) / 1600) ** -power

    bounds = ([0, 0, 0.05], [1, 1, 3])
    expected, _ = curve_fit(law, sizes, errors, p0=[0.05, 0.1, 0.5], bounds=bounds)
    found = fit(sizes, errors[np.newaxis])
    for size in (100, 1600, 3200):
        assert found.errors(size)[0] == pytest.approx(law(size, *expected), abs=3e-3)


@pytest.mark.parametrize(
    ("errors", "gain"),
    [
        ([0.1, 0.1, 0.1, 0.1], 0),
        # It gets worse: no photo brings anything, nor takes it.
        ([0.1, 0.2, 0.3, 0.4], 0),
        # Straight down to nothing: less than nothing there cannot be.
        ([0.8, 0.4, 0.2, 0.1], 0.05),
        ([0, 0, 0, 0], 0),
    ],
)
def test_odd_curves(errors: list[float], gain: float) -> None:
    laws = fit(SIZES, np.array([errors]))
    assert (laws.floors >= 0).all()
    assert (laws.slopes >= 0).all()
    assert laws.errors(800)[0] - laws.errors(1600)[0] == pytest.approx(gain, abs=2e-3)


def test_many_curves_are_as_each_alone() -> None:
    errors = np.random.default_rng(0).uniform(0.1, 0.5, [20, 4])
    together = fit(SIZES, errors).errors(1600)
    alone = [fit(SIZES, row[np.newaxis]).errors(1600)[0] for row in errors]
    np.testing.assert_allclose(together, alone)
