"""Which photos are the nearest of each, and which are so near that they are of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.sketch import principal, unit
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats

# Neighbours are told by so many directions of the vectors, those in which they differ most.
_DIRECTIONS = 128
_CELLS_AT_ONCE = 8_000_000
_ROWS_AT_ONCE = 200
_IN_A_BIN = 32
# So many photos take more than a few seconds.
_MANY = 10_000
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


def nearest(vectors: Floats, count: int, groups: _Positions) -> Neighbours:
    """Returns the nearest photos of each that are not known to be of its group.

    Args:
        vectors: float32 [N, D], of mean 0.
        count: how many neighbours, at most; there are fewer where N is smaller.
        groups: int [N], equal for photos that are known to be of one group.
    """
    total = len(vectors)
    count = min(count, total)
    if vectors.shape[1] > _DIRECTIONS:
        vectors = vectors @ principal(vectors, _DIRECTIONS)
    short = unit(vectors)[0]
    places, cosines = np.empty([total, count], np.intp), np.empty([total, count], np.float32)
    step = max(1, _CELLS_AT_ONCE // max(1, total))
    width, members = -(-total // _IN_A_BIN) * _IN_A_BIN, _Members(groups)
    title = "Comparing photos with each other"
    with Progress(title, total, shown=total >= _MANY) as progress:
        for start in range(0, total, step):
            raise_if_interrupted()
            rows = slice(start, start + step)
            near = np.full([min(step, total - start), width], -2, np.float32)
            np.matmul(short[rows], short.T, out=near[:, :total])
            near[members.pairs(rows)] = -2
            some = _largest(near, count)
            of_some = np.take_along_axis(near, some, axis=1)
            order = np.argsort(-of_some, axis=1, kind="stable")
            # Beyond the last photo there is none, as at a cosine of -2.
            places[rows] = np.take_along_axis(some, order, axis=1) % total
            cosines[rows] = np.take_along_axis(of_some, order, axis=1)
            progress.advance(len(near))
    return Neighbours(places, cosines)


class _Members:
    """Which photos are of the groups of some others."""

    def __init__(self, groups: _Positions) -> None:
        _, self._groups, self._counts = np.unique(groups, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._groups, kind="stable")
        self._starts = np.cumsum(self._counts) - self._counts

    def pairs(self, rows: slice) -> tuple[_Positions, _Positions]:
        """Returns rows, counted from their first, and the members of the group of each."""
        of_rows = self._groups[rows]
        counts = self._counts[of_rows]
        first = np.repeat(np.arange(len(of_rows)), counts)
        within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
        return first, self._order[np.repeat(self._starts[of_rows], counts) + within]


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
    firsts, places = np.nonzero(neighbours.cosines >= _ONE_MOMENT)
    seconds = neighbours.places[firsts, places]
    order = np.argsort(-neighbours.cosines[firsts, places], kind="stable")
    _, parents = np.unique(groups, return_inverse=True)
    sizes = np.bincount(parents).tolist()
    largest = max(2, int(len(groups) * _LARGEST_SHARE))
    roots = list(range(len(sizes)))

    def root(number: int) -> int:
        while roots[number] != number:
            roots[number] = number = roots[roots[number]]
        return number

    for one, other in zip(
        parents[firsts[order]].tolist(), parents[seconds[order]].tolist(), strict=True
    ):
        first, second = root(one), root(other)
        if first != second and sizes[first] + sizes[second] <= largest:
            roots[second] = first
            sizes[first] += sizes[second]
    return np.array([root(number) for number in parents.tolist()], np.intp)
