"""Names of files and labels → text that stays on its line in the log, and in its column."""

import unicodedata
from collections.abc import Container, Sequence

# These have no shape of their own, but join the letters and emoji of some labels.
_JOINERS = "\u200c\u200d"
# Not the one character, which not every terminal has.
_CUT = "..."


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


def aligned(rows: Sequence[Sequence[str]], *, left: Container[int] = (0,)) -> list[str]:
    """Returns lines of columns.

    Letters that take two columns of a terminal, as Chinese ones do, count as two.

    Args:
        rows: of equally many cells.
        left: which columns are left-aligned; the others are right-aligned.
    """
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            cell + gap if place in left else gap + cell
            for place, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Returns lines that are no wider than a terminal, but where a word is.

    Args:
        text: what it begins with, of spaces, its further lines begin with too, and two more.
        width: of the terminal, in columns.
    """
    words = text.split(" ")
    inset = len(text) - len(text.lstrip(" "))
    line, lines = " " * inset + words[inset], []
    for word in words[inset + 1 :]:
        if width_of(line) + 1 + width_of(word) <= width:
            line += f" {word}"
        else:
            lines.append(line)
            line = " " * (inset + 2) + word
    return [*lines, line]


def clipped(text: str, width: int) -> str:
    """Returns the beginning of a text that is no wider than so many columns of a terminal."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - len(_CUT):
        text = text[:-1]
    return f"{text}{_CUT}"


def width_of(text: str) -> int:
    """Returns how many columns of a terminal a text takes."""
    width = 0
    # Composed, because macOS names files in parts of letters, and each part of 글 counts as wide.
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            continue
        width += 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
    return width
