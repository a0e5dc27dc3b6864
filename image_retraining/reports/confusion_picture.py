"""Confusion matrix → a picture of it; of many classes, the pairs that are confused most often."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from image_retraining.evaluation.metrics import Counts, most_confused
from image_retraining.foundation.fonts import FOLDERS, Font, font_for, own_font
from image_retraining.foundation.text import clipped, shown

# Up to so many classes, names and counts have room.
MOST_IN_MATRIX = 30
_MOST_PAIRS = 30
_CELL = 38
_BAR = 240
_FONT_SIZE = 12
_GAP = 6
_LONGEST_NAME = 24
_LINE = 20
# The shade of the smallest share above 0, of 255: a single mistake among many is to be seen.
_FAINTEST = 28
_DARKEST = (8, 48, 107)
_INK, _EDGE = 255, 90
_NUMBERED = "#: number of a label whose letters no font of this system has"


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


@dataclass(frozen=True, slots=True)
class _Name:
    """A label as it is drawn."""

    text: str
    font: Font
    is_number: bool = False

    @property
    def width(self) -> int:
        return int(self.font.getlength(self.text)) + 1


def draw(
    confusion: Counts,
    labels: Sequence[str],
    *,
    normalized: bool = False,
    font_folders: tuple[str, ...] = FOLDERS,
) -> Picture:
    """Returns the picture of a confusion matrix with counts in its cells, the darker the more.

    A label that no font of this system can draw is '#' and its label_id. Of more than 30 classes
    the pairs are drawn that are confused most often, for the cells of a matrix would be specks.

    Args:
        confusion: int64 [C, C], rows are true labels, columns predicted ones.
        labels: C class names.
        normalized: show the shares of each row, in percents, instead of counts.
        font_folders: where fonts are looked for that have the letters of the labels.
    """
    names = _names(labels, font_folders)
    if len(labels) > MOST_IN_MATRIX:
        image = _pairs(confusion, names)
    else:
        image = _matrix(confusion, names, normalized=normalized)
    # All was drawn in shades; this gives them colour.
    colours = np.linspace((255, 255, 255), _DARKEST, 256).round().astype(np.uint8)
    image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Picture(buffer.getvalue(), image.width, image.height)


def _names(labels: Sequence[str], folders: tuple[str, ...]) -> list[_Name]:
    """Returns how to write each label, all in one font if one has all letters."""
    texts = [clipped(shown(label), _LONGEST_NAME) for label in labels]
    of_all = font_for("".join(texts), _FONT_SIZE, folders=folders)
    names = []
    for label_id, text in enumerate(texts):
        font = of_all or font_for(text, _FONT_SIZE, folders=folders)
        number = _Name(f"#{label_id}", own_font(_FONT_SIZE), is_number=True)
        names.append(_Name(text, font) if font else number)
    return names


def _plain(text: str) -> _Name:
    """Returns a text in ASCII."""
    return _Name(text, own_font(_FONT_SIZE))


def _matrix(confusion: Counts, names: Sequence[_Name], *, normalized: bool) -> Image.Image:
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    shades = _shades(shares if normalized else confusion / max(int(confusion.max()), 1))
    captions = _captions(
        ["row: true label, column: answer", "percent of the row" if normalized else "photos"], names
    )
    margin = max(name.width for name in names) + 2 * _GAP
    above = len(captions) * _LINE
    side = _CELL * len(names)
    width = max(margin + side + 1, *(caption.width + 2 * _GAP for caption in captions))
    image = Image.new("L", (width, above + margin + side + 1))
    pen = ImageDraw.Draw(image)
    _write_captions(pen, captions)
    for place, name in enumerate(names):
        start = place * _CELL
        middle = start + _CELL // 2
        _write(pen, (margin - _GAP, above + margin + middle), name, anchor="rm")
        upright = Image.new("L", (margin, _CELL))
        _write(ImageDraw.Draw(upright), (_GAP, _CELL // 2), name, anchor="lm")
        image.paste(upright.transpose(Image.Transpose.ROTATE_90), (margin + start, above))
    for (row, column), count in np.ndenumerate(confusion):
        left, upper = margin + column * _CELL, above + margin + row * _CELL
        shade = int(shades[row, column])
        pen.rectangle((left, upper, left + _CELL, upper + _CELL), fill=shade, outline=_EDGE)
        if count:
            figure = f"{shares[row, column] * 100:.0f}" if normalized else _short(int(count))
            place_of = (left + _CELL // 2 + 1, upper + _CELL // 2 + 1)
            _write(pen, place_of, _plain(figure), anchor="mm", ink=0 if shade > 127 else _INK)
    return image


def _pairs(confusion: Counts, names: Sequence[_Name]) -> Image.Image:
    pairs = most_confused(confusion, _MOST_PAIRS)
    what = "true label, answer, photos of the label" if pairs else "no answer is wrong"
    captions = _captions([f"{len(names)} labels, those confused most often", what], names)
    columns = [max((names[pair[side]].width for pair in pairs), default=0) for side in (0, 1)]
    starts = [_GAP, 3 * _GAP + columns[0], 5 * _GAP + sum(columns)]
    figures = [_plain(f"{confusion[pair]} of {confusion[pair[0]].sum()}") for pair in pairs]
    room = max((figure.width for figure in figures), default=0)
    above = len(captions) * _LINE
    width = max(starts[2] + _BAR + room + 2 * _GAP, *(one.width + 2 * _GAP for one in captions))
    image = Image.new("L", (width, above + _LINE * len(pairs) + _GAP))
    pen = ImageDraw.Draw(image)
    _write_captions(pen, captions)
    for place, (pair, figure) in enumerate(zip(pairs, figures, strict=True)):
        upper = above + place * _LINE
        middle = upper + _LINE // 2
        for start, label_id in zip(starts, pair, strict=False):
            _write(pen, (start, middle), names[label_id], anchor="lm")
        end = starts[2] + round(_BAR * int(confusion[pair]) / int(confusion[pair[0]].sum()))
        pen.rectangle((starts[2], upper + 3, end, upper + _LINE - 4), fill=_EDGE + 80)
        _write(pen, (end + _GAP, middle), figure, anchor="lm")
    return image


def _shades(parts: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Returns uint8 of the same shape, 0 where a part of 0 to 1 is 0, 255 where it is 1."""
    shades = np.where(parts > 0, _FAINTEST + (255 - _FAINTEST) * parts, 0)
    return shades.round().astype(np.uint8)


def _captions(texts: Sequence[str], names: Sequence[_Name]) -> list[_Name]:
    numbered = any(name.is_number for name in names)
    return [_plain(text) for text in (*texts, *([_NUMBERED] if numbered else []))]


def _write_captions(pen: ImageDraw.ImageDraw, captions: Sequence[_Name]) -> None:
    for place, caption in enumerate(captions):
        _write(pen, (_GAP, place * _LINE + _LINE // 2), caption, anchor="lm")


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], name: _Name, *, anchor: str, ink: int = _INK
) -> None:
    pen.text(place, name.text, fill=ink, font=name.font, anchor=anchor)


def _short(count: int) -> str:
    """Returns a count in at most four characters, up to 999 thousands."""
    return str(count) if count < 10_000 else f"{count // 1000}k"
