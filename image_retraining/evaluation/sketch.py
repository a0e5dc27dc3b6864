"""Sketches of vectors: short ones by which pairs that cannot be near are told from the others.

Of unit vectors u and v and an orthonormal basis of some directions, with u' and v' for what lies
along these and r(u) and r(v) for the lengths of the rest, |u - v|² is at least
|u' - v'|² + (r(u) - r(v))². The cosine is 1 - |u - v|² / 2, so a sketch of u' and r(u) bounds it
from above: no near pair is lost. The directions are those in which the vectors differ most, nearly
(Halko, Martinsson and Tropp, "Finding Structure with Randomness", 2011): few other pairs pass.
With 64 of them, one of 70,000 pairs of photos passed for a cosine of 0.999, for a fifteenth of the
multiplications of whole vectors of 1280 features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from image_retraining.foundation.records import Floats

_SIZE = 64
_SAMPLE, _POWERS = 2048, 3
_ROWS_AT_ONCE = 4096
# More than the square of a rest is off by. As a root it would be lost for a small one.
_ROUNDING = np.float32(2e-6)


@dataclass(frozen=True, slots=True)
class Sketches:
    """The sketches of a set: `left @ right.T` of two sets is at least the cosine, but for rounding.

    Attributes:
        left: float32 [N, k].
        right: float32 [N, k].
        has_direction: bool [N], false for a vector that is near none.
    """

    left: Floats
    right: Floats
    has_direction: Any


def unit(features: Floats) -> tuple[Floats, Any]:
    """Returns float32 [N, D] of length 1, and bool [N], which of float32 [N, D] have a direction.

    Without one, being not finite or of zeros, they become zeros. A length may be beyond float32.
    """
    largest = np.abs(features).max(axis=1, initial=0)
    has_direction = (largest > 0) & np.isfinite(largest)
    scales = np.where(has_direction, largest, np.float32(1))[:, np.newaxis]
    scaled = np.where(has_direction[:, np.newaxis], features, np.float32(0)) / scales
    lengths = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    scaled /= np.where(has_direction, lengths, np.float32(1))[:, np.newaxis]
    return np.asarray(scaled, np.float32), has_direction


def principal(vectors: Floats, count: int) -> Floats:
    """Returns float32 [D, k], at right angles: the directions in which vectors differ most, nearly.

    Args:
        vectors: float32 [N, D], of mean 0; some thousands of them are looked at.
        count: k, unless D is less.
    """
    step = -(-len(vectors) // (2 * _SAMPLE))
    sample = vectors[::step]
    random = np.random.default_rng(0)
    size = min(count, vectors.shape[1])
    directions = random.standard_normal([vectors.shape[1], size]).astype(np.float32)
    for _ in range(_POWERS):
        spread = sample.T @ (sample @ directions)
        # Where all are alike, any directions will do.
        spread += np.float32(1e-6) * directions
        # Several threads would wait for each other at each of many small multiplications: on a
        # busy machine for a second, where one takes a hundredth of it, to the same bits.
        with threadpool_limits(1):
            directions = np.linalg.qr(spread)[0]
    return directions


class Sketcher:
    """Sketches vectors of D features by the directions in which some of them differ most."""

    def __init__(self, sets: Sequence[Floats]) -> None:
        """Looks at a sample of the sets, float32 [N, D] each, of which one has a vector."""
        total = sum(map(len, sets))
        shares = [max(1, round(_SAMPLE * len(some) / total)) for some in sets if len(some)]
        rows = [
            some[np.linspace(0, len(some) - 1, min(share, len(some))).astype(np.intp)]
            for some, share in zip(filter(len, sets), shares, strict=True)
        ]
        sample = unit(np.concatenate(rows))[0]
        self._centre = sample.mean(axis=0)
        self._directions = principal(sample - self._centre, _SIZE)

    def sketches(self, features: Floats) -> Sketches:
        """Returns the sketches of float32 [N, D]."""
        size = self._directions.shape[1] + 3
        left, right = (np.empty([len(features), size], np.float32) for _ in range(2))
        has_direction = np.empty([len(features)], np.bool_)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            vectors, has_direction[rows] = unit(features[rows])
            vectors -= self._centre
            along = vectors @ self._directions
            squares = np.einsum("nd,nd->n", vectors, vectors)
            rest = (squares - np.einsum("nd,nd->n", along, along)).clip(0)
            half = np.float32(0.5) * (1 - squares)
            ones = np.ones_like(half)
            # u'v' + r(u) r(v) - |u|² / 2 - |v|² / 2 + 1, for the centre is taken off.
            columns = (along, np.sqrt(rest + _ROUNDING)[:, np.newaxis])
            left[rows] = np.hstack([*columns, half[:, np.newaxis], ones[:, np.newaxis]])
            right[rows] = np.hstack([*columns, ones[:, np.newaxis], half[:, np.newaxis]])
        return Sketches(left, right, has_direction)
