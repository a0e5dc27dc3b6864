"""Some photos of a pool → the head solved for them, its regularisation chosen among them alone.

They are dealt into three parts, groups kept together. The strength is the one with the lowest loss,
weighted as the training is, that heads of two parts have on the third; with it the head of all
three is solved. Who judges such a head by photos beyond them judges the choice of the strength too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.folds import Positions, deal
from image_retraining.evaluation.pool import Pool
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.head.lbfgs import Samples, solve
from image_retraining.head.regularization_path import STRENGTHS
from image_retraining.head.softmax import evaluate

_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWishes:
    """How heads are to be solved.

    Attributes:
        weigh: int32 [n] label_ids → float32 [C], how much a photo of each class counts where one
            learns from these.
        label_smoothing: share of the truth that goes evenly to all labels, 0 to below 1.
        l2: strength of the regularisation, above 0; None lets it be chosen.
    """

    weigh: Callable[[Ints], Floats]
    label_smoothing: float = 0.0
    l2: float | None = None


@dataclass(frozen=True, slots=True)
class SolvedHead:
    """A head, and the strength of its regularisation."""

    head: Head
    l2: float


def solved_head(pool: Pool, rows: Positions, wishes: HeadWishes, *, seed: int) -> SolvedHead:
    """Returns the head of some photos.

    Args:
        pool: the photos.
        rows: int [n], of which to learn from, n at least 1.
        wishes: how to solve it.
        seed: deals them into parts.
    """
    parts = deal(pool.label_ids[rows], pool.groups[rows], _PARTS, seed=seed)
    # In the order of the parts, each is a block of one copy.
    rows, parts = rows[np.argsort(parts, kind="stable")], np.sort(parts)
    blocks = _Blocks(pool.vectors(rows), pool.label_ids[rows], parts, wishes)
    if wishes.l2 is not None:
        l2 = wishes.l2
    elif parts[-1] == 0:
        # As where a training has no validation photo.
        l2 = 1 / len(rows)
    else:
        l2 = blocks.best_strength()
    return SolvedHead(blocks.solve(np.unique(parts), l2=l2), l2)


class _Blocks:
    """Photos in contiguous parts."""

    def __init__(
        self, vectors: Floats, label_ids: Ints, parts: Positions, wishes: HeadWishes
    ) -> None:
        ends = np.flatnonzero(np.diff(parts)) + 1
        self._vectors = np.split(vectors, ends)
        self._label_ids = np.split(label_ids, ends)
        self._wishes = wishes
        self._weights = wishes.weigh(label_ids)

    def solve(self, parts: npt.NDArray[np.intp], *, l2: float, start: Head | None = None) -> Head:
        """Returns the head of some parts."""
        label_ids = [self._label_ids[part] for part in parts]
        weights = self._wishes.weigh(np.concatenate(label_ids))
        samples = Samples(
            [self._vectors[part] for part in parts],
            label_ids,
            [weights[each] for each in label_ids],
            len(weights),
        )
        smoothing = self._wishes.label_smoothing
        return solve(samples, l2=l2, label_smoothing=smoothing, start=start).head

    def best_strength(self) -> float:
        """Returns the strength whose heads do best on the parts that they have not met."""
        heads: list[Head | None] = [None] * len(self._vectors)
        best, best_strength = float("inf"), STRENGTHS[0]
        for strength in STRENGTHS:
            loss = 0.0
            for part, start in enumerate(heads):
                others = np.delete(np.arange(len(heads)), part)
                heads[part] = head = self.solve(others, l2=strength, start=start)
                known = self._vectors[part], self._label_ids[part]
                counted = float(self._weights[known[1]].sum(dtype=np.float64))
                loss += counted * evaluate(head, *known, self._weights).weighted_cross_entropy
            # All photos judge here, so that the loss has one valley and little noise; further on
            # are the strengths that take longest.
            if not loss < best:
                break
            best, best_strength = loss, strength
        return best_strength
