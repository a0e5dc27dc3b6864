"""How the accuracy grows with the number of photos to learn from, and what twice as many may bring.

Of the folds of a cross-validation each is answered by heads that learnt from an eighth, a quarter
and half of the photos of the others, drawn several times, each class evenly, what belongs together
drawn together. So all photos judge at each size, not those of a small test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.cross_validation import CrossValidation, of_known_classes
from image_retraining.evaluation.folds import Positions
from image_retraining.evaluation.intervals import wilson
from image_retraining.evaluation.pool import Pool
from image_retraining.evaluation.power_law import fit
from image_retraining.evaluation.solved_head import HeadWishes, solved_head
from image_retraining.foundation.progress import Progress

_SHARES = (1 / 8, 1 / 4, 1 / 2)
_DRAWS = 3
_BOOTSTRAPS = 400
# An outlook that is wider than so much of accuracy is none.
_WIDEST = 0.03
# Unless it is a gain of so much at the least.
_WORTH = 0.01
_MANY = 5_000_000

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How good heads are that learnt from so many photos.

    Attributes:
        photo_count: of the photos learnt from, on average over folds and draws.
        draw_count: how often they were drawn.
        accuracy: share of right answers to all photos, mean of the draws, 0 to 1.
        interval: where the true one is with 95% confidence, by the number of photos alone.
    """

    photo_count: int
    draw_count: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What twice the photos may bring, by a power law.

    Attributes:
        photo_count: twice as many as were learnt from.
        gain: of accuracy, as a share of 0 to 1.
        low: the end of its 95% interval, by photos and draws drawn anew.
        high: the other end.
    """

    photo_count: int
    gain: float
    low: float
    high: float

    @property
    def can_be_told(self) -> bool:
        """Whether the interval says anything: it is narrow, or all of it is worth the labelling."""
        return self.high - self.low <= _WIDEST or self.low >= _WORTH


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The curve.

    Attributes:
        points: the fewest photos first; the last of them is the cross-validation.
        judged_count: how many photos each point is judged by.
        fold_count: the folds that these are in.
        outlook: what twice the photos may bring; None where there are less than four sizes.
    """

    points: tuple[CurvePoint, ...]
    judged_count: int
    fold_count: int
    outlook: Outlook | None


def learning_curve(
    pool: Pool, labels: tuple[str, ...], wishes: HeadWishes, crossed: CrossValidation, *, seed: int
) -> LearningCurve:
    """Returns the curve.

    Args:
        pool: the photos.
        labels: C class names.
        wishes: how heads are solved.
        crossed: the cross-validation of the pool with the same wishes.
        seed: draws the photos.
    """
    some = of_known_classes(pool, len(labels))
    sizes, rights = [], []
    answered = len(_SHARES) * _DRAWS * len(some)
    is_much = answered * some.parts[0].features.shape[1] >= _MANY
    with Progress("Learning from fewer photos", answered, shown=is_much) as progress:
        for number in range(len(_SHARES)):
            size, right = _answered(some, wishes, crossed, number, seed=seed, progress=progress)
            sizes.append(size)
            rights.append(right)
    sizes.append(len(some) * (1 - 1 / crossed.fold_count))
    rights.append((crossed.predicted_ids == crossed.label_ids)[np.newaxis])
    points = tuple(_point(size, right) for size, right in zip(sizes, rights, strict=True))
    outlook = None
    if len({point.photo_count for point in points}) == len(points):
        random = np.random.default_rng([seed, len(_SHARES)])
        outlook = outlook_of(sizes, rights, crossed.folds, some.groups, random)
    return LearningCurve(points, len(some), crossed.fold_count, outlook)


def _answered(
    pool: Pool,
    wishes: HeadWishes,
    crossed: CrossValidation,
    number: int,
    *,
    seed: int,
    progress: Progress,
) -> tuple[float, _Mask]:
    """Returns from how many photos was learnt, and bool [draws, N], which answers are right."""
    right, counts = np.zeros([_DRAWS, len(pool)], np.bool_), []
    for fold in range(crossed.fold_count):
        asked = np.flatnonzero(crossed.folds == fold)
        others = np.flatnonzero(crossed.folds != fold)
        of_others, how = (pool.label_ids[others], pool.groups[others]), wishes
        for draw in range(_DRAWS):
            random = np.random.default_rng([seed, number, fold, draw])
            rows = others[drawn(*of_others, _SHARES[number], random)]
            solved = solved_head(pool, rows, how, seed=seed)
            # The strength that the first draw chose is good for the next, which are as large.
            how = replace(wishes, l2=solved.l2)
            logits = solved.head.logits(pool.vectors(asked))
            right[draw, asked] = logits.argmax(axis=1) == pool.label_ids[asked]
            counts.append(len(rows))
            progress.advance(len(asked))
    return float(np.mean(counts)), right


def drawn(
    label_ids: npt.NDArray[np.int32],
    groups: Positions,
    share: float,
    random: np.random.Generator,
) -> Positions:
    """Returns ascending rows of about a share of each class's photos, at least a group of each.

    Args:
        label_ids: int32 [n].
        groups: int [n], equal for photos that are drawn together.
        share: 0 to 1.
        random: draws them.
    """
    names, firsts, numbers, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    order = random.permutation(len(names))
    is_drawn = np.zeros([len(names)], np.bool_)
    of_groups = label_ids[firsts]
    for label_id in np.unique(label_ids):
        own = order[of_groups[order] == label_id]
        before = np.cumsum(sizes[own]) - sizes[own]
        # Half a group too many is as near as half a group too few.
        wanted = share * sizes[own].sum()
        is_drawn[own] = (before == 0) | (before + sizes[own] / 2 <= wanted)
    return np.flatnonzero(is_drawn[numbers])


def outlook_of(
    sizes: Sequence[float],
    rights: Sequence[_Mask],
    folds: Positions,
    groups: Positions,
    random: np.random.Generator,
) -> Outlook:
    """Returns what twice the largest size may bring.

    Args:
        sizes: S numbers of photos learnt from, ascending.
        rights: S times bool [draws, N], whether a photo was answered rightly by those of a draw.
        folds: int [N], the fold of each photo, for which photos were drawn together.
        groups: int [N], equal for photos that are drawn anew together.
        random: draws photos and draws anew, B. Efron's bootstrap.
    """
    counts, twice = np.array(sizes), 2 * sizes[-1]
    once = np.array([[1 - right.mean() for right in rights]])
    laws = fit(counts, once)
    gain = float((laws.errors(sizes[-1]) - laws.errors(twice))[0])
    _, numbers = np.unique(groups, return_inverse=True)
    errors = np.empty([_BOOTSTRAPS, len(rights)])
    group_count, fold_count, places = (
        int(numbers.max()) + 1,
        int(folds.max()) + 1,
        np.arange(len(folds)),
    )
    for row in range(_BOOTSTRAPS):
        again = np.bincount(random.integers(group_count, size=group_count), minlength=group_count)
        weights = again[numbers] / again[numbers].sum()
        for column, right in enumerate(rights):
            chosen = random.integers(len(right), size=[len(right), fold_count])
            mean = right[chosen[:, folds], places].mean(axis=0)
            errors[row, column] = 1 - mean @ weights
    laws = fit(counts, errors)
    low, high = np.quantile(laws.errors(sizes[-1]) - laws.errors(twice), [0.025, 0.975])
    return Outlook(round(twice), gain, float(low), float(high))


def _point(size: float, right: _Mask) -> CurvePoint:
    draw_count, judged_count = right.shape
    accuracy = float(right.mean())
    interval = wilson(accuracy * judged_count, judged_count)
    return CurvePoint(round(size), draw_count, accuracy, interval)
