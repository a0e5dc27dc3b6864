"""Of which size photos must be for a graph that does not say so: found by running it."""

from collections.abc import Callable, Sequence

import numpy as np

from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Floats

# Those of MobileNet, and Inception's.
USUAL_SIZES = (128, 160, 192, 224, 299)


def working_sizes(
    scores: Callable[[Floats], Floats], batch: int, sizes: Sequence[int] = USUAL_SIZES
) -> list[int]:
    """Returns the sides of square photos that a graph works with.

    Args:
        scores: runs it, or raises GraphError.
        batch: how many photos it takes at a time.
        sizes: those to try, in pixels.
    """
    found = []
    for size in sizes:
        try:
            scores(np.zeros([batch, size, size, 3], np.float32))
        except GraphError:
            continue
        found.append(size)
    return found


def advice(found: Sequence[int]) -> str:
    """Returns the sentence that says which of the usual sizes a graph works with."""
    if not found:
        return f"It works with none of {', '.join(map(str, USUAL_SIZES))} pixels either."
    best = found[-1]
    return (
        f"It works with {' or '.join(map(str, found))} pixels, as in --input_height={best} "
        f"--input_width={best}."
    )
