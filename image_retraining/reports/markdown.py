"""Text → Markdown that TensorBoard shows as it is: names stay words, whatever they are."""

from collections.abc import Sequence

from image_retraining.foundation.text import shown

# Markdown and HTML would take these for their own.
_MARKS = r"\`*_{}[]()<>#+-.!|~&:"
_ENTITIES = str.maketrans({mark: f"&#{ord(mark)};" for mark in _MARKS})


def escaped(text: str) -> str:
    """Returns what shows a text on one line."""
    return shown(text).translate(_ENTITIES)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Returns a table.

    Args:
        head: names of the columns.
        rows: of as many cells, which are Markdown.
        left: how many columns are left-aligned; the others are right-aligned.
    """
    kinds = [":--" if place < left else "--:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, kinds, *rows))
