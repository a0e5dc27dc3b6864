"""Findings → lines for a person at a terminal."""

from typing import Any

import numpy as np

from image_retraining.evaluation.metrics import Metrics, most_confused
from image_retraining.exports.proof import must_be_the_same
from image_retraining.foundation.records import Catalog, Split
from image_retraining.foundation.text import aligned, clipped, shown
from image_retraining.photos.counts import counts
from image_retraining.reports.findings import Exported, Trained
from image_retraining.reports.metrics_tables import percent
from image_retraining.reports.reporter import StageEnded

# More classes than this are told by the smallest and the largest, or the weakest.
_MOST_CLASSES = 8
# Columns that the figures beside a label take.
_BESIDE_LABEL = 40
_NARROWEST_LABEL = 8
_PARTS = {
    Split.TRAINING: "to learn from",
    Split.VALIDATION: "to validate",
    Split.TESTING: "to test",
}


def photos(catalog: Catalog, width: int, *, again: bool = False) -> list[str]:
    """Returns lines: how many photos there are, of each class.

    Args:
        catalog: the photos.
        width: of the terminal, in columns.
        again: whether they were told before, with some that cannot be read.
    """
    table = counts(catalog)
    parts = [f"{sum(row[split] for row in table)} {words}" for split, words in _PARTS.items()]
    total = f"{len(catalog.records)} in {len(catalog.labels)} classes; {', '.join(parts)}"
    if again:
        return [f"Photos that can be read: {total}"]
    sizes = np.array([sum(row.values()) for row in table])
    if len(sizes) > _MOST_CLASSES:
        fewest, most = int(sizes.argmin()), int(sizes.argmax())
        label = {place: shown(catalog.labels[place]) for place in (fewest, most)}
        return [
            f"Photos: {total}",
            f"  from {sizes[fewest]} ({label[fewest]}) to {sizes[most]} ({label[most]}) a class",
        ]
    rows = [["label", *(split.value for split in Split)]]
    rows += [
        [_label(catalog.labels[place], width), *(str(row[split]) for split in Split)]
        for place, row in enumerate(table)
    ]
    return [f"Photos: {total}", *(f"  {line}" for line in aligned(rows))]


def stage(ended: StageEnded) -> list[str]:
    """Returns lines of a stage whose time people want to know."""
    found: Any = ended.found
    if ended.stage == "backbone":
        height, width = found.image_size
        sizes = f"{height} x {width} pixels, {found.feature_size} features"
        return [f"Module {shown(found.handle)} ready in {ended.seconds:.1f} s ({sizes})"]
    if isinstance(found, Trained):
        return [_trained(found, ended.seconds)]
    return []


def right(metrics: Metrics) -> str:
    """Returns how many answers are right, and where the true share is with 95% confidence."""
    low, high = metrics.accuracy_interval
    count = round(metrics.accuracy * metrics.count)
    return (
        f"{count} of {metrics.count} right = {metrics.accuracy * 100:.0f}% "
        f"(likely between {low * 100:.0f}% and {high * 100:.0f}%)"
    )


def classes(metrics: Metrics, width: int) -> list[str]:
    """Returns a table in plain words, and the two labels that are confused most often.

    Args:
        metrics: of the test photos.
        width: of the terminal, in columns.
    """
    judged = np.flatnonzero(metrics.support)
    title = []
    if len(judged) > _MOST_CLASSES:
        judged = judged[np.argsort(metrics.f1[judged], kind="stable")][:_MOST_CLASSES]
        title = [f"  The {_MOST_CLASSES} weakest of {len(metrics.labels)} labels:"]
    named = metrics.confusion.sum(axis=0)
    rows = [("label", "recognised", "right when answered")]
    for place in judged.tolist():
        hits = metrics.confusion[place, place]
        rows.append(
            (
                _label(metrics.labels[place], width),
                f"{hits} of {metrics.support[place]}",
                f"{hits} of {named[place]}" if named[place] else "never answered",
            )
        )
    return [*title, *(f"  {line}" for line in aligned(rows)), *_most_confused(metrics)]


def saved(finding: Exported) -> str:
    """Returns where an export is, and how it was proven."""
    kind = "graph" if finding.name == "graph" else finding.name
    place = f"Saved the {kind} as {finding.path}"
    proof, split = finding.proof, finding.split
    if proof is None or split is None:
        return place
    asked = f"{proof.photo_count} {split.value} photos"
    if must_be_the_same(finding.quantization):
        return f"{place}; read back from disk, it answers {asked} as the training did"
    return (
        f"{place} ({finding.quantization}); read back from disk, it answers {proof.same_answers} "
        f"of {asked} as the training did, {percent(proof.accuracy)} right where that is "
        f"{percent(proof.head_accuracy)}"
    )


def _trained(found: Trained, seconds: float) -> str:
    text = f"Trained in {seconds:.1f} s"
    if found.stopped_early:
        text += f"; stopped after step {found.last_step}, for it got no better"
    if found.kept is not None:
        text += (
            f"; kept the head of step {found.kept.step}, the best on {found.validation_count} "
            "validation photos"
        )
    return text


def _most_confused(metrics: Metrics) -> list[str]:
    """Returns which label is taken for which other most often; none where each answer is right."""
    pairs = most_confused(metrics.confusion, 1)
    if not pairs:
        return []
    label, other = (shown(metrics.labels[label_id]) for label_id in pairs[0])
    count, support = metrics.confusion[pairs[0]], metrics.support[pairs[0][0]]
    were = "was" if count == 1 else "were"
    return [f"  Most often mixed up: {count} of {support} {label} {were} taken for {other}"]


def _label(label: str, width: int) -> str:
    return clipped(shown(label), max(width - _BESIDE_LABEL, _NARROWEST_LABEL))
