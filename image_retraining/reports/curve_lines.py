"""Learning curve → lines for the log."""

from image_retraining.evaluation.learning_curve import LearningCurve, Outlook
from image_retraining.foundation.text import aligned
from image_retraining.reports.metrics_tables import interval, percent


def curve_lines(curve: LearningCurve) -> list[str]:
    """Returns lines: the accuracy at each number of photos, and what twice as many may bring."""
    rows = [("Learnt from", "draws", "accuracy", "95% interval")]
    rows += [
        (
            f"{point.photo_count} photos",
            str(point.draw_count),
            percent(point.accuracy),
            interval(point.interval),
        )
        for point in curve.points
    ]
    judges = (
        f"Learning curve, each accuracy by all {curve.judged_count} photos: heads answer the "
        f"{_part(curve.fold_count)} that they were not drawn from"
    )
    return [judges, *aligned(rows), outlook_line(curve)]


def outlook_line(curve: LearningCurve) -> str:
    """Returns what twice the photos may bring, or that nobody can tell."""
    outlook = curve.outlook
    if outlook is None:
        return (
            "What twice the photos may bring cannot be told: there are too few for four sizes to "
            "learn from."
        )
    if not outlook.can_be_told:
        return (
            f"What {outlook.photo_count} photos to learn from, twice as many, may bring cannot be "
            f"told: a power law gives a {gain(outlook)}, which is too wide to say anything."
        )
    return (
        f"With {outlook.photo_count} photos to learn from, twice as many, the accuracy may grow by "
        f"{outlook.gain * 100:.1f} points ({gain(outlook)}), by a power law."
    )


def gain(outlook: Outlook) -> str:
    """Returns the interval of what is gained, in points."""
    return f"95% interval {outlook.low * 100:.1f} to {outlook.high * 100:.1f} points"


def _part(fold_count: int) -> str:
    return "half" if fold_count == 2 else f"one of {fold_count} folds"
