"""Which vectors of different sets are near: all that are, and in the memory of a block."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.records import Floats

# Pairs of a block: 8 MiB of cosines. However many of them are near, more is not kept.
_BLOCK_ROWS, _BLOCK_COLUMNS = 1024, 2048

_Positions = npt.NDArray[np.intp]


class Components:
    """Which photos are joined, by their positions; memory is bounded however many joins come.

    Attributes:
        numbers: integers [N], equal for photos that are joined.
    """

    def __init__(self, count: int) -> None:
        self.numbers: _Positions = np.arange(count)

    def join(self, first: _Positions, second: _Positions) -> None:
        """Joins pairs of positions."""
        from scipy.sparse import coo_array  # noqa: PLC0415 - takes a second
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        if not len(first):
            return
        size, ends = len(self.numbers), (self.numbers[first], self.numbers[second])
        graph = coo_array((np.ones(len(first), np.bool_), ends), shape=(size, size))
        self.numbers = connected_components(graph, directed=False)[1][self.numbers]

    def groups(self) -> list[list[int]]:
        """Returns the positions that are joined to others, ascending, the groups by their first."""
        order = np.argsort(self.numbers, kind="stable")
        starts = np.flatnonzero(np.diff(self.numbers[order], prepend=-1, append=-1))
        spans = pairwise(starts.tolist())
        return sorted(order[start:end].tolist() for start, end in spans if end - start > 1)


def join_near(sets: Sequence[Floats], same: Components, *, cosine: float) -> None:
    """Joins near vectors of different sets.

    Cosines in float32 tell the few pairs that may be near, in half the time of float64, which
    decides. Pairs that are joined already are left out of that: thousands of equal photos are not
    joined pair by pair.

    Args:
        sets: float32 [N, D] each, with the same D. A vector is near none when it is not finite, or
            of zeros, or its length cannot be told in float32: below 1e-6 or above 1e19.
        same: of the rows of all sets, one set after the other.
        cosine: from which on vectors are near, above 0 and at most 1; 1 for those of one
            direction, as far as float64 can tell.
    """
    from sklearn.metrics.pairwise import cosine_similarity  # noqa: PLC0415 - takes a second

    firsts = np.cumsum([0, *map(len, sets)])
    for one, other in combinations(range(len(sets)), 2):
        for rows, columns in _blocks(len(sets[one]), len(sets[other])):
            some, others = _finite(sets[one][rows]), _finite(sets[other][columns])
            maybe = cosine_similarity(some, others) >= cosine - _lost(some.shape[1], np.float32)
            joined = np.split(same.numbers, firsts[1:-1])
            maybe &= joined[one][rows][:, None] != joined[other][columns]
            if not maybe.any():
                continue
            first, second = np.flatnonzero(maybe.any(axis=1)), np.flatnonzero(maybe.any(axis=0))
            exact = cosine_similarity(
                some[first].astype(np.float64), others[second].astype(np.float64)
            )
            near = np.nonzero(exact >= cosine - _lost(some.shape[1], np.float64))
            same.join(
                firsts[one] + rows.start + first[near[0]],
                firsts[other] + columns.start + second[near[1]],
            )


def _blocks(row_count: int, column_count: int) -> Iterator[tuple[slice, slice]]:
    for row in range(0, row_count, _BLOCK_ROWS):
        for column in range(0, column_count, _BLOCK_COLUMNS):
            yield slice(row, row + _BLOCK_ROWS), slice(column, column + _BLOCK_COLUMNS)


def _finite(features: Floats) -> Floats:
    """Returns float32 [N, D], with zeros for a vector that is not finite."""
    return np.where(np.isfinite(features).all(axis=1, keepdims=True), features, np.float32(0))


def _lost(size: int, kind: type[np.floating[Any]]) -> float:
    """Returns more than a cosine of D numbers loses in a kind of floats.

    The product of two unit vectors loses up to D / 2 * eps, and so do both lengths together; two
    roots and two divisions lose the rest. eps is twice the error of one operation.
    """
    return float((size + 4) * np.finfo(kind).eps)
