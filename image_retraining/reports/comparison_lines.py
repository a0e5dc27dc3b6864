"""Compared modules → lines for the log."""

import math

from image_retraining.evaluation.comparison import MARGIN, Comparison, Contender
from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.text import aligned, shown, width_of
from image_retraining.photos.enumeration import some_of
from image_retraining.reports.metrics_tables import interval, percent

# Columns of the table that are shown where not all fit, most first; -1 is the verdict.
_NARROWER = ((0, 3, 4, 7, 8, -1), (0, 3, 7, -1), (0, 3, -1))
_LONG_NAME = 28
_FEW = "the photos are too few to tell whether that is chance"


def comparison_lines(found: Comparison, *, width: float = math.inf) -> list[str]:
    """Returns lines: the modules, the best first, and which of them to take.

    Args:
        found: the comparison.
        width: of the terminal, in columns; a narrow one gets fewer figures.
    """
    contenders = found.contenders
    folds = contenders[0].crossed.fold_count
    counts = sorted({one.crossed.metrics.count for one in contenders})
    left_out = contenders[0].crossed.left_out
    rows = [_titles(contenders)]
    rows += [(*_cells(one), _verdict(found, place)) for place, one in enumerate(contenders)]
    if all(one.costs.int8_megabytes is None for one in contenders):
        rows = [(*row[:-2], row[-1]) for row in rows]
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    lines = [
        f"Modules compared on {many} photos in {folds} folds, the best first:",
        *_table(rows, width),
        *(f"  {shown(one.module)}: {one.reason}" for one in found.failures),
    ]
    if left_out:
        labels = some_of(list(map(shown, left_out)))
        lines.append(f"Left out, for each is a single photo, or copies of one: {labels}")
    return [*lines, recommendation(found)]


def _table(rows: list[tuple[str, ...]], width: float) -> list[str]:
    """Returns lines of as many columns as fit, or of the fewest."""
    for places in (range(len(rows[0])), *_NARROWER):
        part = [[row[place] for place in places] for row in rows]
        if places in _NARROWER:
            part = [[_end_of(name), *cells] for name, *cells in part]
        lines = [f"  {line}" for line in aligned(part, left=(0, len(part[0]) - 1))]
        if max(map(width_of, lines)) <= width:
            break
    return lines


def _end_of(name: str) -> str:
    """Returns the end of a long name, by which paths and addresses are told apart."""
    return name if width_of(name) <= _LONG_NAME else f"...{name[3 - _LONG_NAME :]}"


def recommendation(found: Comparison) -> str:
    """Returns a sentence that says which module to take, and why."""
    recommended, near = shown(found.recommended.module), found.near_count
    milliseconds = f"{found.recommended.costs.milliseconds:.1f} ms a photo"
    if len(found.contenders) == 1:
        return f"Recommended: {recommended}, the only module that could be compared"
    if near == 1:
        worse = sum(not found.is_as_good(place) for place in range(len(found.contenders)))
        told = worse == len(found.contenders) - 1
        by = "(McNemar's test, 5%)" if told else f"by more than {MARGIN * 100:g} points; {_FEW}"
        return f"Recommended: {recommended}, more accurate than any other {by}"
    quickest = "quicker of the 2" if near == 2 else f"quickest of the {near}"
    return (
        f"Recommended: {recommended}, with {milliseconds} the {quickest} that these photos cannot "
        f"tell from the best (McNemar's test, 5%; less accurate by {MARGIN * 100:g} points at most)"
    )


def _titles(contenders: tuple[Contender, ...]) -> tuple[str, ...]:
    counts = {one.tested.count for one in contenders if one.tested}
    test = f"test (N={counts.pop()})" if len(counts) == 1 else "test"
    return (
        *("Module", "pixels", "features", "cross-validated", "95% interval", test),
        *("photos/s", "ms a photo", "MB", "int8 MB", "against the best"),
    )


def _cells(one: Contender) -> tuple[str, ...]:
    height, width = one.image_size
    costs = one.costs
    return (
        shown(one.module),
        f"{height} x {width}",
        str(one.feature_size),
        percent(one.crossed.metrics.accuracy),
        interval(one.crossed.metrics.accuracy_interval),
        _accuracy(one.tested),
        f"{costs.photos_per_second:.1f}",
        f"{costs.milliseconds:.1f}",
        f"{costs.megabytes:.1f}",
        "-" if costs.int8_megabytes is None else f"{costs.int8_megabytes:.1f}",
    )


def _accuracy(tested: Metrics | None) -> str:
    return "-" if tested is None else percent(tested.accuracy)


def _verdict(found: Comparison, place: int) -> str:
    if place == 0:
        return "the best"
    words = "not told apart" if found.is_as_good(place) else "worse"
    p_value = found.p_values[place]
    return f"{words} (p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'})"
