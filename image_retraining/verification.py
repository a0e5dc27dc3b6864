"""Export + photos → proof that it answers as the training did."""

from dataclasses import dataclass

import numpy as np

from image_retraining.errors import PhotoError, VerificationError
from image_retraining.evaluation import evaluate, softmax
from image_retraining.predictions import Classifier, predict
from image_retraining.records import FeatureSet, Floats, Head

# Far above what float32 arithmetic in another order makes of a probability, far below what wrong
# pixels, weights or layers do.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Verification:
    """How near an export's answers are to the head's.

    Attributes:
        photo_count: photos it was asked about.
        largest_difference: of any probability, 0 to 1.
    """

    photo_count: int
    largest_difference: float


def verify(
    model: Classifier,
    head: Head,
    photos: FeatureSet,
    *,
    image_size: tuple[int, int],
    at_most: int,
) -> Verification:
    """Returns how well an export agrees with the head on photos' pixels.

    Args:
        model: the export, read from disk.
        head: what the training ended with.
        photos: to ask about, with the feature vectors that the head has seen of them.
        image_size: (H, W).
        at_most: how many photos to take, evenly over the classes.

    Raises:
        PhotoError: a photo cannot be read any more.
        VerificationError: it gives another answer, or another probability by more than 1e-3.
    """
    rows = _evenly(photos, at_most)
    expected = softmax(evaluate(head, photos.features[rows], photos.label_ids[rows]).logits)
    paths = [photos.paths[row] for row in rows]
    largest = 0.0
    for prediction, wanted in zip(
        predict(model, paths, image_size=image_size), expected, strict=True
    ):
        if prediction.scores is None:
            raise PhotoError(
                f"{prediction.path} cannot be read any more: {prediction.reason}. Run again."
            )
        difference = float(np.abs(prediction.scores - wanted).max())
        largest = max(largest, difference)
        if difference > _TOLERANCE or not _same_answer(prediction.scores, wanted):
            raise VerificationError(
                f"What is exported must answer as the training did. For {prediction.path} its "
                f"probabilities are off by {difference:.2g}. It is not kept; please report this "
                "with the module's name."
            )
    return Verification(len(rows), largest)


def _same_answer(scores: Floats, wanted: Floats) -> bool:
    """Whether the most probable label is the same, or one as probable within the tolerance."""
    return bool(wanted.max() - wanted[scores.argmax()] <= 2 * _TOLERANCE)


def _evenly(photos: FeatureSet, at_most: int) -> list[int]:
    """Returns rows of photos: the first of each class, then the second of each, and so on."""
    _, starts, counts = np.unique(photos.label_ids, return_index=True, return_counts=True)
    rounds = np.arange(len(photos)) - np.repeat(starts, counts)
    rows: list[int] = np.argsort(rounds, kind="stable")[:at_most].tolist()
    return sorted(rows)
