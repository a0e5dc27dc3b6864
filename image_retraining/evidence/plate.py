"""A photo and its evidence side by side, with label, score and a legend: what is looked at."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from image_retraining.evidence.heatmap import Pixels, blended, glowing
from image_retraining.foundation.fonts import Font, font_for, own_font
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown

# Pixels of a picture's longer side: two stand on a screen, and small photos are still seen.
_LONGEST_SIDE, _SHORTEST = 800, 320
_MARGIN, _GAP, _LEAST_WIDTH = 16, 12, 460
_TITLE_SIZE, _WORDS_SIZE, _LINE = 26, 16, 1.4
_BAR_WIDTH, _BAR_HEIGHT = 150, 14
_PAPER, _INK, _SOFT = (255, 255, 255), (31, 35, 40), (89, 99, 110)
# The grey, 0 to 255, of the photo that the legend glows over.
_MIDDLE = 110.0
_CUT = "..."


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said of a photo.

    Attributes:
        label: the best one.
        label_id: its number, for where no font has its letters.
        score: its score.
        is_unknown: whether the answer was unknown all the same.
    """

    label: str
    label_id: int
    score: float
    is_unknown: bool = False

    @property
    def words(self) -> str:
        """What stands below the label."""
        answered = ", too unsure: answered unknown" if self.is_unknown else ""
        return f"score {self.score:.6f}{answered}"


def is_written(label: str) -> bool:
    """Whether a font of this system has the letters of a label."""
    return font_for(shown(label) + _CUT, _TITLE_SIZE) is not None


def drawn(photo: Pixels, evidence: Floats, caption: Caption) -> Image.Image:
    """Returns the plate in RGB: the photo on the left, its evidence on the right.

    Args:
        photo: uint8 [H, W, 3], RGB.
        evidence: float32 [h, w] over the whole of the photo.
        caption: what is written above.
    """
    original = _of_a_size(Image.fromarray(photo))
    glowing_one = blended(np.asarray(original), evidence)
    width = max(2 * original.width + _GAP, _LEAST_WIDTH)
    lines = _lines(caption, width)
    top = _MARGIN + round(sum(font.size for _, font, _ in lines) * _LINE) + _GAP // 2
    legend_top = top + original.height + _GAP
    height = legend_top + round(_WORDS_SIZE * _LINE) + _MARGIN
    plate = Image.new("RGB", (width + 2 * _MARGIN, height), _PAPER)
    pen, y = ImageDraw.Draw(plate), float(_MARGIN)
    for words, font, colour in lines:
        pen.text((_MARGIN, y), words, fill=colour, font=font)
        y += font.size * _LINE
    plate.paste(original, (_MARGIN, top))
    plate.paste(glowing_one, (_MARGIN + original.width + _GAP, top))
    _draw_legend(plate, legend_top, has_evidence=bool(evidence.max() > 0))
    return plate


def _of_a_size(photo: Image.Image) -> Image.Image:
    """Returns the photo, smaller or larger, so that two of it are well seen on a screen."""
    longest = max(photo.size)
    scale = min(1, _LONGEST_SIDE / longest) if longest > _SHORTEST else _SHORTEST / longest
    if scale == 1:
        return photo
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _lines(caption: Caption, width: int) -> list[tuple[str, Font, tuple[int, int, int]]]:
    """Returns what is written above: the words, their font and colour."""
    words = own_font(_WORDS_SIZE)
    label = shown(caption.label)
    font = font_for(label + _CUT, _TITLE_SIZE)
    score = (caption.words, words, _SOFT)
    if font is not None:
        return [(_cut(label, font, width), font, _INK), score]
    title = (f"label_id {caption.label_id}", own_font(_TITLE_SIZE), _INK)
    why = "No font here has its letters; Title in this file has its name."
    return [title, score, (why, words, _SOFT)]


def _cut(label: str, font: Font, width: int) -> str:
    """Returns a label, or as much of its beginning as has room."""
    if font.getlength(label) <= width:
        return label
    room = width - font.getlength(_CUT)
    end = len(label)
    while end and font.getlength(label[:end]) > room:
        end -= 1
    return label[:end] + _CUT


def _draw_legend(plate: Image.Image, top: int, *, has_evidence: bool) -> None:
    pen, font = ImageDraw.Draw(plate), own_font(_WORDS_SIZE)
    if not has_evidence:
        pen.text((_MARGIN, top), "Nothing in the photo speaks for this label.", _SOFT, font)
        return
    bar = glowing(
        np.full([_BAR_HEIGHT, _BAR_WIDTH, 3], _MIDDLE, np.float32),
        np.linspace(np.zeros(_BAR_HEIGHT), 1, _BAR_WIDTH, axis=1, dtype=np.float32),
    )
    x = _MARGIN + round(font.getlength("little ")) + 4
    pen.text((_MARGIN, top), "little", _SOFT, font)
    plate.paste(bar, (x, top + 3))
    pen.text((x + _BAR_WIDTH + 8, top), "much evidence for this label", _SOFT, font)
