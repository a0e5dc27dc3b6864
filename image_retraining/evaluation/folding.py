"""Feature vectors → as many numbers as there is room for, with nearly the same distances."""

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.large_arrays import blocks
from image_retraining.foundation.records import Floats

_SEED = 14

_Doubles = npt.NDArray[np.float64]


def folding(
    feature_size: int, at_most: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8], int]:
    """Returns the places and the signs of the features, and d, their number or at most so many.

    After Charikar, Chen and Farach-Colton, "Finding Frequent Items in Data Streams", 2002: sums of
    features with random signs keep the distances between vectors, but for chance.
    """
    size = min(feature_size, at_most)
    if size == feature_size:
        return np.arange(size, dtype=np.int16), np.ones(size, np.int8), size
    random = np.random.default_rng(_SEED)
    places = random.permutation(feature_size) % size
    signs = random.choice([-1, 1], feature_size)
    return places.astype(np.int16), signs.astype(np.int8), size


def folded(
    vectors: Floats, places: npt.NDArray[np.int16], signs: npt.NDArray[np.int8], size: int
) -> _Doubles:
    """Returns float64 [N, d] of float32 [N, D], whose length does not matter."""
    long = vectors.astype(np.float64)
    lengths = np.sqrt(np.square(long).sum(axis=1, keepdims=True))
    # A vector of zeros stays one.
    unit: _Doubles = long / np.where(lengths > 0, lengths, 1)
    if len(places) == size:
        return unit
    from scipy.sparse import coo_array  # noqa: PLC0415 - takes half a second

    entries = (signs.astype(np.float64), (np.arange(len(places)), places))
    matrix = coo_array(entries, shape=(len(places), size)).tocsr()
    found: _Doubles = unit @ matrix
    return found


def mean_of(
    features: Floats,
    rows: npt.NDArray[np.intp],
    places: npt.NDArray[np.int16],
    signs: npt.NDArray[np.int8],
    size: int,
) -> _Doubles:
    """Returns float64 [d], the mean of some rows of float32 [N, D], folded."""
    sums = [
        folded(features[rows[some]], places, signs, size).mean(axis=0) * len(rows[some])
        for some in blocks(len(rows))
    ]
    mean: _Doubles = np.sum(sums, axis=0) / len(rows)
    return mean
