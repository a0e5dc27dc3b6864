"""Export + photos → proof that it answers as the training did."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import logging

from image_retraining.exports.proof import Verification, must_be_the_same
from image_retraining.foundation.errors import PhotoError, VerificationError
from image_retraining.foundation.records import FeatureSet, Floats, Head, Prediction
from image_retraining.foundation.text import shown
from image_retraining.head.sampling import evenly
from image_retraining.head.softmax import evaluate, softmax

# Far above what float32 arithmetic in another order makes of a probability, far below what wrong
# pixels, weights or layers do.
_TOLERANCE = 1e-3
# Likewise of feature vectors, as the share of their length that half of them are off by at most.
# Measured with MobileNets: 3e-6, 0.013 and 0.19 of their length.
_VECTOR_TOLERANCES = {"float16": 0.1, "int8": 0.5}
_VECTOR_TOLERANCE = 0.01
# What is wrong with the vectors is so of all photos.
_MOST_VECTORS = 16
_NOT_KEPT = "It is not kept; please report this with the module's name."


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
                f"probabilities are off by {difference:.2g}. {_NOT_KEPT}"
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


def verify_vectors(
    predict: Callable[[Sequence[str]], Iterator[Prediction]],
    head: Head,
    photos: FeatureSet,
    *,
    quantization: str,
    at_most: int,
) -> None:
    """Checks that an export gives the feature vectors that the head was trained on.

    Args:
        predict: gives what the export, read from disk, says of photo files: scores and, behind
            them, the feature vector. Photos that cannot be read any more are left out.
        head: what the training ended with.
        photos: to ask about, with the feature vectors that the head has seen of them.
        quantization: as Format.quantization gives it.
        at_most: how many photos to take, evenly over the classes.

    Raises:
        GraphError: it cannot run.
        VerificationError: half of the vectors are off by more than such numbers make of them,
            of which 8-bit integers are only warned; or it is to be exact, and gives other
            probabilities beside them.
    """
    asked = photos.rows(evenly(photos.label_ids, min(at_most, _MOST_VECTORS)))
    known, exact = asked.features, must_be_the_same(quantization)
    wanted = softmax(evaluate(head, known, asked.label_ids).logits)
    count = wanted.shape[1]
    length = float(np.linalg.norm(known, axis=1).mean()) or 1.0
    off = []
    for place, found in enumerate(predict(asked.paths)):
        if found.scores is None:
            continue
        scores, vector = found.scores[:count], found.scores[count:]
        if exact and not np.abs(scores - wanted[place]).max() <= _TOLERANCE:
            raise VerificationError(
                "What is exported must answer alike with feature vectors and without. For "
                f"{found.path} it does not. {_NOT_KEPT}"
            )
        fits = vector.shape == known[place].shape
        off.append(float(np.linalg.norm(vector - known[place])) / length if fits else np.inf)
    median = float(np.median(off)) if off else 0.0
    if median <= _VECTOR_TOLERANCES.get(quantization, _VECTOR_TOLERANCE):
        return
    if quantization == "int8":
        logging.warning(
            "WARNING: Half of the feature vectors of the %s export are off by %.2g of their length:"
            " --unknown_threshold=auto tells little by them.",
            quantization,
            median,
        )
        return
    raise VerificationError(
        "What is exported must give the feature vectors of the training. Half of them are off by "
        f"{median:.2g} of their length. {_NOT_KEPT}"
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
