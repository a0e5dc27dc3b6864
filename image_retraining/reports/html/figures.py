"""What was measured of a run → the figures and charts of its report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from image_retraining.evaluation.calibration import reliability
from image_retraining.evaluation.comparison import Comparison
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.evaluation.metrics import Metrics, most_confused
from image_retraining.foundation.text import shown
from image_retraining.head.best_head import HeadChoice
from image_retraining.head.softmax import softmax
from image_retraining.reports.comparison_file import comparison_rows
from image_retraining.reports.comparison_lines import recommendation
from image_retraining.reports.comparison_plot import bubbles
from image_retraining.reports.curve_lines import outlook_line
from image_retraining.reports.findings import Ended
from image_retraining.reports.html.charts import learning_chart, reliability_chart, training_chart
from image_retraining.reports.metrics_tables import decimal, interval, percent
from image_retraining.reports.tuning_findings import Tuned
from image_retraining.reports.tuning_lines import tuned_lines

Row = Mapping[str, float]

# Classes of which a matrix can be read; of more, the most confused pairs.
_MOST_IN_MATRIX = 30
_MOST_PAIRS = 40
# Training that is so much better than validation learns by heart.
_GAP = 0.1


def training(rows: Sequence[Row], kept: HeadChoice | None) -> dict[str, Any] | None:
    """Returns the curves of the training, what was kept, and signs of over-fitting."""
    if not rows:
        return None
    is_path = "l2" in rows[0]
    place = None
    if kept is not None:
        place = next((row for row in rows if row["step"] == kept.step), None)
    at = place[("l2" if is_path else "step")] if place else None
    return {
        "charts": [
            training_chart(rows, at, "accuracy", "accuracy in %"),
            training_chart(rows, at, "cross_entropy", "loss: cross entropy in nats"),
        ],
        "kept": None
        if kept is None
        else (f"--l2={at:.3g}" if is_path and at else f"step {kept.step}"),
        "signs": _signs(rows, place),
    }


def tuned(found: Tuned | None) -> dict[str, Any] | None:
    """Returns how the fine-tuning went, epoch by epoch, and what came of it."""
    if found is None:
        return None
    rows = [
        {
            "step": epoch.number,
            "validation_accuracy": epoch.rank.accuracy,
            "validation_cross_entropy": epoch.rank.cross_entropy,
            **({"cross_entropy": epoch.training_loss} if epoch.number else {}),
        }
        for epoch in found.epochs
    ]
    names = {"accuracy": "accuracy in %", "cross_entropy": "loss: cross entropy in nats"}
    return {
        "charts": [
            training_chart(rows, found.kept.number, figure, name, step="epoch; 0 is the head alone")
            for figure, name in names.items()
        ],
        "sentences": tuned_lines(found),
        "tensor": found.tensor,
        "share": f"{found.share_above * 100:.0f}%",
    }


def _signs(rows: Sequence[Row], kept: Row | None) -> list[str]:
    """Returns the signs of over-fitting, a sentence each."""
    last, signs = rows[-1], []
    if kept is not None and "validation_cross_entropy" in last:
        loss, least = last["validation_cross_entropy"], kept["validation_cross_entropy"]
        falls = last["cross_entropy"] < kept["cross_entropy"]
        if loss > 1.05 * least and falls:
            signs.append(
                f"After what was kept, the loss of the validation photos grew from {least:.3f} to "
                f"{loss:.3f} while that of the training photos fell: from there on photos were "
                "learnt by heart."
            )
    best = kept or last
    if "validation_accuracy" in best:
        gap = best["accuracy"] - best["validation_accuracy"]
        if gap > _GAP:
            signs.append(
                f"Training photos are answered better than validation photos, by {gap * 100:.0f} "
                "points: more photos, distortions or a stronger --l2 may help."
            )
    return signs


def classes(metrics: Metrics | None) -> list[dict[str, Any]] | None:
    """Returns the figures of each class, for people to read."""
    if metrics is None:
        return None
    figures = zip(
        metrics.labels,
        metrics.precision,
        metrics.recall,
        metrics.recall_intervals,
        metrics.f1,
        metrics.roc_auc,
        metrics.average_precision,
        metrics.support.tolist(),
        strict=True,
    )
    return [
        {
            "label": shown(label),
            "precision": percent(float(precision)),
            "recall": percent(float(recall)),
            "interval": interval(ends) if support else "-",
            "f1": percent(float(f1)),
            "auc": decimal(float(auc)),
            "ap": decimal(float(average)),
            "support": support,
        }
        for label, precision, recall, ends, f1, auc, average, support in figures
    ]


def confusion(metrics: Metrics | None) -> dict[str, Any] | None:
    """Returns what is taken for what: a matrix of few classes, and the pairs most often."""
    if metrics is None:
        return None
    counts, labels = metrics.confusion, [shown(label) for label in metrics.labels]
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    return {
        "labels": labels,
        "rows": [
            {
                "label": labels[true],
                "cells": [
                    {"count": int(count), "share": float(shares[true, place]), "answer": place}
                    for place, count in enumerate(row)
                ],
            }
            for true, row in enumerate(counts.tolist())
        ]
        if len(labels) <= _MOST_IN_MATRIX
        else None,
        "pairs": [
            {
                "true": true,
                "answer": answer,
                "label": labels[true],
                "taken_for": labels[answer],
                "count": int(counts[true, answer]),
                "of": int(counts[true].sum()),
            }
            for true, answer in most_confused(counts, _MOST_PAIRS)
        ],
    }


def sureness(ended: Ended) -> dict[str, Any] | None:
    """Returns how sure the head is, and what a threshold keeps and catches."""
    calibrated = ended.calibrated
    calibration, evaluation = calibrated.calibration, calibrated.evaluation
    if calibration is None or evaluation is None:
        return None
    logits = {"as trained": evaluation.logits}
    if calibration.temperature != 1:
        logits["with the temperature"] = evaluation.logits / np.float32(calibration.temperature)
    charts = {
        name: reliability_chart(reliability(softmax(values), evaluation.label_ids), name)
        for name, values in logits.items()
    }
    tested = ended.judged.evaluation
    kept = None
    if tested is not None and calibration.threshold:
        temperature = 1.0 if calibrated.in_graph else calibration.temperature
        sure = softmax(tested.logits / np.float32(temperature)).max(axis=1) >= calibration.threshold
        right = tested.predicted_ids == tested.label_ids
        kept = {
            "right_kept": f"{int((sure & right).sum())} of {int(right.sum())}",
            "wrong_caught": f"{int((~sure & ~right).sum())} of {int((~right).sum())}",
        }
    return {
        "charts": charts,
        "temperature": f"{calibration.temperature:.3g}",
        "before": percent(calibration.error_before),
        "after": percent(calibration.error_after),
        "threshold": f"{calibration.threshold:.3f}" if calibration.threshold else "",
        "count": calibration.photo_count,
        "kept": kept,
    }


def compared(found: Comparison | None) -> dict[str, Any] | None:
    """Returns the modules that were compared."""
    if found is None:
        return None
    return {
        "rows": comparison_rows(found),
        "sentence": recommendation(found),
        "chart": bubbles(found, style=""),
    }


def learning(curve: LearningCurve | None) -> dict[str, str] | None:
    """Returns the learning curve, and what twice the photos may bring."""
    if curve is None:
        return None
    return {"chart": learning_chart(curve), "sentence": outlook_line(curve)}
