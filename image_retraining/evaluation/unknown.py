"""Feature vectors → which photos are unlike those that were learnt: what is unknown.

A head must choose one of its labels, and is often sure of it for photos of something else. How far
a photo's feature vector is from those of the training tells these: its Mahalanobis distance to the
nearest class mean, by a covariance that all classes share. Lee, Lee, Lee and Shin, "A Simple
Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018. Vectors
are made of length 1 first, which caught 98% of foreign photos instead of 88% (MobileNet V2 1.0) and
left more small photos of known things alone. The covariance is shrunk as Ledoit and Wolf say, "A
Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", 2004, and kept by its largest
principal directions, with one variance for all others: at most 10 MB, for a thousand classes too.

What is unlike, and what the head is unsure of, are unknown. benchmarks/unknown.py measures why.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.calibration import LEAST_RIGHT
from image_retraining.evaluation.folding import folded, folding, mean_of
from image_retraining.foundation.large_arrays import blocks
from image_retraining.foundation.records import FeatureSet, Floats
from image_retraining.head.sampling import evenly

_Doubles = npt.NDArray[np.float64]

KEEP = 0.95
# A distance is off by no more in another format of an export, or in another arithmetic.
_SLACK = 1e-3
# The covariance of 4096 photos of 2048 features takes two seconds.
_LARGEST_SIZE, _MOST_DIRECTIONS, _MOST_PHOTOS = 2048, 256, 4096
# Of means and directions, in float16; what else is kept is small. So the rule is at most 10 MB as
# a text of Base64, too, as ONNX files hold it.
_MOST_NUMBERS = 3_600_000
# Vectors of length 1 that differ by less are alike; means of them fit into float16 by this scale.
_ALIKE = 5e-5
# In float16, finer spreads would not be told from rounding.
_LEAST_SHRINKAGE = 1e-4


@dataclass(frozen=True, eq=False)
class Space:
    """Where in the space of feature vectors the classes lie, and how far they spread.

    Vectors are first made of length 1, and their D features folded into d sums, unless D is d.

    Attributes:
        places: int16 [D], which of the d sums each feature goes to.
        signs: int8 [D], with which sign, 1 or -1.
        centre: float32 [d], what is taken off each vector.
        scale: what it is divided by then, above 0.
        means: float16 [C, d], of the classes that have training photos.
        directions: float16 [K, d], of length 1, at right angles.
        spreads: float32 [K], standard deviation along each of them.
        rest: standard deviation along all other directions, above 0.
    """

    places: npt.NDArray[np.int16]
    signs: npt.NDArray[np.int8]
    centre: Floats
    scale: float
    means: npt.NDArray[np.float16]
    directions: npt.NDArray[np.float16]
    spreads: Floats
    rest: float

    def distances(self, vectors: Floats) -> _Doubles:
        """Returns float64 [N], the distance of float32 [N, D] to the nearest class mean.

        Of a vector that is not finite, it is infinite.
        """
        found = np.full(len(vectors), np.inf)
        for rows in blocks(len(vectors)):
            is_finite = np.isfinite(vectors[rows]).all(axis=1)
            found[rows][is_finite] = self._distances(vectors[rows][is_finite])
        return found

    def _distances(self, vectors: Floats) -> _Doubles:
        points = folded(vectors, self.places, self.signs, len(self.centre))
        white, means = self._whitened((points - self.centre) / self.scale), self._means
        # Not scikit-learn's, which takes a second to import: label_image.py need not wait for it.
        squares = np.square(white).sum(axis=1)[:, np.newaxis] + np.square(means).sum(axis=1)
        nearest: _Doubles = np.sqrt((squares - 2 * white @ means.T).clip(0)).min(axis=1)
        return nearest

    @functools.cached_property
    def _means(self) -> _Doubles:
        return self._whitened(self.means.astype(np.float64))

    def _whitened(self, points: _Doubles) -> _Doubles:
        """Returns points whose distances in any direction are counted in its deviations."""
        directions = self.directions.astype(np.float64)
        along = points @ directions.T
        others: _Doubles = (points - along @ directions) / self.rest
        return others + (along / self.spreads) @ directions


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRule:
    """A photo is unknown if it is far from all classes, or its best label is improbable.

    Attributes:
        space: tells how far.
        farthest: a distance beyond is unknown.
        least_probability: so is a calibrated probability of the best label below; 0 to 1.
        photo_count: how many rightly answered validation photos both were fitted to.
    """

    space: Space
    farthest: float
    least_probability: float
    photo_count: int

    def is_unknown(self, distance: float, probability: float) -> bool:
        """Whether a photo is unknown.

        Args:
            distance: of its feature vector, as the space tells it.
            probability: calibrated, of its best label.
        """
        # Written so that what is no number is unknown.
        return not (distance <= self.farthest and probability >= self.least_probability)


def fit(training: FeatureSet, validation: FeatureSet, probabilities: Floats) -> FeatureRule | None:
    """Returns the rule that keeps 95% of the right answers; None if nobody can tell.

    That is with fewer than 20 right answers; or with training photos that are all alike within
    their classes, or whose vectors are not finite.

    Args:
        training: the N photos that were learnt.
        validation: M others, whose right answers are to be kept.
        probabilities: float32 [M, C], calibrated, of the validation photos.
    """
    right = probabilities.argmax(axis=1) == validation.label_ids
    if right.sum() < LEAST_RIGHT:
        return None
    is_finite = all(np.isfinite(training.features[rows]).all() for rows in blocks(len(training)))
    space = fit_space(training) if is_finite else None
    if space is None:
        return None
    distances = space.distances(validation.features)[right]
    least, farthest = thresholds(probabilities.max(axis=1)[right], distances)
    return FeatureRule(
        space, farthest * (1 + _SLACK), max(0.0, least - _SLACK), int(np.count_nonzero(right))
    )


def thresholds(
    probabilities: Floats, distances: _Doubles, keep: float = KEEP
) -> tuple[float, float]:
    """Returns the probability below which, and the distance beyond which, photos are unknown.

    Each leaves out as many photos as the other, and both together as many as they may.

    Args:
        probabilities: float32 [N], N at least 1.
        distances: float64 [N], of the same photos.
        keep: the share of the photos that neither may leave out, above 0, to 1.
    """
    improbable, far = np.sort(probabilities), np.sort(distances)[::-1]
    # Rounded, because 10 * (1 - 0.9) is less than 1.
    allowed = math.floor(round(len(far) * (1 - keep), 9))
    for count in range(allowed, 0, -1):
        least, farthest = improbable[count], far[count]
        out = np.count_nonzero((probabilities < least) | (distances > farthest))
        if out <= allowed:
            return float(least), float(farthest)
    return float(improbable[0]), float(far[0])


def fit_space(photos: FeatureSet) -> Space | None:
    """Returns where the classes lie; None where no class has photos that differ."""
    present, ids = np.unique(photos.label_ids, return_inverse=True)
    at_most = min(_LARGEST_SIZE, _MOST_NUMBERS // (len(present) + _MOST_DIRECTIONS))
    places, signs, size = folding(photos.features.shape[1], max(1, at_most))
    chosen = evenly(photos.label_ids, _MOST_PHOTOS)
    means = np.stack(
        [
            mean_of(photos.features, np.flatnonzero(ids == label), places, signs, size)
            for label in range(len(present))
        ]
    )
    points = folded(photos.features[chosen], places, signs, size) - means[ids[chosen]]
    scale = float(np.sqrt(np.square(points).mean()))
    # NaN is not above it either.
    if not scale > _ALIKE:
        return None
    spread = (points / scale).astype(np.float32)
    centre = means.mean(axis=0).astype(np.float32)
    directions, variances, rest = _principal(spread)
    return Space(
        places=places,
        signs=signs,
        centre=centre,
        scale=scale,
        means=((means - centre) / scale).astype(np.float16),
        directions=directions.astype(np.float16),
        spreads=np.sqrt(variances).astype(np.float32),
        rest=math.sqrt(rest),
    )


def _shrinkage(spread: Floats, covariance: Floats) -> float:
    """Returns how much of a covariance gives way to one variance for all directions, 0 to 1.

    Ledoit and Wolf's b² / d², of n vectors x of p numbers: b² is the mean of |xx' - S|², over n,
    and d² is |S - mI|², where m is the mean variance. scikit-learn has it, and takes most of a
    second to import.
    """
    count, size = spread.shape
    square = float(np.square(covariance, dtype=np.float64).sum())
    fourths = np.square(np.square(spread, dtype=np.float64).sum(axis=1)).sum()
    mean = float(np.trace(covariance, dtype=np.float64)) / size
    wandering = fourths / count**2 - square / count
    distance = square - size * mean**2
    return float(min(wandering, distance) / distance) if distance > 0 and wandering > 0 else 0.0


def _principal(spread: Floats) -> tuple[Floats, Floats, float]:
    """Returns directions [K, d], their variances [K], and that of all others.

    Args:
        spread: float32 [N, d], of mean 0; the mean of its squares is 1.
    """
    from scipy.linalg import eigh  # noqa: PLC0415 - takes half a second

    size = spread.shape[1]
    count = min(_MOST_DIRECTIONS, size - 1)
    if not count:
        return np.empty([0, size], np.float32), np.empty([0], np.float32), 1.0
    covariance: Floats = np.asarray(spread.T @ spread / len(spread), np.float32)
    shrinkage = max(_shrinkage(spread, covariance), _LEAST_SHRINKAGE)
    found, directions = eigh(covariance, subset_by_index=[size - count, size - 1])
    largest = found.clip(0)
    left = max(0.0, (size - float(largest.sum())) / (size - count))
    return (
        directions.T,
        (1 - shrinkage) * largest + shrinkage,
        (1 - shrinkage) * left + shrinkage,
    )
