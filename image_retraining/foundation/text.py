"""Names of files and labels → text that stays on its line in the log, and in its column."""

import unicodedata
from collections.abc import Sequence

# These have no shape of their own, but join the letters and emoji of some labels.
_JOINERS = "\u200c\u200d"


def shown(text: str) -> str:
    r"""Returns a text on one line: what is no visible character is an escape, as \n is."""
    return "".join(
        character
        if character.isprintable()
        or character in _JOINERS
        or unicodedata.category(character) == "Zs"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines of columns: the first left-aligned, the others right-aligned.

    Letters that take two columns of a terminal, as Chinese ones do, count as two.
    """
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0] + " " * (widths[0] - _width(row[0])),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def _width(text: str) -> int:
    """Returns how many columns of a terminal a text takes."""
    width = 0
    # Composed, because macOS names files in parts of letters, and each part of 글 counts as wide.
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            continue
        width += 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
    return width
