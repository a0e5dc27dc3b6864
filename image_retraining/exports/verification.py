"""Export + photos → proof that it answers as the training did."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import logging

from image_retraining.exports.proof import Verification
from image_retraining.foundation.errors import PhotoError, VerificationError
from image_retraining.foundation.records import FeatureSet, Floats, Head, Prediction
from image_retraining.foundation.text import shown
from image_retraining.head.sampling import evenly
from image_retraining.head.softmax import evaluate, softmax

# Far above what float32 arithmetic in another order makes of a probability, far below what wrong
# pixels, weights or layers do.
_TOLERANCE = 1e-3


def verify(
    predict: Callable[[Sequence[str]], Iterator[Prediction]],
    head: Head,
    photos: FeatureSet,
    *,
    exact: bool = True,
    at_most: int,
) -> Verification:
    """Returns how well an export agrees with the head on photos' pixels.

    Args:
        predict: gives what the export, read from disk, says of photo files.
        head: what the training ended with.
        photos: to ask about, with the feature vectors that the head has seen of them.
        exact: whether it computes in float32, so that it must answer as the head does; in fewer
            bits it only should.
        at_most: how many photos to take, evenly over the classes.

    Raises:
        GraphError: it cannot run.
        PhotoError: none of the photos can be read any more.
        VerificationError: it is to be exact and gives another answer, or another probability by
            more than 1e-3.
    """
    asked = photos.rows(evenly(photos.label_ids, at_most))
    count = same = right = right_of_head = 0
    largest = 0.0
    for place, scores, wanted in _compared(predict(asked.paths), head, asked):
        difference = float(np.abs(scores - wanted).max())
        largest = max(largest, difference)
        if exact and (difference > _TOLERANCE or not _same_answer(scores, wanted)):
            raise VerificationError(
                f"What is exported must answer as the training did. For {asked.paths[place]} its "
                f"probabilities are off by {difference:.2g}. It is not kept; please report this "
                "with the module's name."
            )
        count += 1
        same += _same_answer(scores, wanted) if exact else scores.argmax() == wanted.argmax()
        right += scores.argmax() == asked.label_ids[place]
        right_of_head += wanted.argmax() == asked.label_ids[place]
    return Verification(
        photo_count=count,
        same_answers=int(same),
        largest_difference=largest,
        accuracy=float(right / count),
        head_accuracy=float(right_of_head / count),
    )


def _compared(
    predictions: Iterator[Prediction], head: Head, photos: FeatureSet
) -> Iterator[tuple[int, Floats, Floats]]:
    """Yields which photo it is, and the probabilities that the export and the head give it.

    Photos that cannot be read any more are left out, with a warning.
    """
    gone: list[str] = []
    expected = softmax(evaluate(head, photos.features, photos.label_ids).logits)
    for place, (prediction, wanted) in enumerate(zip(predictions, expected, strict=True)):
        if prediction.scores is None:
            gone.append(f"{shown(prediction.path)}: {prediction.reason}")
        else:
            yield place, prediction.scores, wanted
    if len(gone) == len(photos):
        raise PhotoError(
            f"The photos to prove an export on must be readable to the end. Of {len(gone)} none "
            f"can be read any more; {gone[0]}. Run again."
        )
    if gone:
        logging.warning(
            "WARNING: %d of the %d photos to prove it on cannot be read any more: %s",
            len(gone),
            len(photos),
            gone[0],
        )


def _same_answer(scores: Floats, wanted: Floats) -> bool:
    """Whether the most probable label is the same, or one as probable within the tolerance."""
    return bool(wanted.max() - wanted[scores.argmax()] <= 2 * _TOLERANCE)
