"""A text → a font of this system that has all its letters, for pictures that are written on."""

import functools
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont

# Where Linux, macOS and Windows keep fonts, and where a person puts own ones.
FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    *("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
)
_ENDINGS = frozenset({".ttf", ".otf", ".ttc", ".otc"})
# Draws a box with a code for every letter there is.
_OF_BOXES = "lastresort"
# Words in the names of fonts that are harder to read at the size of a caption.
_STYLES = tuple(
    "black bold condensed cond extra heavy italic light mono narrow oblique serif thin".split()  # noqa: SIM905 - one line
)
# What has no shape of its own: control and joining letters, spaces, what chooses a variant.
_SHAPELESS = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_VARIANTS = frozenset(map(chr, range(0xFE00, 0xFE10)))
# No character, none, and one that is free: a font draws its sign of a missing letter for them.
_MISSING = ("\uffff", "\U0010ffff", "\u0378")
_PROBED_SIZE = 16
# One sign a letter, where shaping would join several, or draw a circle below a mark.
_PLAIN = ImageFont.Layout.BASIC


def font_for(text: str, size: int, *, folders: tuple[str, ...] = FOLDERS) -> Font | None:
    """Returns a font that draws a text, as Pillow's own does most of ASCII; None where none does.

    One font has all of it: where a text mixes scripts that no one font has, there is none.

    Args:
        text: of one line.
        size: in pixels.
        folders: where fonts are looked for, and below.
    """
    if not features.check("raqm") and any(map(_needs_shaping, text)):
        return None
    own = own_font(size)
    # Fonts have é as one letter; macOS names folders in parts of letters, which are joined when
    # they are drawn.
    letters = frozenset(unicodedata.normalize("NFC", text)) - _VARIANTS
    letters = frozenset(one for one in letters if unicodedata.category(one) not in _SHAPELESS)
    if _has(own.font_variant(layout_engine=_PLAIN), letters):
        return own
    path = _found(letters, folders)
    return ImageFont.truetype(path, size) if path else None


@functools.cache
def own_font(size: int) -> Font:
    """Returns Pillow's own font, in pixels, for what is written in ASCII; opened once."""
    # The other kind that it may be is for who names no size.
    return cast("Font", ImageFont.load_default(size))


def _needs_shaping(letter: str) -> bool:
    """Whether a letter is written from the right, or changes the shape of others."""
    of_marks = unicodedata.category(letter) in {"Mn", "Mc"}
    return of_marks or unicodedata.bidirectional(letter) in {"R", "AL"}


@functools.lru_cache(maxsize=1024)
def _found(letters: frozenset[str], folders: tuple[str, ...]) -> str:
    """Returns the first font file that has all the letters; '' without."""
    for path in _files(folders):
        try:
            # Of colours alone, as most of emoji are, a font has no such size.
            font = ImageFont.truetype(path, _PROBED_SIZE, layout_engine=_PLAIN)
            if _has(font, letters):
                return path
        except OSError:
            continue
    return ""


def _has(font: Font, letters: frozenset[str]) -> bool:
    missing = {_drawn(font, one) for one in _MISSING}
    return all(_drawn(font, letter) not in missing for letter in letters)


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


@functools.lru_cache(maxsize=8)
def _files(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the font files, those that are the easiest to read first."""

    def unlike_captions(path: Path) -> tuple[int, bool, str]:
        name = path.stem.lower()
        return sum(style in name for style in _STYLES), "sans" not in name, str(path)

    return tuple(str(path) for path in sorted(_below(folders), key=unlike_captions))


def _below(folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        for path in Path(os.path.expanduser(folder)).rglob("*"):
            if path.suffix.lower() in _ENDINGS and _OF_BOXES not in path.stem.lower():
                yield path
