"""Cells of CSV files, which spreadsheets must not take for formulas."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_retraining.foundation.sheets import SheetWriter, written

# OWASP's list of what a cell must not begin with ("CSV injection"), the wide forms among it.
FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]


def read_back(cell: str) -> str:
    """Returns what docs/quality.md says that a cell was."""
    return re.sub(r"^'(?='*[=+\-@＝＋－＠\t\r\n])", "", cell)


@pytest.mark.parametrize("start", FORMULAS)
@pytest.mark.parametrize("quotes", ["", "'", "''"])
def test_no_cell_is_a_formula(start: str, quotes: str) -> None:
    text = f"{quotes}{start}cmd|' /C calc'!A0"
    assert written(text) == f"'{text}"
    assert read_back(written(text)) == text


@pytest.mark.parametrize("text", ["", "rose", "玫瑰", "a=b", "'tis", "'", "1-2", " =1", '"=1"'])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert written(text) == text
    assert read_back(text) == text


@given(st.text(alphabet=[*FORMULAS, "'", "a", " "]))
def test_what_is_written_can_be_read_back(text: str) -> None:
    assert read_back(written(text)) == text


def test_numbers_stay_numbers() -> None:
    file = io.StringIO()
    SheetWriter(file).write(["-a", -1, -0.5, None])
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [["'-a", "-1", "-0.5", ""]]
