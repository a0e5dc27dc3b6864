"""How far a share that was counted on few photos may be from the true one."""

import math
from statistics import NormalDist

# Of a normal distribution, 95% lie within so many deviations of the middle.
_DEVIATIONS = NormalDist().inv_cdf(0.975)


def wilson(right: float, count: int) -> tuple[float, float]:
    """Returns the interval, 0 to 1, that holds a true share with 95% confidence.

    It is Wilson's score interval (E. B. Wilson, "Probable Inference", 1927), which is good for few
    photos and for shares near 0 and 1 too.

    Args:
        right: how many photos were answered rightly; the mean of several draws need not be whole.
        count: how many photos there were, at least 1.
    """
    share, square = right / count, _DEVIATIONS**2 / count
    middle = share + square / 2
    half = math.sqrt(square * share * (1 - share) + square**2 / 4)
    # Rounding must not leave the share outside where it is 0 or 1.
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def of_accuracy(accuracy: float, count: int) -> tuple[float, float]:
    """Returns the same of the share, 0 to 1, of photos that were answered rightly.

    Args:
        accuracy: the share, rounded as it may be.
        count: how many photos there were, at least 1.
    """
    return wilson(round(accuracy * count), count)
