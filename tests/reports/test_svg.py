"""The pen that draws SVG, and the axes that know its values."""

from xml.etree import ElementTree as ET

import pytest

from image_retraining.reports.svg import Axis, Drawing, with_room


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (Axis(0, 10, 100, 200), 0, 100),
        (Axis(0, 10, 100, 200), 2.5, 125),
        # Upwards.
        (Axis(50, 100, 400, 40), 100, 40),
        (Axis(50, 100, 400, 40), 75, 220),
        (Axis(1, 100, 0, 200, is_logarithmic=True), 10, 100),
        (Axis(0.1, 1000, 0, 400, is_logarithmic=True), 1, 100),
    ],
)
def test_values_have_places(axis: Axis, value: float, place: float) -> None:
    assert axis.at(value) == pytest.approx(place)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis(0, 100, 0, 1), [0, 20, 40, 60, 80, 100]),
        (Axis(81, 92.2, 0, 1), [82, 84, 86, 88, 90, 92]),
        (Axis(0.12, 0.31, 0, 1), [0.15, 0.2, 0.25, 0.3]),
        (Axis(-3, 4, 0, 1), [-3, -2, -1, 0, 1, 2, 3, 4]),
        (Axis(3, 160, 0, 1, is_logarithmic=True), [5, 10, 20, 50, 100]),
        (Axis(0.02, 1, 0, 1, is_logarithmic=True), [0.02, 0.05, 0.1, 0.2, 0.5, 1]),
        (Axis(0.002, 1, 0, 1, is_logarithmic=True), [0.003, 0.01, 0.03, 0.1, 0.3, 1]),
        (Axis(1e-6, 1, 0, 1, is_logarithmic=True), [10.0**power for power in range(-6, 1)]),
    ],
)
def test_ticks_are_round_and_few(axis: Axis, expected: list[float]) -> None:
    assert axis.ticks() == pytest.approx(expected)


def test_steps_are_whole() -> None:
    assert Axis(0, 3, 0, 1).ticks() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert Axis(0, 3, 0, 1).ticks(whole=True) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("values", "at_least", "expected"),
    [([10, 20], 5, (9, 21)), ([10, 20], 30, (0, 30)), ([7], 2, (6, 8))],
)
def test_an_axis_has_room(
    values: list[float], at_least: float, expected: tuple[float, float]
) -> None:
    assert with_room(values, at_least=at_least) == pytest.approx(expected)


def test_what_is_written_is_text() -> None:
    drawing = Drawing(20, 10, "A <title> & more", style=".a { fill: red }")
    drawing.text(1, 2, "<script>alert('玫瑰')</script>", of="a", anchor="end")
    drawing.text(3, 4, "up", upwards=True)
    drawing.circle(1.25, 2, 3, of="dot", tip="<b>")
    drawing.rectangle(0, 0, 5, 6, of="bar", tip="five by six")
    drawing.polyline([(0, 1), (2.55, 3)], of="curve")
    root = ET.fromstring(drawing.markup())  # noqa: S314 - it is our own
    kinds = [one.tag.rpartition("}")[2] for one in root]
    assert kinds == ["title", "style", "text", "text", "circle", "rect", "polyline"]
    title, _, words, upwards, circle, rectangle, curve = root
    assert title.text == "A <title> & more"
    assert words.text == "<script>alert('玫瑰')</script>"
    assert (words.get("text-anchor"), words.get("class")) == ("end", "a")
    assert upwards.get("transform") == "translate(3.0 4.0) rotate(-90)"
    assert (circle.get("cx"), circle.get("r"), circle[0].text) == ("1.2", "3.0", "<b>")
    assert (rectangle.get("height"), rectangle[0].text) == ("6.0", "five by six")
    assert curve.get("points") == "0.0,1.0 2.5,3.0"


def test_axes_name_their_values() -> None:
    drawing = Drawing(100, 100, "")
    drawing.axes(Axis(0, 4, 10, 90), Axis(0, 1, 90, 10), ("across", "up"), whole=True)
    root = ET.fromstring(drawing.markup())  # noqa: S314 - it is our own
    words = [one.text for one in root if one.tag.endswith("}text")]
    assert words == ["0", "1", "2", "3", "4", "0", "0.2", "0.4", "0.6", "0.8", "1", "across", "up"]
    lines = [one for one in root if one.tag.endswith("}line")]
    assert len(lines) == 11
