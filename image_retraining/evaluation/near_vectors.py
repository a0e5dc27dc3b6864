"""Which vectors of different sets are near: all that are, and without comparing all in full."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.records import Floats

# Pairs of a block: 4 MiB of cosines, which a processor keeps at hand.
_BLOCK_ROWS, _BLOCK_COLUMNS = 512, 2048
_AXES = 32
_SAMPLE_SIZE = 1024
# Larger than what float32 loses in a sketch, so that no near pair falls through.
_SKETCH_TOLERANCE = 1e-5
# Pairs compared in all their features: minutes on a laptop, for 1280 of them.
_MOST_COMPARED = 4_000_000_000
# Merging takes milliseconds, as does comparing this many pairs in vain.
_MOST_WAITING = 10_000

_Doubles = npt.NDArray[np.float64]
_Positions = npt.NDArray[np.intp]


class Components:
    """Which photos are joined, by their positions; memory is bounded however many joins come.

    Attributes:
        numbers: integers [N], equal for photos that are joined; the latest joins may be missing.
    """

    def __init__(self, count: int) -> None:
        self.numbers: _Positions = np.arange(count)
        self._waiting: list[tuple[_Positions, _Positions]] = []
        self._waiting_count = 0

    def join(self, first: _Positions, second: _Positions) -> None:
        """Joins pairs of positions."""
        if not len(first):
            return
        self._waiting.append((first, second))
        self._waiting_count += len(first)
        if self._waiting_count > _MOST_WAITING:
            self._merge()

    def groups(self) -> list[list[int]]:
        """Returns the positions that are joined to others, ascending, the groups by their first."""
        self._merge()
        order = np.argsort(self.numbers, kind="stable")
        starts = np.flatnonzero(np.diff(self.numbers[order], prepend=-1, append=-1))
        spans = pairwise(starts.tolist())
        return sorted(order[start:end].tolist() for start, end in spans if end - start > 1)

    def _merge(self) -> None:
        from scipy.sparse import coo_array  # noqa: PLC0415 - takes a second
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        if not self._waiting:
            return
        ends = [self.numbers[np.concatenate(some)] for some in zip(*self._waiting, strict=True)]
        self._waiting, self._waiting_count = [], 0
        size = len(self.numbers)
        graph = coo_array((np.ones(len(ends[0]), np.bool_), tuple(ends)), shape=(size, size))
        self.numbers = connected_components(graph, directed=False)[1][self.numbers]


def join_near(sets: Sequence[Floats], same: Components, *, cosine: float) -> bool:
    """Joins near vectors of different sets; returns whether all pairs were compared.

    Sketches tell the few pairs that may be near; only these are compared in all features. Pairs
    that are joined already are not compared, which makes thousands of equal photos cheap.

    Args:
        sets: float32 [N, D] each, with the same D. A vector of zeros is near none.
        same: of the rows of all sets, one set after the other.
        cosine: from which on vectors are near, above 0 and at most 1.
    """
    axes = _axes(sets)
    sketches = [_sketches(vectors, axes) for vectors in sets]
    firsts = np.cumsum([0, *map(len, sets)])
    compared = 0
    for one, other in combinations(range(len(sets)), 2):
        for rows, columns in _blocks(len(sets[one]), len(sets[other])):
            maybe = sketches[one][rows] @ sketches[other][columns].T >= cosine - _SKETCH_TOLERANCE
            if not maybe.any():
                continue
            joined = np.split(same.numbers, firsts[1:-1])
            maybe &= joined[one][rows][:, None] != joined[other][columns]
            first = rows.start + np.flatnonzero(maybe.any(axis=1))
            second = columns.start + np.flatnonzero(maybe.any(axis=0))
            compared += len(first) * len(second)
            if compared > _MOST_COMPARED:
                return False
            cosines = _units(sets[one][first]) @ _units(sets[other][second]).T
            near = np.nonzero(cosines >= cosine)
            same.join(firsts[one] + first[near[0]], firsts[other] + second[near[1]])
    return True


def _blocks(row_count: int, column_count: int) -> Iterator[tuple[slice, slice]]:
    for row in range(0, row_count, _BLOCK_ROWS):
        for column in range(0, column_count, _BLOCK_COLUMNS):
            yield slice(row, row + _BLOCK_ROWS), slice(column, column + _BLOCK_COLUMNS)


def _axes(sets: Sequence[Floats]) -> _Doubles:
    """Returns float64 [D, K], orthonormal: the directions that a sample of photos differs most in.

    Any orthonormal ones would do; these keep more of the vectors.
    """
    share = max(1, sum(map(len, sets)) // _SAMPLE_SIZE)
    sample = np.concatenate([_units(some[::share]) for some in sets])
    axes: _Doubles = np.linalg.svd(sample, full_matrices=False)[2][:_AXES].T
    return axes


def _sketches(features: Floats, axes: _Doubles) -> Floats:
    """Returns float32 [N, K + 1], whose products are never less than the cosines of the vectors.

    A unit vector is split into its part along the axes and a rest. The parts multiply as they are;
    two rests cannot give more than the product of their lengths, which is the last number here.
    """
    sketches = np.empty([len(features), axes.shape[1] + 1], np.float32)
    for start in range(0, len(features), _BLOCK_ROWS):
        units = _units(features[start : start + _BLOCK_ROWS])
        along = units @ axes
        rest = np.sum(units**2, axis=1) - np.sum(along**2, axis=1)
        sketches[start : start + _BLOCK_ROWS, :-1] = along
        sketches[start : start + _BLOCK_ROWS, -1] = np.sqrt(np.maximum(rest, 0))
    return sketches


def _units(features: Floats) -> _Doubles:
    """Returns float64 [N, D] of length 1; zeros for what has no direction."""
    vectors = features.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directed = np.isfinite(lengths) & (lengths > 0)
    units: _Doubles = np.where(directed, vectors, 0) / np.where(directed, lengths, 1)
    return units
