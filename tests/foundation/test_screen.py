"""A person's terminal: a real pseudo-terminal, and what an emulator shows of it."""

import contextlib
import logging as python_logging
import os
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from absl import logging
from terminals import Terminal, as_stderr

from image_retraining.foundation.log_lines import notice, show_lines
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.quiet import quiet_stderr
from image_retraining.foundation.screen import Screen, current_screen, on_screen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 40 columns."""
    monkeypatch.setenv("TERM", "xterm")
    return Terminal(40, 10)


@contextlib.contextmanager
def on_terminal(device: str | int, *, whole_log: bool = False) -> Iterator[Screen]:
    """Gives the screen of a terminal; pytest would put its own stderr in place after a fixture."""
    with (
        open(device, "w", encoding="utf-8", closefd=isinstance(device, str)) as stderr,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", stderr)
        with on_screen(whole_log=whole_log) as screen:
            assert screen is not None
            yield screen


def wait_for(terminal: Terminal, text: str) -> None:
    """Waits until a text is to be seen."""
    until = time.monotonic() + 10
    while not any(text in line for line in terminal.lines):
        assert time.monotonic() < until, (text, terminal.lines)
        time.sleep(0.01)


def test_what_is_said_stands_without_prefix_and_wraps_at_words(terminal: Terminal) -> None:
    with on_terminal(terminal.path) as screen:
        assert screen.width == 40
        screen.say("Photos: 1000 in 5 classes, of which some are to learn from")
        screen.say("  - set in, and long enough for a second line of it")
        screen.say("玫瑰玫瑰玫瑰玫瑰玫瑰玫瑰 玫瑰玫瑰玫瑰玫瑰玫瑰玫瑰 end")
        screen.say("python label_image.py --graph=runs/a --image=b", to_copy=True)
    lines = terminal.end()
    # pyte gives a wide letter a second, empty cell.
    assert lines == [
        "Photos: 1000 in 5 classes, of which some",
        "  are to learn from",
        "  - set in, and long enough for a second",
        "    line of it",
        "玫瑰玫瑰玫瑰玫瑰玫瑰玫瑰",
        "  玫瑰玫瑰玫瑰玫瑰玫瑰玫瑰 end",
        # The terminal breaks what is to be copied, which stays one line to it.
        "python label_image.py --graph=runs/a --i",
        "mage=b",
    ]


def say_all() -> None:
    logging.info("a line of the log")
    notice("kept in %s", "x")
    logging.warning("odd")
    logging.warning("WARNING: very odd")
    logging.warning("  of the odd")
    logging.error("bad \x1b[31m")


SHOWN = [
    "kept in x",
    "WARNING: odd",
    "WARNING: very odd",
    "  of the odd",
    "ERROR: bad \\x1b[31m",
]


@pytest.mark.parametrize(
    ("whole_log", "expected"), [(False, SHOWN), (True, ["a line of the log", *SHOWN])]
)
def test_of_the_log_goes_there_what_is_for_people(
    terminal: Terminal, expected: list[str], *, whole_log: bool
) -> None:
    before = python_logging.getLogger().handlers[:]
    stop = show_lines()
    with on_terminal(terminal.path, whole_log=whole_log):
        say_all()
    stop()
    assert terminal.end() == expected
    # Whoever had the lines before has them again.
    assert python_logging.getLogger().handlers == before


def test_what_goes_on_is_shown_until_something_else_is(terminal: Terminal) -> None:
    with on_terminal(terminal.path) as screen:
        screen.now("Starting")
        wait_for(terminal, "Starting, 0 s")
        screen.say("a line")
        wait_for(terminal, "a line")
        assert [line[2:] for line in terminal.lines] == ["line", "Starting, 0 s"]
        screen.now("Loading")
        wait_for(terminal, "Loading")
        assert not any("Starting" in line for line in terminal.lines)
    assert terminal.end() == ["a line"]
    assert current_screen() is None


def test_it_goes_on_while_libraries_are_kept_off_the_screen(
    terminal: Terminal,
) -> None:
    with as_stderr(terminal), on_terminal(2) as screen, quiet_stderr():
        os.write(2, b"chatter")
        screen.now("Computing")
        wait_for(terminal, "Computing")
        screen.say("done")
    assert terminal.end() == ["done"]


def test_bars_and_lines_keep_out_of_each_others_way(terminal: Terminal) -> None:
    with on_terminal(terminal.path) as screen:
        screen.now("Loading")
        with Progress("Reading", 8) as progress:
            progress.note("best 3")
            progress.advance(2)
            logging.warning("odd")
            wait_for(terminal, "WARNING: odd")
            wait_for(terminal, "Reading:  25%")
            assert not any("Loading" in line for line in terminal.lines)
            assert terminal.lines[0] == "WARNING: odd"
            assert len(terminal.lines) == 2
    assert terminal.end() == ["WARNING: odd"]


def test_a_dumb_terminal_gets_whole_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(
        "image_retraining.foundation.progress.time",
        SimpleNamespace(monotonic=lambda: clock.seconds),
    )
    with on_terminal(terminal.path) as screen:
        screen.now("Starting")
        with Progress("Reading", 8) as progress:
            clock.seconds = 10.0
            progress.advance(2)
    assert terminal.end() == [
        "Starting ...",
        "Reading: 2 of 8 photos, 0 photos/s,",
        "  00:30 left",
    ]
    assert b"\x1b" not in terminal.written


def test_nothing_is_taken_over_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers: Any = python_logging.getLogger().handlers[:]
    with on_screen(whole_log=False) as screen:
        assert screen is None
        assert current_screen() is None
        assert python_logging.getLogger().handlers == handlers
    assert capsys.readouterr().err == ""
