"""What a person sees at a terminal: lines without a logger's prefix, and what is going on now.

Lines, bars and the line of what is going on do not run into each other, for all are tqdm's, on one
stream. That is stderr as it was at the start: libraries' chatter is kept off the screen by leading
stderr elsewhere for a while, which this goes on beside (quiet.py).
"""

import contextlib
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from image_retraining.foundation.interruption import held_back
from image_retraining.foundation.log_lines import is_for_people
from image_retraining.foundation.streams import another_stderr
from image_retraining.foundation.text import wrapped

# What cannot take a line back gets whole lines only.
_DUMB = "dumb"
_SECONDS_BETWEEN_TURNS = 0.2
_SPINNER = "|/-\\"
_USUAL_WIDTH = 80
_current: list["Screen"] = []


class Screen:
    """A terminal.

    Attributes:
        stream: what is written to it.
        is_animated: whether it can take a line back, as bars do.
    """

    def __init__(self, stream: TextIO, *, is_animated: bool) -> None:
        """Takes the terminal; nothing is shown yet."""
        self.stream = stream
        self.is_animated = is_animated
        self._now: _Now | None = None

    @property
    def width(self) -> int:
        """How many columns it has now."""
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_WIDTH
        return _USUAL_WIDTH

    def say(self, text: str, *, to_copy: bool = False) -> None:
        """Shows a text for good, above what is going on.

        Args:
            text: its lines go on below each other, two columns to the right of their beginning.
            to_copy: whether it stands as it is, which a command has to that is to be copied.
        """
        from tqdm import tqdm  # noqa: PLC0415 - --help does without

        with held_back():
            for line in [text] if to_copy else wrapped(text, self.width):
                tqdm.write(line, file=self.stream)
            self.stream.flush()

    def now(self, what: str) -> None:
        """Shows what is going on, until something else is or a bar begins; '' for nothing."""
        with held_back():
            if self._now is not None:
                self._now.end()
                self._now = None
            if what and self.is_animated:
                self._now = _Now(what, self.stream)
            elif what:
                self.say(f"{what} ...")


class _Now:
    """A line that says what is going on, and for how long already."""

    def __init__(self, what: str, stream: TextIO) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - as above

        self._what, self._started = what, time.monotonic()
        self._bar: Any = tqdm(file=stream, bar_format="{desc}", leave=False, dynamic_ncols=True)
        self._ended = threading.Event()
        # Nobody waits for it: what it waits for may stay locked by Ctrl-C.
        threading.Thread(target=self._turn, daemon=True).start()

    def _turn(self) -> None:
        for mark in itertools.cycle(_SPINNER):
            seconds = time.monotonic() - self._started
            self._bar.set_description_str(f"{mark} {self._what}, {seconds:.0f} s")
            if self._ended.wait(_SECONDS_BETWEEN_TURNS):
                return

    def end(self) -> None:
        self._ended.set()
        self._bar.close()


def current_screen() -> Screen | None:
    """Returns the screen that a person is looking at, inside `on_screen`; None elsewhere."""
    return _current[-1] if _current else None


def tell(text: str) -> None:
    """Shows a line to whoever runs a script, above what is going on or, elsewhere, on stderr."""
    screen = current_screen()
    if screen is not None:
        screen.say(text)
    else:
        sys.stderr.write(f"{text}\n")


def now(what: str) -> None:
    """Shows at a terminal what is going on, as `Screen.now`; elsewhere nothing."""
    screen = current_screen()
    if screen is not None:
        screen.now(what)


@contextlib.contextmanager
def on_screen(*, whole_log: bool) -> Iterator[Screen | None]:
    """Gives a screen if stderr is a terminal: lines of the log go there without their prefixes.

    Args:
        whole_log: whether all lines go there that --logging_verbosity asks for, or of those only
            what is_for_people.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    with another_stderr() as stream, contextlib.ExitStack() as undo:
        screen = Screen(stream, is_animated=os.environ.get("TERM") != _DUMB)
        undo.callback(_current.pop)
        _current.append(screen)
        undo.callback(screen.now, "")
        lines = _Lines(screen)
        if not whole_log:
            lines.addFilter(is_for_people)
        root = logging.getLogger()
        undo.callback(setattr, root, "handlers", root.handlers)
        root.handlers = [lines]
        yield screen


class _Lines(logging.Handler):
    """Shows lines of the log."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno == logging.WARNING:
            # As of the same classes, when it is known which photos cannot be read.
            if text in self._warned:
                return
            self._warned.add(text)
        # Many say themselves what they are; those that are set in belong to the one before.
        if record.levelno >= logging.WARNING and not text.startswith((record.levelname, " ")):
            text = f"{record.levelname}: {text}"
        self._screen.say(text)
