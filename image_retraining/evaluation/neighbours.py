"""Which photos are the nearest of each, and which are so near that they are of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.near_cells import Look, cells, everywhere
from image_retraining.evaluation.sketch import principal, unit
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.large_arrays import blocks
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats

# Neighbours are told by so many directions of the vectors, those in which they differ most.
_DIRECTIONS = 128
_CELLS_AT_ONCE = 8_000_000
_ROWS_AT_ONCE = 200
_IN_A_BIN = 32
# So many photos take more than a few seconds.
_MANY = 10_000
# For so many, all with all takes a minute.
_MOST_EVERYWHERE = 100_000
# Pairs that join at a time.
_JOINS_AT_ONCE = 1_000_000
# Of photos saved again, reduced to 60% or taken again from elsewhere, 95 of 100 are as near; so is
# the nearest other photo of one in twenty.
_ONE_MOMENT = 0.8
# A larger share of all photos is no burst.
_LARGEST_SHARE = 1 / 20

_Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest photos of each, the nearest first.

    Attributes:
        places: int [N, k].
        cosines: float32 [N, k], of the vectors less their mean; -2 where there is no other.
    """

    places: _Positions
    cosines: Floats


def side_by_side(modules: Sequence[Floats]) -> Floats:
    """Returns float32 [N, D], the vectors of some modules in one, each weighing the same.

    Args:
        modules: float32 [N, d] each, of the same photos.
    """
    joined = np.hstack(modules)
    weigh_alike(joined, [module.shape[1] for module in modules])
    return joined


def weigh_alike(vectors: Floats, sizes: Sequence[int]) -> None:
    """Lets the modules whose vectors lie side by side weigh the same.

    The vectors of each are of length 1 first; then their mean is taken off, and their mean square
    is 1. They may fill the memory, and so they are changed where they lie.

    Args:
        vectors: float32 [N, D].
        sizes: of the vectors of each module; D in all.
    """
    for last, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        part = vectors[:, last - size : last]
        for start in range(0, len(part), _ROWS_AT_ONCE):
            rows = part[start : start + _ROWS_AT_ONCE]
            rows[:] = unit(rows)[0]
        part -= part.mean(axis=0)
        spread = float(np.sqrt(np.einsum("nd,nd->", part, part) / max(1, len(part))))
        part /= np.float32(spread or 1.0)


def nearest(
    vectors: Floats, count: int, groups: _Positions, *, everywhere_up_to: int = _MOST_EVERYWHERE
) -> Neighbours:
    """Returns the nearest photos of each that are not known to be of its group.

    Args:
        vectors: float32 [N, D], of mean 0.
        count: how many neighbours, at most; there are fewer where N is smaller.
        groups: int [N], equal for photos that are known to be of one group.
        everywhere_up_to: of so many photos all are compared with all; of more those of cells, as
            near_cells tells, which misses a few.
    """
    total = len(vectors)
    count = min(count, total)
    short = shortened(vectors)
    members = _Members(groups)
    found = Neighbours(np.empty([total, count], np.intp), np.empty([total, count], np.float32))
    title = "Comparing photos with each other"
    with Progress(title, total, shown=total >= _MANY) as progress:
        for look in everywhere(total) if total <= everywhere_up_to else cells(short):
            others = short[look.columns]
            step = max(1, _CELLS_AT_ONCE // max(1, len(others)))
            for start in range(0, len(look.rows), step):
                raise_if_interrupted()
                part = Look(look.rows[start : start + step], look.columns)
                places, cosines = among(short[part.rows], others, members.pairs(part), count)
                found.places[part.rows] = look.columns[places]
                found.cosines[part.rows] = cosines
                progress.advance(len(part.rows))
    return found


def shortened(vectors: Floats) -> Floats:
    """Returns float32 [N, d] of length 1, along the directions in which vectors differ most."""
    if vectors.shape[1] <= _DIRECTIONS:
        return unit(vectors)[0]
    directions = principal(vectors, _DIRECTIONS)
    short = np.empty([len(vectors), directions.shape[1]], np.float32)
    for some in blocks(len(vectors)):
        short[some] = unit(vectors[some] @ directions)[0]
    return short


def among(
    some: Floats, others: Floats, left_out: tuple[_Positions, _Positions], count: int
) -> tuple[_Positions, Floats]:
    """Returns int and float32 [n, count], the nearest of the others and their cosines.

    Args:
        some: float32 [n, d], of length 1.
        others: float32 [m, d], of length 1.
        left_out: rows and columns of pairs that do not count: their cosine is -2.
        count: how many.
    """
    width = -(-max(count, len(others)) // _IN_A_BIN) * _IN_A_BIN
    near = np.full([len(some), width], -2, np.float32)
    np.matmul(some, others.T, out=near[:, : len(others)])
    near[left_out] = -2
    nearest = _largest(near, count)
    cosines = np.take_along_axis(near, nearest, axis=1)
    order = np.argsort(-cosines, axis=1, kind="stable")
    # Beyond the last there is none, as at a cosine of -2.
    places = np.take_along_axis(nearest, order, axis=1) % len(others)
    return places, np.take_along_axis(cosines, order, axis=1)


class _Members:
    """Which photos are of the groups of some others."""

    def __init__(self, groups: _Positions) -> None:
        _, self._groups, self._counts = np.unique(groups, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._groups, kind="stable")
        self._starts = np.cumsum(self._counts) - self._counts

    def pairs(self, look: Look) -> tuple[_Positions, _Positions]:
        """Returns rows and columns of a look that are of one group, counted from its first."""
        of_rows = self._groups[look.rows]
        counts = self._counts[of_rows]
        rows = np.repeat(np.arange(len(of_rows)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        members = self._order[np.repeat(self._starts[of_rows], counts) + within]
        columns = np.searchsorted(look.columns, members).clip(max=len(look.columns) - 1)
        there = look.columns[columns] == members
        return rows[there], columns[there]


def _largest(values: Floats, count: int) -> _Positions:
    """Returns int [n, count], the columns of the largest values of each row, in any order.

    They are in the bins whose own largest are the largest: a fraction of the values is sorted.

    Args:
        values: float32 [n, m], m a multiple of _IN_A_BIN.
        count: at most m.
    """
    rows, columns = values.shape
    bins = columns // _IN_A_BIN
    if bins <= 2 * count:
        return np.argpartition(values, columns - count, axis=1)[:, columns - count :]
    tops = values.reshape(rows, _IN_A_BIN, bins).max(axis=1)
    chosen = np.argpartition(tops, bins - count, axis=1)[:, bins - count :]
    members = chosen[:, np.newaxis] + bins * np.arange(_IN_A_BIN)[:, np.newaxis]
    members = members.reshape(rows, -1)
    of_members = np.take_along_axis(values, members, axis=1)
    last = members.shape[1] - count
    best = np.argpartition(of_members, last, axis=1)[:, last:]
    return np.take_along_axis(members, best, axis=1)


def moments(groups: _Positions, neighbours: Neighbours) -> _Positions:
    """Returns int [N], equal for photos of one group or so near that they are of one moment.

    The nearest pairs join first. No group grows beyond a twentieth of all photos by that: of photos
    that are all alike, as of one machine, whole classes would be one.

    Args:
        groups: int [N], equal for photos that are known to be of one group.
        neighbours: of the same photos.
    """
    firsts, columns = np.nonzero(neighbours.cosines >= _ONE_MOMENT)
    order = np.argsort(-neighbours.cosines[firsts, columns], kind="stable")
    firsts, columns = firsts[order], columns[order]
    _, parents = np.unique(groups, return_inverse=True)
    sizes = np.bincount(parents)
    roots = np.arange(len(sizes))
    largest = max(2, int(len(groups) * _LARGEST_SHARE))
    for start in range(0, len(firsts), _JOINS_AT_ONCE):
        pairs = slice(start, start + _JOINS_AT_ONCE)
        seconds = neighbours.places[firsts[pairs], columns[pairs]]
        _join(roots[parents[firsts[pairs]]], roots[parents[seconds]], roots, sizes, largest)
    return roots[parents]


def _join(
    firsts: _Positions, seconds: _Positions, roots: _Positions, sizes: _Positions, largest: int
) -> None:
    """Joins pairs of groups, in their order, as far as none grows too large.

    Args:
        firsts: int [n], roots.
        seconds: int [n], likewise.
        roots: int [G], the root of each group; changed.
        sizes: int [G], photos of the group of each root; changed.
        largest: how many may be of one group.
    """
    apart = firsts != seconds
    # What does not join the first time will not the next.
    low, high = np.minimum(firsts, seconds)[apart], np.maximum(firsts, seconds)[apart]
    kept = np.sort(np.unique(low * len(roots) + high, return_index=True)[1])
    above: dict[int, int] = {}

    def root(number: int) -> int:
        while number in above:
            above_that = above.get(above[number], above[number])
            above[number] = above_that
            number = above_that
        return number

    for one, other in zip(firsts[apart][kept].tolist(), seconds[apart][kept].tolist(), strict=True):
        first, second = root(one), root(other)
        if first != second and sizes[first] + sizes[second] <= largest:
            above[second] = first
            sizes[first] += sizes[second]
    joined = np.arange(len(roots))
    for number in above:
        joined[number] = root(number)
    roots[:] = joined[roots]
