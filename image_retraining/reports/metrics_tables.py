"""Metrics → lines for the log."""

import math

import numpy as np

from image_retraining.evaluation.metrics import Figures, Metrics
from image_retraining.foundation.text import aligned, shown
from image_retraining.photos.enumeration import some_of
from image_retraining.reports.findings import CrossValidated

# More classes than this are a page that nobody reads; the weakest are what can be worked on.
_MOST_ROWS = 50
_WEAKEST = 20
COLUMNS = ("precision", "recall", "F1", "ROC AUC", "AP", "support")
_UNKNOWN = "-"


def table(metrics: Metrics) -> list[str]:
    """Returns log lines: the classes' figures, aligned, then the means and the overall figures.

    Above 50 classes only the 20 of lowest F1 are there, the lowest first.
    """
    label_ids = range(len(metrics.labels))
    lines = []
    if len(label_ids) > _MOST_ROWS:
        judged = np.flatnonzero(metrics.support)
        weakest = judged[np.argsort(metrics.f1[judged], kind="stable")][:_WEAKEST]
        lines.append(
            f"The {len(weakest)} of {len(label_ids)} labels with the lowest F1 "
            "(--metrics_file writes all):"
        )
        label_ids = weakest.tolist()
    judged_count = np.count_nonzero(metrics.support)
    rows: list[tuple[str, ...]] = [("Label", *COLUMNS)]
    rows += [(shown(metrics.labels[label_id]), *cells(metrics, label_id)) for label_id in label_ids]
    means = [
        *map(percent, (metrics.macro_precision, metrics.macro_recall, metrics.macro_f1)),
        *map(decimal, (metrics.macro_roc_auc, metrics.macro_average_precision)),
    ]
    noun = "label" if judged_count == 1 else "labels"
    rows.append((f"Mean of {judged_count} {noun}", *means, str(metrics.count)))
    return [*lines, *aligned(rows), *_undefined(metrics), _overall(metrics)]


def cells(metrics: Metrics, label_id: int) -> tuple[str, ...]:
    """Returns the COLUMNS of a class, for people to read."""
    shares = (metrics.precision, metrics.recall, metrics.f1)
    areas = (metrics.roc_auc, metrics.average_precision)
    return (
        *(percent(float(values[label_id])) for values in shares),
        *(decimal(float(values[label_id])) for values in areas),
        str(metrics.support[label_id]),
    )


def percent(share: float) -> str:
    """Returns a share of 0 to 1 as percents, or a dash for NaN."""
    return _UNKNOWN if math.isnan(share) else f"{share * 100:.1f}%"


def decimal(figure: float) -> str:
    """Returns a figure of 0 to 1 with three decimals, or a dash for NaN."""
    return _UNKNOWN if math.isnan(figure) else f"{figure:.3f}"


def interval(ends: tuple[float, float] | Figures) -> str:
    """Returns an interval of shares, as '75.6% to 90.5%'."""
    low, high = ends
    return f"{percent(float(low))} to {percent(float(high))}"


def interval_lines(metrics: Metrics, name: str) -> list[str]:
    """Returns lines that say how far the accuracies may be from the true ones.

    Args:
        metrics: of some photos.
        name: what an accuracy on them is called, as "test".
    """
    lines = [f"95% interval of the {name} accuracy: {interval(metrics.accuracy_interval)}"]
    if metrics.top_5_accuracy_interval is not None:
        ends = interval(metrics.top_5_accuracy_interval)
        lines.append(f"95% interval of the {name} top-5 accuracy: {ends}")
    return lines


def cross_validation_lines(finding: CrossValidated) -> list[str]:
    """Returns log lines: how heads do on photos that they have not met, and each class."""
    found = finding.found
    metrics = found.metrics
    lines = []
    if finding.few_to_judge_by:
        lines.append(
            "Validation or testing photos of some class are fewer than 5, so that all photos are "
            "judged, too (--cross_validate):"
        )
    lines += [
        f"Cross-validated accuracy = {percent(metrics.accuracy)} (N={metrics.count})",
        *interval_lines(metrics, "cross-validated"),
    ]
    lines.append(
        f"Cross-validated in {found.fold_count} folds: each photo is answered by a head of lbfgs "
        "solved on the other folds, its --l2 chosen there"
    )
    if found.left_out:
        lines.append(
            "Left out, for each is a single photo, or copies of one: "
            f"{some_of(list(map(shown, found.left_out)))}"
        )
    rows = [("Label", "cross-validated recall", "95% interval", "support")]
    intervals = metrics.recall_intervals
    label_ids = np.flatnonzero(metrics.support)
    if len(label_ids) > _MOST_ROWS:
        order = np.argsort(metrics.recall[label_ids], kind="stable")
        label_ids = label_ids[order][:_WEAKEST]
        lines.append(f"The {_WEAKEST} of {len(metrics.labels)} labels with the lowest recall:")
    rows += [
        (
            shown(metrics.labels[label_id]),
            percent(float(metrics.recall[label_id])),
            interval(intervals[label_id]),
            str(metrics.support[label_id]),
        )
        for label_id in label_ids.tolist()
    ]
    return [*lines, *aligned(rows)]


def _undefined(metrics: Metrics) -> list[str]:
    """Returns a line that says which areas mean nothing, if some do."""
    count = int(np.isnan(metrics.roc_auc).sum())
    if not count:
        return []
    line = (
        f"ROC AUC and average precision (AP) are undefined for {count} of {len(metrics.labels)} "
        "labels, for these photos do not tell them from others: none is of the label, or all are."
    )
    return [line]


def _overall(metrics: Metrics) -> str:
    figures = [f"top-1 accuracy = {percent(metrics.accuracy)}"]
    if metrics.top_5_accuracy is not None:
        figures.append(f"top-5 accuracy = {percent(metrics.top_5_accuracy)}")
    figures.append(f"macro accuracy = {percent(metrics.macro_accuracy)}")
    figures.append(f"cross entropy = {metrics.cross_entropy:f}")
    return f"Test photos: {', '.join(figures)} (N={metrics.count})"
