"""Feature vectors → heads, solved for one strength of regularisation after the other.

From strong to weak, each starting where the one before ended, until validation gets no better.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from image_retraining.foundation.records import (
    Evaluation,
    FeatureSet,
    Floats,
    Head,
    TrainingReport,
)
from image_retraining.head.lbfgs import Samples, Solution, solve
from image_retraining.head.sampling import Purpose, at_most
from image_retraining.head.softmax import evaluate, figures

# Half a decade apart.
STRENGTHS = tuple(10 ** (-place / 2) for place in range(13))
# So many strengths without improvement end the path: the loss on other photos has one valley.
_PATIENCE = 3
# Training photos of which a head's accuracy is told.
_MOST_TOLD = 10_000


@dataclass(frozen=True, slots=True)
class PathPoint:
    """The head of one strength.

    Attributes:
        l2: the strength.
        solution: of the problem.
        report: of it, as of a training step; its number is the point's place on the path.
    """

    l2: float
    solution: Solution
    report: TrainingReport


def regularization_path(
    training: FeatureSet,
    validation: FeatureSet,
    *,
    l2: float | None,
    label_smoothing: float,
    class_weights: Floats,
    validation_weights: Floats | None = None,
) -> Iterator[PathPoint]:
    """Yields the points of the path.

    Args:
        training: N photos, with or without views; a photo and its views count as much as one photo.
        validation: what the strengths are judged by; without any, 1 / N is the only strength.
        l2: the only strength to solve for, above 0; None tries many.
        label_smoothing: 0 to below 1.
        class_weights: float32 [C], above 0.
        validation_weights: the same for the validation photos; None for all alike.
    """
    samples = _samples(training, class_weights)
    strengths = STRENGTHS if len(validation) else (1 / len(training),)
    best, waited = float("inf"), 0
    head = None
    # For the log: more tell no more.
    told = at_most(training, _MOST_TOLD, seed=0, purpose=Purpose.TRAINING)
    for place, strength in enumerate((l2,) if l2 is not None else strengths):
        solution = solve(samples, l2=strength, label_smoothing=label_smoothing, start=head)
        head = solution.head
        train = evaluate(head, told.features, told.label_ids)
        whole = None
        if len(validation):
            known = (validation.features, validation.label_ids)
            whole = evaluate(head, *known, validation_weights)
        report = _report(place, head, train, whole)
        yield PathPoint(strength, solution, report)
        if whole is None:
            continue
        cross_entropy = whole.weighted_cross_entropy
        waited = 0 if cross_entropy < best else waited + 1
        best = min(best, cross_entropy)
        if waited == _PATIENCE:
            return


def _samples(training: FeatureSet, class_weights: Floats) -> Samples:
    weights = class_weights[training.label_ids]
    features, label_ids, counts = [training.features], [training.label_ids], [weights]
    if training.views is not None:
        view_count = training.views.shape[1]
        features.append(training.views.reshape([-1, training.views.shape[2]]))
        label_ids.append(np.repeat(training.label_ids, view_count))
        weights = weights / np.float32(1 + view_count)
        counts = [weights, np.repeat(weights, view_count)]
    return Samples(features, label_ids, counts, len(class_weights))


def _report(place: int, head: Head, train: Evaluation, whole: Evaluation | None) -> TrainingReport:
    return TrainingReport(
        steps=range(place, place + 1),
        scalars=figures(head, train),
        head=head,
        train=train,
        validation=whole,
        whole_validation=whole,
    )
