"""Which photos to label next: those that the head is unsure of, unlike what is labelled, not odd.

The margin of a photo is how much more probable its best label is than the next (T. Scheffer et al.,
"Active Hidden Markov Models for Information Extraction", 2001). Ranked by it alone, the first would
be many photos of one scene, and odd ones of which there are no others. So a photo's score is
(1 - margin), times its distance to the nearest photo that is labelled or before it in the list, as
the farthest-first traversal goes (T. Gonzalez, "Clustering to Minimize the Maximum Intercluster
Distance", 1985), times the square of its density, the mean cosine to the photos around it (B.
Settles and M. Craven, "An Analysis of Active Learning Strategies for Sequence Labeling Tasks",
2008). docs/quality.md says what each of these brought.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.neighbours import nearest, weigh_alike
from image_retraining.evaluation.sketch import principal, unit
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import FeatureSet, Floats, Head
from image_retraining.head.softmax import softmax

# Photos around one.
_AROUND = 20
# So many are spread; nobody labels more before the next training. The others follow by their score.
_SPREAD = 1000
# Distances are told by so many directions, those in which the vectors differ most.
_DIRECTIONS = 128
_CELLS_AT_ONCE = 8_000_000
_MANY = 200_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo to label.

    Attributes:
        path: the file.
        likely_id: the label that the head gives.
        probability: of it, 0 to 1.
        margin: how much more probable it is than the next, 0 to 1.
        score: (1 - margin), times the distance to what is labelled or before it, times the square
            of the density; 0 to 2.
    """

    path: str
    likely_id: int
    probability: float
    margin: float
    score: float


def rank(
    photos: FeatureSet, head: Head, labelled: Sequence[Floats], *, spread: int = _SPREAD
) -> tuple[Candidate, ...]:
    """Returns unlabelled photos, the one that labelling teaches most of first.

    Args:
        photos: M of them, at least 1; their label_ids count for nothing.
        head: of C labels, C at least 2.
        labelled: float32 [n, D] each, the feature vectors of what is labelled.
        spread: so many of the first are spread over the feature space.
    """
    probabilities = softmax(head.logits(photos.features))
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    margins = best[:, 1] - best[:, 0]
    vectors = _directions([photos.features, *labelled])
    own, known = vectors[: len(photos)], vectors[len(photos) :]
    distances = _to_nearest(own, known)
    weights = (1 - margins) * np.square(_densities(own))
    scores = np.empty([len(photos)], np.float32)
    order, is_left = [], np.ones([len(photos)], np.bool_)
    first = min(spread, len(photos))
    title, work = "Choosing photos to label", first * own.size
    with Progress(title, first, shown=work >= _MANY) as progress:
        for _ in range(first):
            raise_if_interrupted()
            now = np.where(is_left, weights * distances, -1)
            place = int(now.argmax())
            scores[place], is_left[place] = now[place], False
            order.append(place)
            distances = np.minimum(distances, _distances(own, own[place]))
            progress.advance()
    scores[is_left] = (weights * distances)[is_left]
    rest = np.flatnonzero(is_left)
    order += rest[np.argsort(-scores[rest], kind="stable")].tolist()
    likely = probabilities.argmax(axis=1)
    return tuple(
        Candidate(
            photos.paths[place],
            int(likely[place]),
            float(probabilities[place, likely[place]]),
            float(margins[place]),
            float(scores[place]),
        )
        for place in order
    )


def _directions(sets: Sequence[Floats]) -> Floats:
    """Returns float32 [N, d] of length 1, of all vectors less their mean; d at most 128."""
    vectors = np.concatenate(sets)
    weigh_alike(vectors, [vectors.shape[1]])
    if vectors.shape[1] > _DIRECTIONS:
        vectors = vectors @ principal(vectors, _DIRECTIONS)
    return unit(vectors)[0]


def _densities(own: Floats) -> Floats:
    """Returns float32 [M], the mean cosine to the nearest of them, 0 to 1; 1 for a single one."""
    cosines = nearest(own, _AROUND, np.arange(len(own))).cosines
    known = cosines > -1.5
    sums = np.where(known, cosines, 0).sum(axis=1)
    densities = np.where(known.any(axis=1), sums / known.sum(axis=1).clip(1), 1)
    return np.clip(densities, 0, 1).astype(np.float32)


def _to_nearest(own: Floats, known: Floats) -> Floats:
    """Returns float32 [M], the distance of each to the nearest that is known; 2 without any."""
    distances = np.full([len(own)], 2, np.float32)
    step = max(1, _CELLS_AT_ONCE // max(1, len(own)))
    for start in range(0, len(known), step):
        raise_if_interrupted()
        near: npt.NDArray[np.float32] = (own @ known[start : start + step].T).max(axis=1)
        distances = np.minimum(distances, 1 - near)
    return np.maximum(distances, 0)


def _distances(vectors: Floats, one: Floats) -> Floats:
    """Returns float32 [M], 1 - cosine to one of them, 0 to 2."""
    distances: Floats = np.maximum(1 - vectors @ one, 0)
    return distances
