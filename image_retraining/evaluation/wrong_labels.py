"""Photos whose label looks wrong: judged by heads that have never met them.

The photos are dealt into folds; each fold's probabilities come from a head solved on the others.
cleanlab's confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", 2021) then tells which given labels are improbable.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.records import FeatureSet, Floats, Head, Ints, Split
from image_retraining.head.lbfgs import Samples, solve
from image_retraining.head.softmax import softmax

_MOST_FOLDS = 5
_STRENGTHS = (1.0, 0.3, 0.1, 0.03)


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A photo whose label looks wrong.

    Attributes:
        path: the file.
        label_id: the given label.
        likely_id: the most probable label.
        score: probability of the given label, 0 to 1.
    """

    path: str
    label_id: int
    likely_id: int
    score: float


def find(sets: Mapping[Split, FeatureSet], *, seed: int) -> tuple[LabelIssue, ...]:
    """Returns the photos whose label looks wrong, the least probable first.

    A class of a single photo is left out: no head can know it without that photo.

    Args:
        sets: all photos.
        seed: deals the photos into folds.
    """
    photos = list(sets.values())
    features = np.concatenate([part.features for part in photos])
    label_ids = np.concatenate([part.label_ids for part in photos])
    paths = [path for part in photos for path in part.paths]
    digests = [digest for part in photos for digest in part.digests]
    counts = np.bincount(label_ids)
    known = np.flatnonzero(counts >= 2)
    chosen = np.flatnonzero(np.isin(label_ids, known))
    if len(known) < 2:
        return ()
    # cleanlab wants the labels numbered without gaps.
    given = np.searchsorted(known, label_ids[chosen]).astype(np.int32)
    some_digests = [digests[place] for place in chosen.tolist()] if digests else []
    folds = _folds(given, some_digests, seed=seed)
    probabilities = _probabilities(features[chosen], given, folds, label_count=len(known))
    return tuple(
        LabelIssue(
            paths[chosen[place]],
            int(known[given[place]]),
            int(known[probabilities[place].argmax()]),
            float(probabilities[place, given[place]]),
        )
        for place in _improbable(given, probabilities)
    )


def _folds(label_ids: Ints, digests: Sequence[bytes], *, seed: int) -> npt.NDArray[np.int64]:
    """Returns the fold of each photo, even over the classes; equal photos share one.

    Else the copy of a photo would tell its label.
    """
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 - takes a second

    firsts, group = np.arange(len(label_ids)), np.arange(len(label_ids))
    if digests:
        _, firsts, group = np.unique(
            np.array(digests, dtype="S32"), return_index=True, return_inverse=True
        )
    fold_count = max(2, min(_MOST_FOLDS, int(np.bincount(label_ids[firsts]).max())))
    dealer = StratifiedKFold(fold_count, shuffle=True, random_state=seed % 2**32)
    folds = np.zeros([len(firsts)], np.int64)
    with warnings.catch_warnings():
        # Classes of few photos cannot be in every fold.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, places) in enumerate(dealer.split(firsts, label_ids[firsts])):
            folds[places] = number
    dealt: npt.NDArray[np.int64] = folds[group]
    return dealt


def _probabilities(
    features: Floats, label_ids: Ints, folds: npt.NDArray[np.int64], *, label_count: int
) -> Floats:
    """Returns float32 [N, C], from heads that have not met the photo, regularised for the best."""
    heads: list[Head | None] = [None] * (int(folds.max()) + 1)
    best, best_loss = np.empty([0], np.float32), float("inf")
    for strength in _STRENGTHS:
        probabilities = np.empty([len(features), label_count], np.float32)
        for fold, start in enumerate(heads):
            others, own = folds != fold, folds == fold
            samples = Samples(
                [features[others]],
                [label_ids[others]],
                [np.ones([np.count_nonzero(others)], np.float32)],
                label_count,
            )
            head = solve(samples, l2=strength, start=start).head
            probabilities[own] = softmax(features[own] @ head.weights + head.bias)
            heads[fold] = head
        likely = probabilities[np.arange(len(label_ids)), label_ids]
        loss = float(-np.log(np.maximum(likely, np.finfo(np.float32).tiny)).mean())
        if loss < best_loss:
            best, best_loss = probabilities, loss
    return best


def _improbable(label_ids: Ints, probabilities: Floats) -> list[int]:
    """Returns the photos whose given label is improbable, the least probable first."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - takes a second

    # One process: a copy of one that runs TensorFlow may hang.
    found = find_label_issues(
        label_ids,
        probabilities.astype(np.float64),
        return_indices_ranked_by="self_confidence",
        filter_by="both",
        n_jobs=1,
    )
    return [int(place) for place in found]
