"""Head + feature vectors → how well it does."""

import numpy as np

from image_retraining.foundation.records import (
    BATCH_FIGURES,
    HEAD_FIGURES,
    Evaluation,
    Floats,
    Head,
    Ints,
)


def evaluate(
    head: Head, features: Floats, label_ids: Ints, class_weights: Floats | None = None
) -> Evaluation:
    """Returns how a head does on photos of known labels.

    Args:
        head: weights [D, C] and bias [C].
        features: float32 [N, D], N at least 1.
        label_ids: int32 [N].
        class_weights: float32 [C], above 0, how much a photo of each class counts in the weighted
            cross entropy; None for all alike.
    """
    return of_logits(head.logits(features), label_ids, class_weights)


def of_logits(logits: Floats, label_ids: Ints, class_weights: Floats | None = None) -> Evaluation:
    """Returns how logits float32 [N, C] do on photos of known labels; as `evaluate`."""
    right = logits.argmax(axis=1) == label_ids
    true_logits = logits[np.arange(len(logits)), label_ids]
    losses = _log_sum_exp(logits) - true_logits
    mean = float(losses.mean())
    weights = None if class_weights is None else class_weights[label_ids]
    return Evaluation(
        logits=logits,
        label_ids=label_ids,
        accuracy=float(right.mean()),
        cross_entropy=mean,
        weighted_cross_entropy=mean if weights is None else float(np.average(losses, 0, weights)),
    )


def figures(head: Head, evaluation: Evaluation) -> dict[str, Floats]:
    """Returns what TrainingReport.scalars has, for one evaluation of a head: float32 [1] each."""
    values = [evaluation.accuracy, evaluation.cross_entropy]
    for part in (head.weights, head.bias):
        values += [part.mean(), part.std(), part.max(), part.min()]
    names = (*BATCH_FIGURES, *HEAD_FIGURES)
    return {name: np.array([value], np.float32) for name, value in zip(names, values, strict=True)}


def softmax(logits: Floats) -> Floats:
    """Returns float32 [N, C], the probabilities of logits [N, C]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def _log_sum_exp(logits: Floats) -> Floats:
    largest = logits.max(axis=1)
    result: Floats = largest + np.log(np.exp(logits - largest[:, np.newaxis]).sum(axis=1))
    return result
