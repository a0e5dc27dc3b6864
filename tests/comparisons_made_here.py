"""Compared modules whose answers are given, for the tests of what is made of them."""

from collections.abc import Sequence

import numpy as np

from image_retraining.evaluation.comparison import Contender, Costs
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.metrics import measure
from image_retraining.foundation.records import Evaluation
from image_retraining.head.softmax import of_logits

LABELS = ("a", "b")


def evaluated(right: Sequence[bool]) -> Evaluation:
    """Returns answers to photos of the first class, right or wrong as given."""
    logits = np.array([[3, 0] if one else [0, 3] for one in right], np.float32)
    return of_logits(logits, np.zeros([len(right)], np.int32))


def crossed(right: Sequence[bool], paths: Sequence[str] = ()) -> CrossValidation:
    """Returns a cross-validation of five folds with such answers."""
    evaluation = evaluated(right)
    return CrossValidation(
        paths=tuple(paths or [f"{number}.jpg" for number in range(len(right))]),
        label_ids=evaluation.label_ids,
        probabilities=np.eye(2, dtype=np.float32)[evaluation.predicted_ids],
        folds=np.arange(len(right)) % 5,
        fold_count=5,
        strengths=(0.1,) * 5,
        left_out=(),
        metrics=measure(evaluation, LABELS),
    )


def contender(
    module: str,
    right: Sequence[bool],
    *,
    milliseconds: float = 10.0,
    test: Sequence[bool] = (True, True, False, True),
    int8: float | None = None,
) -> Contender:
    costs = Costs(
        photos_per_second=50.0, milliseconds=milliseconds, megabytes=13.4, int8_megabytes=int8
    )
    return Contender(
        module=module,
        image_size=(224, 192),
        feature_size=1280,
        crossed=crossed(right),
        tested=measure(evaluated(test), LABELS) if test else None,
        costs=costs,
    )


def right_but(*wrong: int, count: int = 40) -> list[bool]:
    """Returns so many answers, of which the given ones are wrong."""
    return [number not in wrong for number in range(count)]
