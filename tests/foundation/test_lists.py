"""Lists as programs of Linux and Windows write them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from image_retraining.foundation.lists import listed

NAMES = ["a b.jpg", "玫瑰.jpg", "x"]
LINES = "a b.jpg\n玫瑰.jpg\nx\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LINES.encode(), id="UTF-8"),
        pytest.param(LINES.removesuffix("\n").encode(), id="no last line feed"),
        pytest.param(LINES.replace("\n", "\r\n").encode(), id="Windows' line ends"),
        pytest.param(b"\xef\xbb\xbf" + LINES.encode(), id="Notepad"),
        pytest.param(
            b"\xff\xfe" + LINES.replace("\n", "\r\n").encode("utf-16-le"), id="PowerShell"
        ),
        pytest.param(b"\xfe\xff" + LINES.encode("utf-16-be"), id="UTF-16, the other way round"),
        pytest.param(LINES.encode("utf-16-le"), id="UTF-16 without a mark"),
        # Once: names of one letter, of which / was the whole disk.
        pytest.param(LINES.encode("utf-16-be"), id="the same, the other way round"),
        pytest.param(LINES.replace("\n", "\0").encode(), id="NULs"),
        pytest.param((LINES + "\n\r\n\n").encode(), id="blank lines at the end"),
    ],
)
def test_what_is_listed(content: bytes) -> None:
    assert listed(content) == NAMES


def test_names_may_hold_line_feeds_between_nuls(tmp_path: Path) -> None:
    names = ["one\ntwo", "three\r", " four"]
    for name in names:
        (tmp_path / name).touch()
    content = subprocess.run(
        [shutil.which("find") or "find", ".", "-type", "f", "-print0"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    assert sorted(listed(content)) == sorted(f"./{name}" for name in names)


def test_blank_lines_elsewhere_and_odd_bytes_stay() -> None:
    assert listed(b"\na\n\n b \n") == ["", "a", "", " b "]
    assert listed(b"caf\xe9\n") == ["caf\udce9"]
    assert listed(b"") == []


def test_names_of_one_letter_are_names() -> None:
    assert listed(b"a\0b\0c\0") == ["a", "b", "c"]


def test_half_a_letter_is_no_utf_16() -> None:
    with pytest.raises(UnicodeError, match="utf-16"):
        listed(b"\xff\xfea")
