"""Metrics → a file that other programs read."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.places import Kind, kind_of
from image_retraining.foundation.sheets import new_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from image_retraining.evaluation.cross_validation import CrossValidation
    from image_retraining.evaluation.learning_curve import LearningCurve
    from image_retraining.evaluation.metrics import Metrics

_SUFFIXES = (".json", ".csv")
# Of each class; what came later stands last, for those who count columns.
_FIELDS = (
    *("label", "precision", "recall", "f1", "support"),
    *("recall_low", "recall_high", "roc_auc", "average_precision"),
)
# Those of the cross-validation that a CSV file has of each class, too.
_CROSS_VALIDATED = ("support", "recall", "recall_low", "recall_high")


def check_metrics_file(path: str) -> None:
    """Checks that a metrics file's name says its format.

    Raises:
        SettingError: it does not.
    """
    if _suffix(path) not in _SUFFIXES:
        raise SettingError(
            f"--metrics_file must end in .json or .csv, which says its format. Got {path}."
        )


@contextlib.contextmanager
def writing_metrics_file(
    path: str,
    metrics: Metrics,
    crossed: CrossValidation | None = None,
    curve: LearningCurve | None = None,
) -> Iterator[None]:
    """Writes all figures to a .json file, or those of the classes to a .csv file.

    Bytes of a class name that are not UTF-8 are written as escapes, so that the file always is.
    They come back from JSON as Python's own names for such bytes. The file takes its place on
    leaving.

    Args:
        path: of the file.
        metrics: of the test photos.
        crossed: what the cross-validation found, where there was one.
        curve: the learning curve, likewise; a .csv file has it not.

    Raises:
        SettingError: the name has another ending.
        OutputError: the file cannot be written.
    """
    check_metrics_file(path)
    with replacing(path) as temporary:
        if _suffix(path) == ".json":
            _write_json(temporary, metrics, crossed, curve)
        else:
            _write_csv(temporary, metrics, crossed)
        yield


def _suffix(path: str) -> str:
    suffix = Path(path).suffix.lower()
    # A device has the name that the system gives it.
    is_device = suffix not in _SUFFIXES and kind_of(path) is Kind.STREAM
    return ".json" if is_device else suffix


def _write_json(
    path: Path, metrics: Metrics, crossed: CrossValidation | None, curve: LearningCurve | None
) -> None:
    figures = _figures(metrics)
    if crossed is not None:
        figures["cross_validation"] = {
            "folds": crossed.fold_count,
            "left_out": list(crossed.left_out),
            **_figures(crossed.metrics),
        }
    if curve is not None:
        figures["learning_curve"] = [
            {
                "learnt_from": point.photo_count,
                "accuracy": point.accuracy,
                "accuracy_low": point.interval[0],
                "accuracy_high": point.interval[1],
            }
            for point in curve.points
        ]
        figures["twice_the_photos"] = None if curve.outlook is None else asdict(curve.outlook)
    text = ",\n".join(f"{_json(name)}: {_json_rows(value)}" for name, value in figures.items())
    # A lone surrogate's backslash escape is JSON's own.
    path.write_bytes(f"{{\n{text}\n}}\n".encode(errors="backslashreplace"))


def _figures(metrics: Metrics) -> dict[str, Any]:
    low, high = metrics.accuracy_interval
    top_low, top_high = metrics.top_5_accuracy_interval or (None, None)
    return {
        "count": metrics.count,
        "accuracy": metrics.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "top_5_accuracy": _known(metrics.top_5_accuracy),
        "top_5_accuracy_low": top_low,
        "top_5_accuracy_high": top_high,
        "cross_entropy": _known(metrics.cross_entropy),
        "macro_accuracy": metrics.macro_accuracy,
        "macro_precision": metrics.macro_precision,
        "macro_recall": metrics.macro_recall,
        "macro_f1": metrics.macro_f1,
        "macro_roc_auc": _known(metrics.macro_roc_auc),
        "macro_average_precision": _known(metrics.macro_average_precision),
        "classes": [dict(zip(_FIELDS, row, strict=True)) for row in _class_rows(metrics)],
        "confusion_matrix": metrics.confusion.tolist(),
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_rows(value: Any) -> str:
    """Returns JSON, of a list one item a line, so that a person can read it too."""
    if not isinstance(value, list):
        return _json(value)
    rows = ",\n".join(_json(row) for row in value)
    return f"[\n{rows}\n]"


def _write_csv(path: Path, metrics: Metrics, crossed: CrossValidation | None) -> None:
    """Writes one row a class and nothing else, so that a spreadsheet or pandas can add and sort."""
    rows, fields = _class_rows(metrics), list(_FIELDS)
    if crossed is not None:
        fields += [f"cross_validated_{name}" for name in _CROSS_VALIDATED]
        places = [_FIELDS.index(name) for name in _CROSS_VALIDATED]
        for row, more in zip(rows, _class_rows(crossed.metrics), strict=True):
            row += [more[place] for place in places]
    with new_sheet(path) as writer:
        # A label may be called 'support': what is predicted has names of its own.
        predicted = [f"predicted {label}" for label in metrics.labels]
        writer.write([*fields, *predicted])
        for row, counts in zip(rows, metrics.confusion.tolist(), strict=True):
            writer.write([*row, *counts])


def _class_rows(metrics: Metrics) -> list[list[Any]]:
    """Returns the _FIELDS of each class, None for NaN."""
    lows, highs = metrics.recall_intervals.T
    figures = (metrics.precision, metrics.recall, metrics.f1)
    later = (lows, highs, metrics.roc_auc, metrics.average_precision)
    shares, areas = (
        [[_known(figure) for figure in values.tolist()] for values in part]
        for part in (figures, later)
    )
    columns = (metrics.labels, *shares, metrics.support.tolist(), *areas)
    return [list(row) for row in zip(*columns, strict=True)]


def _known(figure: float | None) -> float | None:
    """Returns a figure, or None in place of those that JSON has no word for."""
    return figure if figure is not None and math.isfinite(figure) else None
