"""Figures → pictures of the report, coloured by its style sheet."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from image_retraining.evaluation.calibration import Reliability
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.evaluation.projection import PCA, TSNE
from image_retraining.foundation.text import shown
from image_retraining.reports.html.choice import PhotoMap
from image_retraining.reports.svg import Axis, Drawing, with_room

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 445, 26, 250
# Points of a curve beyond which nobody sees more of it.
_MOST_POINTS = 400

Row = Mapping[str, float]

# So many colours the style sheet has; of more classes some share one.
COLOURS = 10
MAP_NAMES = {PCA: "principal components", TSNE: "t-SNE"}
_MAP_WIDTH, _MAP_HEIGHT, _MAP_MARGIN = 900, 560, 14


def training_chart(
    rows: Sequence[Row], kept: float | None, figure: str, name: str, *, step: str = "step"
) -> str:
    """Returns a figure of training and validation photos, step by step.

    Args:
        rows: as History has them, at least one, in the order of the steps; of a solved head each
            has its l2, and that is across.
        kept: the step, or l2, whose head was kept; None for the last.
        figure: "accuracy" or "cross_entropy".
        name: of it, for people.
        step: what a row is of.
    """
    is_path = "l2" in rows[0]
    rows = rows[:: max(1, len(rows) // _MOST_POINTS)]
    scale = 100 if figure == "accuracy" else 1
    across = [row["l2"] if is_path else row["step"] for row in rows]
    curves = {
        kind: [(x, row[key] * scale) for x, row in zip(across, rows, strict=True) if key in row]
        for kind, key in (("training", figure), ("validation", f"validation_{figure}"))
    }
    drawing = Drawing(_WIDTH, _HEIGHT, f"{name} of training and validation photos")
    heights = [y for curve in curves.values() for _, y in curve]
    low, high = with_room(heights, at_least=0.01 * scale)
    up = Axis(max(low, 0.0), high, _BOTTOM, _TOP)
    to_right = _across(across, is_logarithmic=is_path)
    title = "strength of the regularisation, --l2" if is_path else step
    drawing.axes(to_right, up, (title, name), whole=not is_path)
    if kept is not None:
        x = to_right.at(kept)
        drawing.line(x, _TOP, x, _BOTTOM, of="kept")
        drawing.text(x, _TOP - 6, "kept", anchor="middle")
    for kind, curve in curves.items():
        places = [(to_right.at(x), up.at(y)) for x, y in curve]
        if places:
            drawing.polyline(places, of=kind)
        if len(places) <= 20:
            for place in places:
                drawing.circle(*place, 3, of=kind)
    return drawing.markup()


def _across(values: Sequence[float], *, is_logarithmic: bool) -> Axis:
    low, high = min(values), max(values)
    if low == high:
        low, high = (low / 2, high * 2) if is_logarithmic else (low - 1, high + 1)
    return Axis(low, high, _LEFT, _RIGHT, is_logarithmic=is_logarithmic)


def reliability_chart(found: Reliability, name: str) -> str:
    """Returns a reliability diagram: how often answers of a probability are right."""
    drawing = Drawing(_WIDTH, _HEIGHT, f"How often answers of a probability are right, {name}")
    across, up = Axis(0, 100, _LEFT, _RIGHT), Axis(0, 100, _BOTTOM, _TOP)
    drawing.axes(across, up, ("probability in %", "right answers in %"))
    drawing.line(_LEFT, _BOTTOM, _RIGHT, _TOP, of="even")
    edges = [100 * place / len(found.counts) for place in range(len(found.counts) + 1)]
    for place, (start, end) in enumerate(pairwise(edges)):
        count = int(found.counts[place])
        if not count:
            continue
        top = up.at(float(found.accuracy[place]) * 100)
        left, right = across.at(start), across.at(end)
        tip = (
            f"{count} answers of {start:.0f} to {end:.0f}%: "
            f"{found.accuracy[place] * 100:.0f}% of them are right"
        )
        drawing.rectangle(left, top, right - left, _BOTTOM - top, of="bar", tip=tip)
        x = across.at(float(found.confidence[place]) * 100)
        drawing.circle(x, up.at(float(found.confidence[place]) * 100), 3, of="training")
    return drawing.markup()


def learning_chart(curve: LearningCurve) -> str:
    """Returns the accuracy at each number of photos, with its interval."""
    drawing = Drawing(_WIDTH, _HEIGHT, "Accuracy by the number of photos to learn from")
    counts = [float(point.photo_count) for point in curve.points]
    ends = [end * 100 for point in curve.points for end in point.interval]
    low, high = with_room(ends, at_least=2)
    up = Axis(max(low, 0), min(high, 100), _BOTTOM, _TOP)
    across = Axis(min(counts) / 1.3, max(counts) * 1.3, _LEFT, _RIGHT, is_logarithmic=True)
    drawing.axes(across, up, ("photos to learn from (logarithmic)", "accuracy in %"))
    for point in curve.points:
        x = across.at(point.photo_count)
        low, high = (up.at(end * 100) for end in point.interval)
        drawing.line(x, low, x, high, of="validation")
        tip = f"{point.photo_count} photos: {point.accuracy * 100:.1f}%"
        drawing.circle(x, up.at(point.accuracy * 100), 4, of="validation", tip=tip)
    places = [(across.at(p.photo_count), up.at(p.accuracy * 100)) for p in curve.points]
    drawing.polyline(places, of="validation")
    return drawing.markup()


def map_chart(found: PhotoMap, labels: Sequence[str]) -> str:
    """Returns the photos in two dimensions, in the colours of their labels, wrong ones ringed."""
    drawing = Drawing(_MAP_WIDTH, _MAP_HEIGHT, "The photos by their feature vectors")
    places = [spot.place for spot in found.spots]
    across, up = (
        Axis(*with_room([place[way] for place in places], at_least=1e-6, share=0.03), start, end)
        for way, (start, end) in enumerate(
            (
                (_MAP_MARGIN, _MAP_WIDTH - _MAP_MARGIN),
                (_MAP_HEIGHT - _MAP_MARGIN, _MAP_MARGIN),
            )
        )
    )
    for spot in found.spots:
        x, y = across.at(spot.place[0]), up.at(spot.place[1])
        tip = f"{shown(labels[spot.label_id])}, {spot.split}: {shown(spot.path)}"
        kind = f"spot colour{spot.label_id % COLOURS} label{spot.label_id}"
        drawing.circle(x, y, 4, of=kind, tip=f"{tip}{', answered wrongly' * spot.is_wrong}")
        if spot.is_wrong:
            drawing.circle(x, y, 7, of=f"ring label{spot.label_id}")
    return drawing.markup()
