"""How far a share that was counted on few photos may be from the true one."""

_CONFIDENCE = 0.95


def wilson(right: int, count: int) -> tuple[float, float]:
    """Returns the interval, 0 to 1, that holds a true share with 95% confidence.

    It is Wilson's score interval (E. B. Wilson, "Probable Inference", 1927), which is good for few
    photos and for shares near 0 and 1 too.

    Args:
        right: how many photos were answered rightly.
        count: how many photos there were, at least 1.
    """
    # Here, because it takes half a second.
    from scipy.stats import binomtest  # noqa: PLC0415

    found = binomtest(right, count).proportion_ci(_CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)
