"""Compared modules → a bubble plot in SVG: how accurate, how quick, how large.

It is text, which needs no library to be drawn, and fonts of whoever looks at it.
"""

import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from absl import logging

from image_retraining.evaluation.comparison import Comparison, Contender
from image_retraining.foundation.files import replacing
from image_retraining.foundation.settings import require
from image_retraining.foundation.text import shown

_WIDTH, _HEIGHT = 900, 460
# Where the axes are; names stand to their right.
_LEFT, _RIGHT, _TOP, _BOTTOM, _NAMES = 70, 570, 40, 400, 600
# The radius of a bubble of one megabyte, and that of the largest.
_RADIUS, _LARGEST_RADIUS = 3.0, 45.0
_LONGEST_NAME = 40
_MOST_TICKS = 7
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
            logging.info("Save plot of the comparison to : %s", self._path)

    def close(self) -> None:
        """Does nothing: the picture is drawn at once."""


def bubbles(found: Comparison) -> str:
    """Returns the SVG: accuracy against time a photo, the area being the size of the graph."""
    return _Plot(found).drawn()


class _Plot:
    def __init__(self, found: Comparison) -> None:
        self._found = found
        times = [math.log10(one.costs.milliseconds) for one in found.contenders]
        ends = [end for one in found.contenders for end in one.crossed.metrics.accuracy_interval]
        self._times = _with_room(min(times), max(times), at_least=0.3)
        self._shares = _with_room(min(ends), max(ends), at_least=0.02)
        size = f"0 0 {_WIDTH} {_HEIGHT}"
        attributes = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": size, "role": "img"}
        self._svg = ET.Element("svg", attributes)

    def drawn(self) -> str:
        ET.SubElement(self._svg, "title").text = "Modules compared: accuracy against ms a photo"
        ET.SubElement(self._svg, "style").text = _STYLE
        title = "Area: MB of the graph. Blue and filled: not told apart from the best."
        self._text(_LEFT, _TOP - 18, title, of="title")
        self._draw_axes()
        # Small ones lie on large ones, and no line on them.
        for place, one in enumerate(self._found.contenders):
            self._draw_name(place, one)
        by_size = sorted(enumerate(self._found.contenders), key=lambda one: -_radius(one[1]))
        for place, one in by_size:
            self._draw_bubble(place, one)
        ET.indent(self._svg, space=" ")
        return ET.tostring(self._svg, encoding="unicode") + "\n"

    def _draw_axes(self) -> None:
        for milliseconds in _ticks_of_times(*self._times):
            x = self._x(milliseconds)
            self._line(x, _TOP, x, _BOTTOM, of="grid")
            self._text(x, _BOTTOM + 18, f"{milliseconds:g}", anchor="middle")
        for percents in _ticks_of_percents(*self._shares):
            y = self._y(percents / 100)
            self._line(_LEFT, y, _RIGHT, y, of="grid")
            self._text(_LEFT - 8, y + 4, f"{percents:g}", anchor="end")
        middle = (_LEFT + _RIGHT) / 2
        words = "ms a photo: the exported graph, one photo at a time (logarithmic)"
        self._text(middle, _BOTTOM + 42, words, anchor="middle")
        upwards = self._text(
            0, 0, "cross-validated accuracy in %, with its 95% interval", anchor="middle"
        )
        upwards.set("transform", f"translate(22 {(_TOP + _BOTTOM) / 2}) rotate(-90)")

    def _draw_bubble(self, place: int, one: Contender) -> None:
        x, y = self._x(one.costs.milliseconds), self._y(one.crossed.metrics.accuracy)
        group = self._kind(place)
        high, low = (self._y(end) for end in one.crossed.metrics.accuracy_interval[::-1])
        self._line(x, high, x, low, of=f"{group} bar")
        for end in (high, low):
            self._line(x - 5, end, x + 5, end, of=f"{group} bar")
        figures = {"cx": x, "cy": y, "r": _radius(one)}
        attributes = {name: f"{figure:.1f}" for name, figure in figures.items()}
        ET.SubElement(self._svg, "circle", {**attributes, "class": group})

    def _draw_name(self, place: int, one: Contender) -> None:
        """Writes the names one below the other, as they are ordered: none covers another."""
        height = (_BOTTOM - _TOP) / len(self._found.contenders)
        y = _TOP + (place + 0.5) * height
        x = self._x(one.costs.milliseconds)
        accuracy = one.crossed.metrics.accuracy
        self._line(x, self._y(accuracy), _NAMES - 6, y, of=f"{self._kind(place)} lead")
        is_recommended = one is self._found.recommended
        lines = [_short(one.module), f"{accuracy * 100:.1f}%, {one.costs.milliseconds:.1f} ms, "]
        lines[1] += f"{one.costs.megabytes:.1f} MB{', recommended' if is_recommended else ''}"
        for offset, line in zip((-2, 12), lines, strict=True):
            self._text(_NAMES, y + offset, line, of="recommended" if is_recommended else "")

    def _kind(self, place: int) -> str:
        return "good" if self._found.is_as_good(place) else "worse"

    def _x(self, milliseconds: float) -> float:
        low, high = self._times
        return _LEFT + (math.log10(milliseconds) - low) / (high - low) * (_RIGHT - _LEFT)

    def _y(self, share: float) -> float:
        low, high = self._shares
        return _BOTTOM - (share - low) / (high - low) * (_BOTTOM - _TOP)

    def _line(self, x: float, y: float, to_x: float, to_y: float, *, of: str) -> None:
        figures = {"x1": x, "y1": y, "x2": to_x, "y2": to_y}
        attributes = {name: f"{figure:.1f}" for name, figure in figures.items()}
        ET.SubElement(self._svg, "line", {**attributes, "class": of})

    def _text(
        self, x: float, y: float, words: str, *, of: str = "", anchor: str = "start"
    ) -> ET.Element:
        attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
        text = ET.SubElement(self._svg, "text", attributes | ({"class": of} if of else {}))
        text.text = words
        return text


def _radius(one: Contender) -> float:
    return min(_LARGEST_RADIUS, _RADIUS * math.sqrt(one.costs.megabytes))


def _with_room(low: float, high: float, *, at_least: float) -> tuple[float, float]:
    """Returns the ends of an axis, a tenth beyond what is on it."""
    more = max((high - low) * 0.1, (at_least - (high - low)) / 2)
    return low - more, high + more


def _ticks_of_times(low: float, high: float) -> list[float]:
    """Returns the milliseconds of 1, 2, 5, 10 and so on between two powers of ten."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _ticks_of_percents(low: float, high: float) -> list[float]:
    """Returns even percents between two shares, at most seven."""
    steps = (step for step in (0.5, 1, 2, 5, 10, 20) if (high - low) * 100 / step <= _MOST_TICKS)
    step = next(steps, 50)
    first, last = math.ceil(low * 100 / step), math.floor(high * 100 / step)
    return [place * step for place in range(first, last + 1) if 0 <= place * step <= 100]


def _short(module: str) -> str:
    """Returns what tells a module from others in a picture: the end of a path, or of a URL."""
    if "://" in module:
        name = module.partition("://")[2].removeprefix("tfhub.dev/")
    else:
        # keras:NAME:FILE has a path behind its name.
        name = re.sub(r"(^|:)[^:]*/", r"\1", module.rstrip("/"))
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
