"""Compared modules → a bubble plot in SVG: how accurate, how quick, how large."""

import math
import re
from pathlib import Path

from image_retraining.evaluation.comparison import Comparison, Contender
from image_retraining.foundation.files import replacing
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.settings import require
from image_retraining.foundation.text import shown
from image_retraining.reports.svg import Axis, Drawing, with_room

_WIDTH, _HEIGHT = 900, 460
# Where the axes are; names stand to their right.
_LEFT, _RIGHT, _TOP, _BOTTOM, _NAMES = 70, 570, 40, 400, 600
# The radius of a bubble of one megabyte, and those of the smallest and the largest.
_RADIUS, _LEAST_RADIUS, _LARGEST_RADIUS = 3.0, 2.0, 45.0
_LONGEST_NAME, _NAME_HEIGHT = 40, 34
_STYLE = """
svg { background: #ffffff; font: 12px sans-serif; fill: #1f2328 }
.grid { stroke: #d0d7de } .title { font-size: 13px }
.good { stroke: #0a58ca; fill: #0a58ca } .worse { stroke: #59636e; fill: none }
circle { fill-opacity: 0.5; stroke-width: 1.5 } .lead { stroke-opacity: 0.5 }
.bar { stroke-width: 2 } .recommended { font-weight: bold }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; fill: #e6edf3 } .grid { stroke: #3d444d }
.good { stroke: #79b8ff; fill: #79b8ff } .worse { stroke: #9198a1 } }
"""


def check_plot_file(path: str) -> None:
    """Raises SettingError unless a name is that of a picture that can be drawn."""
    rule = "--compare_plot_file must end in .svg, which browsers and documents show"
    require(Path(path).suffix.lower() == ".svg", rule, path)


class ComparisonPlot:
    """Draws the comparison at once, as the file of it is written."""

    def __init__(self, path: str) -> None:
        """Takes the file; nothing is drawn yet."""
        self._path = path

    def tell(self, finding: object) -> None:
        """Draws the picture when modules have been compared.

        Raises:
            OutputError: it cannot be written.
        """
        if isinstance(finding, Comparison):
            with replacing(self._path) as temporary:
                temporary.write_text(bubbles(finding), encoding="utf-8")
            notice("Save plot of the comparison to : %s", self._path)

    def close(self) -> None:
        """Does nothing: the picture is drawn at once."""


def bubbles(found: Comparison, *, style: str = _STYLE) -> str:
    """Returns the SVG: accuracy against time a photo, the area being the size of the graph.

    Args:
        found: what to draw.
        style: a style sheet; '' where the page has one.
    """
    return _Plot(found, style).drawn()


class _Plot(Drawing):
    def __init__(self, found: Comparison, style: str) -> None:
        title = "Modules compared: accuracy against ms a photo"
        # Two lines each.
        self._bottom = max(_BOTTOM, _TOP + _NAME_HEIGHT * len(found.contenders))
        super().__init__(_WIDTH, self._bottom + _HEIGHT - _BOTTOM, title, style=style)
        self._found = found
        times = [math.log10(one.costs.milliseconds) for one in found.contenders]
        ends = [end for one in found.contenders for end in one.crossed.metrics.accuracy_interval]
        low, high = (10**time for time in with_room(times, at_least=0.3))
        self._time = Axis(low, high, _LEFT, _RIGHT, is_logarithmic=True)
        low, high = with_room([end * 100 for end in ends], at_least=2)
        self._accuracy = Axis(low, high, self._bottom, _TOP)

    def drawn(self) -> str:
        words = "Area: MB of the graph. Blue and filled: not told apart from the best."
        self.text(_LEFT, _TOP - 18, words, of="title")
        titles = (
            "ms a photo: the exported graph, one photo at a time (logarithmic)",
            "cross-validated accuracy in %, with its 95% interval",
        )
        self.axes(self._time, self._accuracy, titles)
        for place, one in enumerate(self._found.contenders):
            self._draw_name(place, one)
        # Small ones lie on large ones, and no line on them.
        by_size = sorted(enumerate(self._found.contenders), key=lambda one: -_radius(one[1]))
        for place, one in by_size:
            self._draw_bubble(place, one)
        return self.markup()

    def _draw_bubble(self, place: int, one: Contender) -> None:
        x, y = self._place(one)
        group = self._kind(place)
        low, high = (self._accuracy.at(end * 100) for end in one.crossed.metrics.accuracy_interval)
        self.line(x, high, x, low, of=f"{group} bar")
        for end in (high, low):
            self.line(x - 5, end, x + 5, end, of=f"{group} bar")
        self.circle(x, y, _radius(one), of=group)

    def _draw_name(self, place: int, one: Contender) -> None:
        """Writes the names one below the other, as they are ordered: none covers another."""
        height = (self._bottom - _TOP) / len(self._found.contenders)
        y = _TOP + (place + 0.5) * height
        self.line(*self._place(one), _NAMES - 6, y, of=f"{self._kind(place)} lead")
        costs, is_recommended = one.costs, one is self._found.recommended
        figures = (
            f"{one.crossed.metrics.accuracy * 100:.1f}%, {costs.milliseconds:.1f} ms, "
            f"{costs.megabytes:.1f} MB{', recommended' if is_recommended else ''}"
        )
        for offset, line in ((-2, _short(one.module)), (12, figures)):
            self.text(_NAMES, y + offset, line, of="recommended" if is_recommended else "")

    def _kind(self, place: int) -> str:
        return "good" if self._found.is_as_good(place) else "worse"

    def _place(self, one: Contender) -> tuple[float, float]:
        accuracy = one.crossed.metrics.accuracy * 100
        return self._time.at(one.costs.milliseconds), self._accuracy.at(accuracy)


def _radius(one: Contender) -> float:
    return min(_LARGEST_RADIUS, max(_LEAST_RADIUS, _RADIUS * math.sqrt(one.costs.megabytes)))


def _short(module: str) -> str:
    """Returns what tells a module from others in a picture: the end of a path, or of a URL."""
    if "://" in module:
        name = module.partition("://")[2].removeprefix("tfhub.dev/")
    else:
        # keras:NAME:FILE has a path behind its name.
        name = re.sub(r"(^|:)[^:]*/", r"\1", module.rstrip("/"))
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
