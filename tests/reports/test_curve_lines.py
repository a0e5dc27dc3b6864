from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing import event_accumulator

from image_retraining.evaluation.learning_curve import CurvePoint, LearningCurve, Outlook
from image_retraining.reports.curve_lines import curve_lines
from image_retraining.reports.metrics_board import write_curve

CURVE = LearningCurve(
    points=(
        CurvePoint(100, 3, 0.79258, (0.766, 0.8166)),
        CurvePoint(798, 1, 0.868, (0.84530, 0.88735)),
    ),
    judged_count=998,
    fold_count=5,
    outlook=Outlook(1597, 0.00605, 0.0004, 0.0186),
)


def test_the_lines() -> None:
    assert curve_lines(CURVE) == [
        (
            "Learning curve, each accuracy by all 998 photos: heads answer the one of 5 folds "
            "that they were not drawn from"
        ),
        "Learnt from  draws  accuracy    95% interval",
        "100 photos       3     79.3%  76.6% to 81.7%",
        "798 photos       1     86.8%  84.5% to 88.7%",
        (
            "With 1597 photos to learn from, twice as many, the accuracy may grow by 0.6 points "
            "(95% interval 0.0 to 1.9 points), by a power law."
        ),
    ]


@pytest.mark.parametrize(
    ("outlook", "line"),
    [
        (None, "cannot be told: there are too few for four sizes to learn from"),
        (
            Outlook(40, 0.02, 0.0, 0.2),
            "cannot be told: a power law gives a 95% interval 0.0 to 20.0",
        ),
    ],
)
def test_what_cannot_be_told(outlook: Outlook | None, line: str) -> None:
    assert line in curve_lines(replace(CURVE, outlook=outlook))[-1]


def test_tensorboard_shows_it_by_the_number_of_photos(tmp_path: Path) -> None:
    write_curve(str(tmp_path), CURVE)
    found = event_accumulator.EventAccumulator(str(tmp_path / "cross_validation")).Reload()
    curves = {
        tag: [(event.step, round(event.value, 5)) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }
    assert curves == {
        "learning_curve/accuracy": [(100, 0.79258), (798, 0.868)],
        "learning_curve/accuracy_interval/low": [(100, 0.766), (798, 0.84530)],
        "learning_curve/accuracy_interval/high": [(100, 0.8166), (798, 0.88735)],
    }
