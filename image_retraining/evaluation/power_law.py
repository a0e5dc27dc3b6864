"""Errors at some numbers of photos → what more photos may bring.

Errors of classifiers mostly fall by a power of the number of photos towards what no photo removes,
error(n) = a + b * n^-c (C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of
Convergence", 1993; J. Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Doubles = npt.NDArray[np.float64]

# The powers that are tried; less falls as slowly as a logarithm, more is over at once.
_POWERS = np.geomspace(0.05, 3, 120)


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """B curves, each a + b * (n / unit)^-c.

    Attributes:
        floors: float64 [B], a, 0 or more.
        slopes: float64 [B], b, 0 or more: what goes at `unit` photos when there are many more.
        powers: float64 [B], c, 0.05 to 3.
        unit: the largest number of photos that they are fitted to.
    """

    floors: _Doubles
    slopes: _Doubles
    powers: _Doubles
    unit: float

    def errors(self, photo_count: float) -> _Doubles:
        """Returns float64 [B], the errors at a number of photos."""
        errors: _Doubles = self.floors + self.slopes * (photo_count / self.unit) ** -self.powers
        return errors


def fit(photo_counts: _Doubles, errors: _Doubles) -> PowerLaws:
    """Returns the curves with the least sum of squares.

    Args:
        photo_counts: float64 [S], above 0, at least three different ones.
        errors: float64 [B, S], of B curves, 0 to 1.
    """
    unit = float(photo_counts.max())
    best = np.full([len(errors)], np.inf)
    floors, slopes, powers = np.zeros([3, len(errors)])
    for power in _POWERS.tolist():
        falls = (photo_counts / unit) ** -power
        floor, slope = _straight(falls, errors)
        residuals = floor[:, np.newaxis] + slope[:, np.newaxis] * falls - errors
        squares = np.square(residuals).sum(axis=1)
        better = squares < best
        best[better] = squares[better]
        floors[better], slopes[better], powers[better] = floor[better], slope[better], power
    return PowerLaws(floors, slopes, powers, unit)


def _straight(falls: _Doubles, errors: _Doubles) -> tuple[_Doubles, _Doubles]:
    """Returns a and b [B], 0 or more, with the least squares of a + b * falls - errors."""
    middle = falls - falls.mean()
    means = errors.mean(axis=1)
    slopes = np.maximum(errors @ middle / (middle @ middle), 0.0)
    floors = means - slopes * falls.mean()
    # Of a convex problem in two numbers, the best one on the edge.
    below = floors < 0
    floors[below], slopes[below] = 0.0, errors[below] @ falls / (falls @ falls)
    return floors, slopes
