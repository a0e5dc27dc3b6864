"""Rows of CSV that spreadsheets open: text stays text there, and programs can tell what it was.

Excel and others take a cell for a formula, which may run programs, if it begins with one of =+-@,
their wide forms, a tab or a line's end; so a class folder or a photo could be named as one (OWASP,
"CSV injection"). Such a text gets an apostrophe in front. So that nothing is lost, one that has
apostrophes before such a beginning gets one more. Whoever reads it back takes one away from a cell
that has some before such a beginning; docs/quality.md says so.
"""

import contextlib
import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


class _Sink(Protocol):
    def write(self, text: str, /) -> object:
        """Takes some text."""


class SheetWriter:
    """Writes rows to a file."""

    def __init__(self, file: _Sink, *, line_end: str = "\r\n") -> None:
        """Takes the file.

        Args:
            file: open for text, with newline="".
            line_end: of each row.
        """
        self._writer = csv.writer(file, lineterminator=line_end)

    def write(self, cells: Iterable[Any]) -> None:
        """Writes a row of texts, numbers, and None for an empty cell."""
        self._writer.writerow([written(cell) if isinstance(cell, str) else cell for cell in cells])


@contextlib.contextmanager
def new_sheet(path: Path) -> Iterator[SheetWriter]:
    """Gives the writer of a new file, in UTF-8 whatever the texts hold.

    The mark at its start tells Excel that it is; pandas skips it.
    """
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        yield SheetWriter(file)


def written(text: str) -> str:
    """Returns how a text stands in a cell."""
    return f"'{text}" if _FORMULA.match(text) else text
