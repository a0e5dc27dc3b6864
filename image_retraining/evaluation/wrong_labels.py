"""Photos whose label looks wrong: judged by heads and neighbours that have never met them.

The photos are dealt into folds, those of one moment into the same, for a copy would vouch for a
wrong label. Each fold's probabilities come from a head solved on the others. Those whose label is
improbable are left out of a second fit, so that they do not mislead it. To that comes the share of
the nearest photos, of other moments, that have the label; both together make the score. How many of
those that are listed are wrong, docs/quality.md tells; benchmarks/wrong_labels.py measures it.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from image_retraining.evaluation.folds import Positions, deal, groups_by_keys
from image_retraining.evaluation.listing import LISTED_BELOW
from image_retraining.evaluation.neighbours import Neighbours, moments, nearest, weigh_alike
from image_retraining.foundation.large_arrays import blocks, floats
from image_retraining.foundation.records import FeatureSet, Floats, Head, Ints, Split
from image_retraining.head.lbfgs import Samples, solve
from image_retraining.head.softmax import softmax

_MOST_FOLDS = 5
# Of the regularisation, from strong to weak, for vectors whose mean square is 1.
_STRENGTHS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
# Labels as improbable are not learnt from again.
_SUSPECT = 0.05
# Copies of a photo are among its nearest as well, and are no witnesses.
_NEIGHBOURS, _WITNESSES = 40, 15
# So that no witness says neither 0 nor 1.
_DOUBT = 0.05


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A photo whose label looks wrong.

    Attributes:
        path: the file.
        label_id: the given label.
        likely_id: the most probable label.
        score: of the given label, 0 to 1, the lower the worse.
    """

    path: str
    label_id: int
    likely_id: int
    score: float


def find(
    sets: Mapping[Split, FeatureSet],
    *,
    seed: int,
    below: float = LISTED_BELOW,
    others: Sequence[Mapping[bytes, Floats]] = (),
    object_of: Callable[[str], bytes] = lambda _: b"",
    folder: Path | None = None,
) -> tuple[LabelIssue, ...]:
    """Returns the photos whose label looks wrong, the worst first.

    A class of a single photo, or of copies of one, is left out: no head can know it without that.

    Args:
        sets: all photos.
        seed: deals the photos into folds.
        below: a photo is listed if its score is below; with 1 all are.
        others: digest → float32 [d], of all photos, of other modules.
        object_of: path → what is equal for photos of one object, b"" where nothing tells.
        folder: where copies of vectors may lie that take too much memory; None for nowhere else.
    """
    photos = list(sets.values())
    label_ids = np.concatenate([part.label_ids for part in photos])
    paths = [path for part in photos for path in part.paths]
    digests = [digest for part in photos for digest in part.digests or [b""] * len(part)]
    known = np.flatnonzero(np.bincount(label_ids) >= 2)
    chosen = np.flatnonzero(np.isin(label_ids, known))
    if len(known) < 2:
        return ()
    given = np.searchsorted(known, label_ids[chosen]).astype(np.int32)
    vectors = _vectors(photos, chosen, digests, others, folder)
    same = [[digests[place], object_of(paths[place])] for place in chosen.tolist()]
    # Small problems; several threads would wait for each other.
    with threadpool_limits(1):
        found = _scored(vectors, given, groups_by_keys(same), seed=seed)
    order = np.argsort(found.scores, kind="stable")
    return tuple(
        LabelIssue(
            paths[chosen[place]],
            int(known[given[place]]),
            int(known[found.likely_ids[place]]),
            float(found.scores[place]),
        )
        for place in order.tolist()
        if found.is_judged[place] and (below >= 1 or found.scores[place] < below)
    )


def _vectors(
    photos: Sequence[FeatureSet],
    chosen: Positions,
    digests: Sequence[bytes],
    others: Sequence[Mapping[bytes, Floats]],
    folder: Path | None,
) -> Floats:
    """Returns float32 [N, D] of the chosen photos, by all modules; the only copy of them."""
    sizes = [photos[0].features.shape[1]]
    sizes += [len(next(iter(other.values()))) for other in others]
    shape = (len(chosen), sum(sizes))
    vectors = floats(shape, folder=folder, what="Copies of feature vectors")
    own, *of_others = np.split(vectors, np.cumsum(sizes)[:-1], axis=1)
    rows = itertools.chain.from_iterable(part.features for part in photos)
    is_chosen = np.zeros([sum(map(len, photos))], np.bool_)
    is_chosen[chosen] = True
    for place, row in enumerate(itertools.compress(rows, is_chosen)):
        own[place] = row
    for part, other in zip(of_others, others, strict=True):
        for row, place in enumerate(chosen.tolist()):
            part[row] = other[digests[place]]
    weigh_alike(vectors, sizes)
    return vectors


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is thought of N labels.

    Attributes:
        scores: float32 [N], of the given labels.
        likely_ids: int [N], the most probable ones.
        is_judged: bool [N], whether the class was known to the heads that had not met the photo.
    """

    scores: Floats
    likely_ids: Positions
    is_judged: npt.NDArray[np.bool_]


def _scored(vectors: Floats, given: Ints, groups: Positions, *, seed: int) -> _Scored:
    """Returns what is thought of the labels `given`, numbered without gaps."""
    near = nearest(vectors, _NEIGHBOURS, groups)
    groups = moments(groups, near)
    folds = _folds(given, groups, seed=seed)
    label_count = int(given.max()) + 1
    places, everything = np.arange(len(given)), np.ones([len(given)], np.bool_)
    if not folds.any():
        return _Scored(everything.astype(np.float32), given.astype(np.intp), ~everything)
    heads = _Heads(vectors, given, folds, label_count)
    probabilities, strength = heads.best(everything)
    shares = _witnesses(near, groups, given, everything, label_count)
    kept = _together(probabilities, shares)[places, given] >= _SUSPECT
    # A class is learnt from, whatever is thought of it.
    fewest = np.bincount(given[kept], minlength=label_count) < 2
    kept |= fewest[given]
    probabilities = heads.probabilities(strength, kept)
    shares = _witnesses(near, groups, given, kept, label_count)
    together = _together(probabilities, shares)
    spread = np.zeros([label_count, int(folds.max()) + 1], np.bool_)
    spread[given, folds] = True
    return _Scored(
        scores=together[places, given],
        likely_ids=together.argmax(axis=1),
        is_judged=(spread.sum(axis=1) > 1)[given],
    )


def _folds(label_ids: Ints, groups: Positions, *, seed: int) -> Positions:
    """Returns the fold of each photo; as many folds as the largest class fills, five at most."""
    _, firsts = np.unique(groups, return_index=True)
    count = max(2, min(_MOST_FOLDS, int(np.bincount(label_ids[firsts]).max())))
    return deal(label_ids, groups, count, seed=seed)


class _Heads:
    """A head for each fold, solved on the others; the last ones are near the next."""

    def __init__(
        self, vectors: Floats, label_ids: Ints, folds: Positions, label_count: int
    ) -> None:
        self._vectors, self._label_ids, self._folds = vectors, label_ids, folds
        self._label_count = label_count
        self._heads: list[Head | None] = [None] * (int(folds.max()) + 1)

    def best(self, kept: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
        """Returns probabilities, of the strength of regularisation with the lowest loss; and it."""
        best, best_loss, best_strength = np.empty([0], np.float32), float("inf"), 0.0
        for strength in _STRENGTHS:
            probabilities = self.probabilities(strength, kept)
            likely = probabilities[np.arange(len(self._label_ids)), self._label_ids]
            loss = float(-np.log(np.maximum(likely, np.finfo(np.float32).tiny)).mean())
            if loss >= best_loss:
                break
            best, best_loss, best_strength = probabilities, loss, strength
        return best, best_strength

    def probabilities(self, strength: float, kept: npt.NDArray[np.bool_]) -> Floats:
        """Returns float32 [N, C], of heads that learnt from kept photos of other folds."""
        found = np.empty([len(self._vectors), self._label_count], np.float32)
        counts = np.bincount(self._label_ids, minlength=self._label_count)
        weights = (len(self._label_ids) / (self._label_count * counts)).astype(np.float32)
        for fold, start in enumerate(self._heads):
            is_own = self._folds == fold
            # What is not learnt from counts nothing; to leave it out would copy all the rest.
            counting = weights[self._label_ids] * (~is_own & kept)
            samples = Samples([self._vectors], [self._label_ids], [counting], self._label_count)
            head = solve(samples, l2=strength, start=start).head
            own = np.flatnonzero(is_own)
            for some in blocks(len(own)):
                found[own[some]] = softmax(head.logits(self._vectors[own[some]]))
            self._heads[fold] = head
        return found


def _witnesses(
    near: Neighbours,
    groups: Positions,
    label_ids: Ints,
    kept: npt.NDArray[np.bool_],
    label_count: int,
) -> Floats:
    """Returns float32 [N, C], which share of the nearest kept photos has a label.

    A class of fewer photos than there are witnesses has its share of what it could have.
    """
    counts = np.bincount(label_ids[kept], minlength=label_count)
    most = np.minimum(_WITNESSES, np.maximum(counts, 1))
    votes = np.zeros([len(label_ids), label_count], np.float32)
    heard = np.zeros([len(label_ids)], np.intp)
    for column in range(near.places.shape[1]):
        witness = near.places[:, column]
        counts_too = (near.cosines[:, column] > -1.5) & kept[witness]
        counts_too &= (groups != groups[witness]) & (heard < _WITNESSES)
        votes[counts_too, label_ids[witness[counts_too]]] += 1
        heard += counts_too
    return np.asarray(votes / most, np.float32)


def _together(probabilities: Floats, shares: Floats) -> Floats:
    """Returns float32 [N, C], the probabilities in which the witnesses have a say."""
    both = probabilities * (shares + np.float32(_DOUBT))
    # A probability of 0 for all would be no number.
    both = np.maximum(both, np.finfo(np.float32).tiny)
    together: Floats = both / both.sum(axis=1, keepdims=True)
    return together
