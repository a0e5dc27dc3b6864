"""Where to look for the nearest of very many vectors: in the cells around each.

To compare all with all takes the square of time. So vectors are dealt into cells, of those to which
one of some centres is the nearest, and what is in a cell is compared with what is in the
cells around it alone, as by an inverted file: J. Sivic and A. Zisserman, "Video Google", 2003.
docs/quality.md tells how many of the nearest are found so.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from image_retraining.foundation.large_arrays import blocks
from image_retraining.foundation.records import Floats

_IN_A_CELL = 500
_CELLS_AROUND = 32
# Of a cell, each vector says so many others whose centres are the nearest to it.
_SAID_BY_EACH = 8
# So many of a cell are looked at for its centre, so many times.
_SAMPLE_OF_A_CELL, _ROUNDS = 40, 10

_Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Look:
    """Some vectors, and those among which their nearest are looked for, both by their positions.

    Attributes:
        rows: int [n].
        columns: int [m], ascending.
    """

    rows: _Positions
    columns: _Positions


def everywhere(count: int) -> Iterator[Look]:
    """Yields one look, of all vectors among all."""
    yield Look(np.arange(count), np.arange(count))


def cells(vectors: Floats) -> Iterator[Look]:
    """Yields looks of which each vector is in one.

    Args:
        vectors: float32 [N, D], of length 1 or of zeros; many.
    """
    centres = _centres(vectors)
    choices = np.concatenate([_choices(vectors[some], centres) for some in blocks(len(vectors))])
    order = np.argsort(choices[:, 0], kind="stable")
    ends = np.searchsorted(choices[order, 0], np.arange(len(centres)), side="right")
    members = np.split(order, ends[:-1])
    for own, rows in enumerate(members):
        if len(rows):
            said = np.bincount(choices[rows].ravel(), minlength=len(centres))
            said[own] += 1  # Before all others, which may be said by all as well.
            around = np.argsort(-said, kind="stable")[:_CELLS_AROUND]
            columns = np.concatenate([members[cell] for cell in around.tolist()])
            yield Look(rows, np.sort(columns))


def _centres(vectors: Floats) -> Floats:
    """Returns float32 [K, D], the centres of cells, of length 1, by k-means of a sample."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - takes two seconds
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - likewise

    count = -(-len(vectors) // _IN_A_CELL)
    random = np.random.default_rng(0)
    sample = vectors[np.sort(random.permutation(len(vectors))[: count * _SAMPLE_OF_A_CELL])]
    # With several threads sums would be added in another order each time.
    with threadpool_limits(1), warnings.catch_warnings():
        # Of fewer different vectors there are fewer cells.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(count, init="random", n_init=1, max_iter=_ROUNDS, random_state=0)
        centres: Floats = means.fit(sample).cluster_centers_
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray(centres / np.where(lengths > 0, lengths, 1), np.float32)


def _choices(vectors: Floats, centres: Floats) -> npt.NDArray[np.int32]:
    """Returns int32 [n, k], the nearest centres of each vector, the nearest first."""
    near = vectors @ centres.T
    count = min(_SAID_BY_EACH, len(centres))
    some = np.argpartition(near, len(centres) - count, axis=1)[:, len(centres) - count :]
    order = np.argsort(-np.take_along_axis(near, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1).astype(np.int32)
