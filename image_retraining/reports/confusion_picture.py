"""Confusion matrix → a picture of it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from image_retraining.evaluation.metrics import Counts

# Up to so many classes, names and counts have room.
_MOST_NAMED = 30
_CELL = 34
_FONT_SIZE = 12
_GAP = 6
_LONGEST_NAME = 24
# Above _MOST_NAMED the matrix fills so many pixels, or one pixel a class.
_SIDE = 1000
_CAPTION_HEIGHT = 20
# The shade of the smallest share above 0, of 255: a single mistake among many is to be seen.
_FAINTEST = 28
_DARKEST = (8, 48, 107)
# No font has a glyph for what is no character.
_NO_CHARACTER = "\uffff"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a file's bytes.

    Attributes:
        png: the file.
        width: in pixels.
        height: in pixels.
    """

    png: bytes
    width: int
    height: int


def draw(confusion: Counts, labels: Sequence[str]) -> Picture:
    """Returns a picture of a confusion matrix: the darker, the larger the share of the row.

    Up to 30 classes, counts are in the cells, and the labels at the sides; or label_ids, when
    Pillow's own font lacks a character of a label. It knows little more than ASCII.

    Args:
        confusion: int64 [C, C], rows are true labels, columns predicted ones.
        labels: C class names.
    """
    shades = _shades(confusion)
    if len(labels) <= _MOST_NAMED:
        image = _with_names(confusion, shades, labels)
    else:
        cell = max(1, _SIDE // len(labels))
        matrix = Image.fromarray(shades.repeat(cell, axis=0).repeat(cell, axis=1))
        image = Image.new("L", (matrix.width, matrix.height + _CAPTION_HEIGHT))
        image.paste(matrix, (0, _CAPTION_HEIGHT))
        _write_caption(image, "label_id")
    # All was drawn in shades; this gives them colour.
    colours = np.linspace((255, 255, 255), _DARKEST, 256).round().astype(np.uint8)
    image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Picture(buffer.getvalue(), image.width, image.height)


def _shades(confusion: Counts) -> npt.NDArray[np.uint8]:
    """Returns uint8 [C, C], 0 where no photo is, 255 where all photos of the row are."""
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    shades = np.where(confusion > 0, _FAINTEST + (255 - _FAINTEST) * shares, 0)
    return shades.round().astype(np.uint8)


def _with_names(
    confusion: Counts, shades: npt.NDArray[np.uint8], labels: Sequence[str]
) -> Image.Image:
    font = _font()
    drawable = _drawable(font, labels)
    names = [_cut(label) if drawable else str(number) for number, label in enumerate(labels)]
    margin = int(max(font.getlength(name) for name in names)) + 2 * _GAP
    top = _CAPTION_HEIGHT + margin
    side = _CELL * len(labels)
    caption = "label" if drawable else "label_id"
    width = max(margin + side + 1, int(font.getlength(_caption(caption))) + 2 * _GAP)
    image = Image.new("L", (width, top + side + 1))
    pen = ImageDraw.Draw(image)
    for number, name in enumerate(names):
        start = number * _CELL
        middle = start + _CELL // 2
        pen.text((margin - _GAP, top + middle), name, fill=255, font=font, anchor="rm")
        upright = Image.new("L", (margin, _CELL))
        ImageDraw.Draw(upright).text((_GAP, _CELL // 2), name, fill=255, font=font, anchor="lm")
        image.paste(upright.transpose(Image.Transpose.ROTATE_90), (margin + start, _CAPTION_HEIGHT))
    for (row, column), count in np.ndenumerate(confusion):
        left, upper, shade = margin + column * _CELL, top + row * _CELL, int(shades[row, column])
        pen.rectangle((left, upper, left + _CELL, upper + _CELL), fill=shade, outline=90)
        if count:
            place = (left + _CELL // 2 + 1, upper + _CELL // 2 + 1)
            ink = 0 if shade > 127 else 255
            pen.text(place, _short(int(count)), fill=ink, font=font, anchor="mm")
    _write_caption(image, caption)
    return image


def _write_caption(image: Image.Image, names: str) -> None:
    place = (_GAP, _CAPTION_HEIGHT // 2)
    ImageDraw.Draw(image).text(place, _caption(names), fill=255, font=_font(), anchor="lm")


def _caption(names: str) -> str:
    return f"row: true {names}, column: predicted {names}"


def _font() -> Any:
    return ImageFont.load_default(_FONT_SIZE)


def _drawable(font: Any, labels: Sequence[str]) -> bool:
    """Returns whether a font has a glyph for each character of the labels."""
    missing = bytes(font.getmask(_NO_CHARACTER))
    return all(
        character.isprintable() and bytes(font.getmask(character)) != missing
        for character in set("".join(labels))
    )


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _short(count: int) -> str:
    """Returns a count in at most four characters, up to 999 thousands."""
    return str(count) if count < 10_000 else f"{count // 1000}k"
