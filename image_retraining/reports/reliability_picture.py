"""How often answers of a probability are right → a picture of it, a reliability diagram."""

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw

from image_retraining.evaluation.calibration import Reliability
from image_retraining.foundation.fonts import own_font
from image_retraining.reports.confusion_picture import Picture

_SIDE = 300
_GAP = 30
_FONT_SIZE = 12
_WHITE, _BAR, _INK, _GREY = (255, 255, 255), (107, 174, 214), (8, 48, 107), (150, 150, 150)
_CAPTION = "bar: share of right answers, dot: their mean probability, line: where both are equal"


def draw(panels: Mapping[str, Reliability]) -> Picture:
    """Returns a picture of a diagram each: bars that end at the line are what a good head has.

    Args:
        panels: by their captions, left to right.
    """
    font = own_font(_FONT_SIZE)
    # Of one diagram the caption is wider.
    width = max(_GAP + len(panels) * (_SIDE + _GAP), int(font.getlength(_CAPTION)) + 2 * _GAP)
    size = (width, _SIDE + 3 * _GAP)
    image = Image.new("RGB", size, _WHITE)
    pen = ImageDraw.Draw(image)
    for number, (caption, found) in enumerate(panels.items()):
        left = _GAP + number * (_SIDE + _GAP)
        pen.text((left, _GAP // 2), caption, fill=_INK, font=font, anchor="lm")
        _draw_diagram(pen, found, left)
    pen.text((_GAP, size[1] - _GAP), _CAPTION, fill=_INK, font=font, anchor="lm")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Picture(buffer.getvalue(), *size)


def _draw_diagram(pen: ImageDraw.ImageDraw, found: Reliability, left: int) -> None:
    """Draws probability, 0 to 1, from left to right, and the share of right ones upwards."""
    bottom = _GAP + _SIDE
    bins = len(found.counts)
    for place in found.counts.nonzero()[0]:
        start, end = (left + _SIDE * edge / bins for edge in (place, place + 1))
        top = bottom - _SIDE * found.accuracy[place]
        pen.rectangle((start, top, end, bottom), fill=_BAR, outline=_INK)
    pen.line((left, bottom, left + _SIDE, _GAP), fill=_GREY)
    pen.rectangle((left, _GAP, left + _SIDE, bottom), outline=_GREY)
    for confidence in found.confidence[found.counts > 0]:
        x, y = left + _SIDE * confidence, bottom - _SIDE * confidence
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_INK)
