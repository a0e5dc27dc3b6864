"""How long a finished classifier takes for a photo on this machine."""

import time
from statistics import median

import numpy as np

from image_retraining.exports.classifier import Scorer

_WARM_UP, _MOST = 3, 30
_MOST_SECONDS = 3.0


def milliseconds_a_photo(classifier: Scorer, image_size: tuple[int, int]) -> float:
    """Returns the median time of 30 photos that come one by one, or of as many as 3 s allow.

    Args:
        classifier: takes float32 [1, H, W, 3].
        image_size: (H, W).

    Raises:
        GraphError: it cannot work with such photos.
    """
    photo = np.random.default_rng(0).random([1, *image_size, 3], np.float32)
    for _ in range(_WARM_UP):
        classifier.scores(photo)
    taken: list[float] = []
    while len(taken) < _MOST and sum(taken) < _MOST_SECONDS:
        started = time.perf_counter()
        classifier.scores(photo)
        taken.append(time.perf_counter() - started)
    return median(taken) * 1000
