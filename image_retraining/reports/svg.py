"""Pictures in SVG: lines, texts and points on two axes.

SVG is text: no library draws it, browsers show it in the page's own font, and style sheets colour
it, by the classes of its elements.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Axis:
    """Values → places of a picture.

    Attributes:
        low: the value at the start.
        high: the value at the end, above it.
        start: the place, in units of the picture.
        end: likewise; below the start for an axis that goes upwards.
        is_logarithmic: whether equal ratios are equally far apart; values are above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool = False

    def at(self, value: float) -> float:
        """Returns the place of a value."""
        low, high, value = map(self._scaled, (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Returns round values on the axis, a handful.

        Args:
            whole: whether only whole numbers are values.
        """
        if self.is_logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found: list[float] = []
            for digits in ((1, 2, 5), (1, 3), (1,)):
                values = [digit * 10.0**power for power in powers for digit in digits]
                found = [value for value in values if self.low <= value <= self.high]
                if len(found) <= _MOST_TICKS:
                    break
            return found
        step = _step((self.high - self.low) / _MOST_TICKS)
        step = max(step, 1.0) if whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_logarithmic else value


def _step(least: float) -> float:
    """Returns the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


class Drawing:
    """A picture that is being drawn."""

    def __init__(self, width: float, height: float, title: str, *, style: str = "") -> None:
        """Takes what it is.

        Args:
            width: in its own units; whoever shows it decides how large these are.
            height: likewise.
            title: for those who do not see it.
            style: a style sheet, for a picture that stands alone.
        """
        attributes = {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:g} {height:g}",
            "role": "img",
        }
        self._svg = ET.Element("svg", attributes)
        ET.SubElement(self._svg, "title").text = title
        if style:
            ET.SubElement(self._svg, "style").text = style

    def markup(self) -> str:
        """Returns the picture as text."""
        ET.indent(self._svg, space=" ")
        return ET.tostring(self._svg, encoding="unicode") + "\n"

    def line(self, x: float, y: float, to_x: float, to_y: float, *, of: str) -> None:
        """Draws a line of a class."""
        self._add("line", of, x1=x, y1=y, x2=to_x, y2=to_y)

    def polyline(self, points: Iterable[tuple[float, float]], *, of: str) -> None:
        """Draws lines from point to point."""
        found = self._add("polyline", of)
        found.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def circle(self, x: float, y: float, radius: float, *, of: str, tip: str = "") -> None:
        """Draws a circle; a tip is shown to whoever points at it."""
        self._tipped(self._add("circle", of, cx=x, cy=y, r=radius), tip)

    def rectangle(
        self, x: float, y: float, width: float, height: float, *, of: str, tip: str = ""
    ) -> None:
        """Draws a rectangle, likewise."""
        self._tipped(self._add("rect", of, x=x, y=y, width=width, height=height), tip)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        of: str = "",
        anchor: str = "start",
        upwards: bool = False,
    ) -> None:
        """Writes words; their place is that of their start, middle or end, on the line.

        Args:
            x: the place.
            y: likewise.
            words: what to write.
            of: the class.
            anchor: "start", "middle" or "end".
            upwards: whether they go from below to above.
        """
        found = self._add("text", of, **({} if upwards else {"x": x, "y": y}))
        found.set("text-anchor", anchor)
        if upwards:
            found.set("transform", f"translate({x:.1f} {y:.1f}) rotate(-90)")
        found.text = words

    def axes(self, across: Axis, up: Axis, titles: tuple[str, str], *, whole: bool = False) -> None:
        """Draws a grid with its values, and what they are.

        Args:
            across: from left to right.
            up: from below to above.
            titles: of both.
            whole: whether the values across are whole numbers.
        """
        for value in across.ticks(whole=whole):
            x = across.at(value)
            self.line(x, up.start, x, up.end, of="grid")
            self.text(x, up.start + 18, f"{value:g}", anchor="middle")
        for value in up.ticks():
            y = up.at(value)
            self.line(across.start, y, across.end, y, of="grid")
            self.text(across.start - 8, y + 4, f"{value:g}", anchor="end")
        middle = (across.start + across.end) / 2
        self.text(middle, up.start + 40, titles[0], anchor="middle")
        middle = (up.start + up.end) / 2
        self.text(across.start - 46, middle, titles[1], anchor="middle", upwards=True)

    def _add(self, tag: str, of: str, **places: float) -> ET.Element:
        attributes = {name: f"{place:.1f}" for name, place in places.items()}
        return ET.SubElement(self._svg, tag, attributes | ({"class": of} if of else {}))

    def _tipped(self, element: ET.Element, tip: str) -> None:
        if tip:
            ET.SubElement(element, "title").text = tip


def with_room(
    values: Sequence[float], *, at_least: float, share: float = 0.1
) -> tuple[float, float]:
    """Returns the ends of an axis, a share beyond the values on each side.

    Args:
        values: what is on it, at least one.
        at_least: how far apart the ends are at least.
        share: of what the values span.
    """
    low, high = min(values), max(values)
    more = max((high - low) * share, (at_least - (high - low)) / 2)
    return low - more, high + more
