"""Metrics → lines for the log, and a file."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.places import Kind, kind_of
from image_retraining.foundation.sheets import SheetWriter
from image_retraining.foundation.text import aligned, shown

# More classes than this are a page that nobody reads; the weakest are what can be worked on.
_MOST_ROWS = 50
_WEAKEST = 20
_SUFFIXES = (".json", ".csv")
_FIELDS = ("label", "precision", "recall", "f1", "support")
_COLUMNS = ("precision", "recall", "F1", "support")
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
    rows: list[tuple[str, ...]] = [("Label", *_COLUMNS)]
    rows += [(shown(metrics.labels[label_id]), *cells(metrics, label_id)) for label_id in label_ids]
    means = (metrics.macro_precision, metrics.macro_recall, metrics.macro_f1)
    noun = "label" if judged_count == 1 else "labels"
    rows.append(
        (f"Mean of {judged_count} {noun}", *(percent(mean) for mean in means), str(metrics.count))
    )
    return [*lines, *aligned(rows), _overall(metrics)]


def cells(metrics: Metrics, label_id: int) -> tuple[str, str, str, str]:
    """Returns a class's precision, recall, F1 and support, for people to read."""
    figures = (metrics.precision, metrics.recall, metrics.f1)
    precision, recall, f1 = (percent(float(values[label_id])) for values in figures)
    return precision, recall, f1, str(metrics.support[label_id])


def percent(share: float) -> str:
    """Returns a share of 0 to 1 as percents, or a dash for NaN."""
    return _UNKNOWN if math.isnan(share) else f"{share * 100:.1f}%"


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
def writing_metrics_file(path: str, metrics: Metrics) -> Iterator[None]:
    """Writes all figures to a .json file, or those of the classes to a .csv file.

    Bytes of a class name that are not UTF-8 are written as escapes, so that the file always is.
    They come back from JSON as Python's own names for such bytes. The file takes its place on
    leaving.

    Raises:
        SettingError: the name has another ending.
        OutputError: the file cannot be written.
    """
    check_metrics_file(path)
    write = _write_json if _suffix(path) == ".json" else _write_csv
    with replacing(path) as temporary:
        write(temporary, metrics)
        yield


def _suffix(path: str) -> str:
    suffix = Path(path).suffix.lower()
    # A device has the name that the system gives it.
    is_device = suffix not in _SUFFIXES and kind_of(path) is Kind.STREAM
    return ".json" if is_device else suffix


def _overall(metrics: Metrics) -> str:
    figures = [f"top-1 accuracy = {percent(metrics.accuracy)}"]
    if metrics.top_5_accuracy is not None:
        figures.append(f"top-5 accuracy = {percent(metrics.top_5_accuracy)}")
    figures.append(f"macro accuracy = {percent(metrics.macro_accuracy)}")
    figures.append(f"cross entropy = {metrics.cross_entropy:f}")
    return f"Test photos: {', '.join(figures)} (N={metrics.count})"


def _write_json(path: Path, metrics: Metrics) -> None:
    figures = {
        "count": metrics.count,
        "accuracy": metrics.accuracy,
        "top_5_accuracy": _known(metrics.top_5_accuracy),
        "cross_entropy": _known(metrics.cross_entropy),
        "macro_accuracy": metrics.macro_accuracy,
        "macro_precision": metrics.macro_precision,
        "macro_recall": metrics.macro_recall,
        "macro_f1": metrics.macro_f1,
        "classes": [dict(zip(_FIELDS, row, strict=True)) for row in _class_rows(metrics)],
        "confusion_matrix": metrics.confusion.tolist(),
    }
    text = ",\n".join(f"{_json(name)}: {_json_rows(value)}" for name, value in figures.items())
    # A lone surrogate's backslash escape is JSON's own.
    path.write_bytes(f"{{\n{text}\n}}\n".encode(errors="backslashreplace"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_rows(value: Any) -> str:
    """Returns JSON, of a list one item a line, so that a person can read it too."""
    if not isinstance(value, list):
        return _json(value)
    rows = ",\n".join(_json(row) for row in value)
    return f"[\n{rows}\n]"


def _write_csv(path: Path, metrics: Metrics) -> None:
    """Writes one row a class and nothing else, so that a spreadsheet or pandas can add and sort.

    Excel takes a file for UTF-8 only by the mark that utf-8-sig begins with; pandas skips it.
    """
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        writer = SheetWriter(file)
        # A label may be called 'support': what is predicted has names of its own.
        predicted = [f"predicted {label}" for label in metrics.labels]
        writer.write([*_FIELDS, *predicted])
        for row, counts in zip(_class_rows(metrics), metrics.confusion.tolist(), strict=True):
            writer.write([*row, *counts])


def _class_rows(metrics: Metrics) -> list[list[Any]]:
    """Returns the _FIELDS of each class, None for NaN."""
    figures = (metrics.precision, metrics.recall, metrics.f1)
    shares = [[_known(share) for share in values.tolist()] for values in figures]
    columns = (metrics.labels, *shares, metrics.support.tolist())
    return [list(row) for row in zip(*columns, strict=True)]


def _known(figure: float | None) -> float | None:
    """Returns a figure, or None in place of those that JSON has no word for."""
    return figure if figure is not None and math.isfinite(figure) else None
