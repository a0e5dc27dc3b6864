"""Which vectors are near: all that are, and in the memory of a block.

Sketches tell the few pairs that may be near; of those float64 decides.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from image_retraining.evaluation.sketch import Sketcher, Sketches, unit
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats

# Pairs of a block: 4 MiB of cosines. However many of them are near, more is not kept.
_BLOCK_ROWS, _BLOCK_COLUMNS = 512, 2048
# So many pairs take a few seconds, so that they are worth a bar.
_MANY_PAIRS = 1_000_000_000
# Of a block, a share of pairs from which on all of them are worked out, by a multiplication.
_MANY = 1 / 16
_PAIRS_AT_ONCE = 4096
# What a sketch loses besides: its directions are orthonormal as far as float32 goes.
_SKETCHED = 2e-5
# The vector of the same pixels differs by up to 4e-6 of its length, by the batch it was in.
_ONE_DIRECTION = 1 - 8e-12

_Positions = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one set and columns of another, by their positions in both sets.

    Attributes:
        rows: int [n].
        columns: int [m].
    """

    rows: _Positions
    columns: _Positions


def near_pairs(
    sets: Sequence[Floats],
    *,
    cosine: float,
    wanted: Callable[[Block], _Mask],
    title: str = "Looking for copies",
) -> Iterator[tuple[_Positions, _Positions]]:
    """Yields near vectors of different sets, block by block: their positions, the earlier first.

    The sets are gone through in their order: whatever is near a vector of the first two is told
    before the third is looked at.

    Args:
        sets: float32 [N, D] each, with the same D. A vector is near none when it is not finite, or
            of zeros. A position is a row's in all sets, one set after the other.
        cosine: from which on vectors are near, above 0 and at most 1; 1 for those of one
            direction, as far as a module can tell.
        wanted: of which pairs of a block nearness is to be told, bool [n, m]; it is asked when the
            pairs of the blocks before have been yielded.
        title: what the progress is of.
    """
    starts = np.cumsum([0, *map(len, sets)])
    pairs = [(one, other) for other in range(len(sets)) for one in range(other)]
    count = sum(len(sets[one]) * len(sets[other]) for one, other in pairs)
    if not count:
        return
    # Several threads would wait for each other at each of many small multiplications.
    with (
        threadpool_limits(1),
        Progress(title, count, unit="pairs", shown=count >= _MANY_PAIRS) as p,
    ):
        sketcher = Sketcher(sets)
        sketches = [sketcher.sketches(some) for some in sets]
        for one, other in pairs:
            for rows, columns in _blocks(len(sets[one]), len(sets[other])):
                raise_if_interrupted()
                maybe = _maybe(sketches[one], rows, sketches[other], columns, cosine, sets[one])
                if maybe.any():
                    block = Block(starts[one] + _range(rows), starts[other] + _range(columns))
                    maybe &= wanted(block)
                    near = _exactly(sets[one][rows], sets[other][columns], maybe, cosine)
                    if len(near[0]):
                        yield block.rows[near[0]], block.columns[near[1]]
                p.advance(maybe.size)


def _maybe(
    one: Sketches, rows: slice, other: Sketches, columns: slice, cosine: float, features: Floats
) -> _Mask:
    """Returns which pairs may be near, by their sketches."""
    bound = one.left[rows] @ other.right[columns].T
    maybe: _Mask = bound >= cosine - _lost(features.shape[1], np.float32) - _SKETCHED
    if maybe.any():
        maybe &= one.has_direction[rows, np.newaxis] & other.has_direction[columns]
    return maybe


def _exactly(
    some: Floats, others: Floats, maybe: _Mask, cosine: float
) -> tuple[_Positions, _Positions]:
    """Returns the rows and the columns of the pairs that are near, of those that may be."""
    rows, columns = np.flatnonzero(maybe.any(axis=1)), np.flatnonzero(maybe.any(axis=0))
    count = int(np.count_nonzero(maybe))
    near = min(cosine - _lost(some.shape[1], np.float64), _ONE_DIRECTION)
    if count < _MANY * len(rows) * len(columns):
        first, second = np.nonzero(maybe)
        keep = np.zeros([count], np.bool_)
        for start in range(0, count, _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            left, right = _doubles(some[first[part]]), _doubles(others[second[part]])
            keep[part] = np.einsum("nd,nd->n", left, right) >= near
        return first[keep], second[keep]
    # A first look in float32 takes half the time.
    alike = unit(some[rows])[0] @ unit(others[columns])[0].T
    perhaps = alike >= cosine - _lost(some.shape[1], np.float32)
    perhaps &= maybe[np.ix_(rows, columns)]
    if not perhaps.any():
        return rows[:0], columns[:0]
    few_rows, few_columns = (np.flatnonzero(perhaps.any(axis=axis)) for axis in (1, 0))
    exact = _doubles(some[rows[few_rows]]) @ _doubles(others[columns[few_columns]]).T
    found = np.nonzero((exact >= near) & perhaps[np.ix_(few_rows, few_columns)])
    return rows[few_rows[found[0]]], columns[few_columns[found[1]]]


def _doubles(features: Floats) -> npt.NDArray[np.float64]:
    """Returns float64 [n, D] of length 1."""
    long = features.astype(np.float64)
    long /= np.sqrt(np.einsum("nd,nd->n", long, long))[:, np.newaxis]
    return long


def _blocks(row_count: int, column_count: int) -> Iterator[tuple[slice, slice]]:
    for row in range(0, row_count, _BLOCK_ROWS):
        for column in range(0, column_count, _BLOCK_COLUMNS):
            yield (
                slice(row, min(row + _BLOCK_ROWS, row_count)),
                slice(column, min(column + _BLOCK_COLUMNS, column_count)),
            )


def _range(rows: slice) -> _Positions:
    return np.arange(rows.start, rows.stop)


def _lost(size: int, kind: type[np.floating[Any]]) -> float:
    """Returns more than a cosine of D numbers loses in a kind of floats.

    The product of two unit vectors loses up to D / 2 * eps, and so do both lengths together; two
    roots and two divisions lose the rest. eps is twice the error of one operation.
    """
    return float((size + 4) * np.finfo(kind).eps)
