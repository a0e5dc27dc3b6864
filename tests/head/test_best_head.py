import math

import numpy as np
import pytest

from image_retraining.foundation.records import Evaluation, Head, TrainingReport
from image_retraining.head.best_head import HeadChoice, chosen


def report(step: int, loss: float | None) -> TrainingReport:
    """Returns a report whose head has the step as its bias."""
    whole = None
    if loss is not None:
        logits, label_ids = np.zeros([1, 2], np.float32), np.zeros([1], np.int32)
        # By the plain one the order would be the other.
        whole = Evaluation(logits, label_ids, 0.5, cross_entropy=-loss, weighted_cross_entropy=loss)
    head = Head(np.zeros([1, 2], np.float32), np.full([2], step, np.float32))
    return TrainingReport(
        steps=range(step - 9, step + 1),
        scalars={},
        head=head,
        train=None,
        validation=None,
        whole_validation=whole,
    )


def after(*losses: float | None) -> HeadChoice | None:
    choice = None
    for number, loss in enumerate(losses):
        choice = chosen(choice, report(10 * number, loss))
    return choice


@pytest.mark.parametrize(
    ("losses", "step", "waited"),
    [
        ([3], 0, 0),
        ([3, 2, 1], 20, 0),
        ([3, 1, 2], 10, 1),
        ([3, 1, 2, 2, 2], 10, 3),
        ([3, 1, 2, 0.5, 0.6], 30, 1),
        # Of equal ones the first.
        ([2, 2, 2], 0, 2),
        # Steps without an evaluation are no waiting.
        ([3, 1, None, None, 2], 10, 1),
        ([None, 3, None], 10, 0),
        ([1, math.nan, math.inf], 0, 2),
    ],
)
def test_the_lowest_loss_wins(losses: list[float | None], step: int, waited: int) -> None:
    choice = after(*losses)
    assert choice is not None
    assert (choice.step, choice.waited) == (step, waited)
    assert choice.cross_entropy == losses[step // 10]
    assert choice.head.bias.tolist() == [step, step]


def test_without_evaluations_there_is_no_choice() -> None:
    assert after(None, None) is None
