"""Standard input, output and error, whatever a program was started with.

A shell closes them (`<&-`), disks fill up and terminals go away. A run goes on without them; only
what was to be read from standard output is told to be missing.
"""

import contextlib
import io
import os
import sys
from typing import IO, Any, TextIO

from absl import logging

from image_retraining.foundation.errors import unwritable

_STANDARD = 3


class TextOutput(io.TextIOWrapper):
    """Text for people or programs, whose errors are told in words; those of readers that left not.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """

    def __init__(self, buffer: IO[bytes], *, name: str, **options: Any) -> None:
        """Takes what to write to.

        Args:
            buffer: takes the bytes.
            name: what it is called in messages.
            options: of TextIOWrapper.
        """
        super().__init__(buffer, **options)
        self._called = name

    def write(self, text: str) -> int:
        """Writes some text; returns how many characters."""
        with self._telling():
            return super().write(text)

    def flush(self) -> None:
        """Writes what is held back."""
        with self._telling():
            super().flush()

    @contextlib.contextmanager
    def _telling(self) -> Any:
        try:
            yield
        except OSError as error:
            # What is held back would fail again, as the program ends.
            self.forget()
            if isinstance(error, BrokenPipeError):
                raise
            raise unwritable(self._called, error) from error

    def forget(self) -> None:
        """Writes nothing any more."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


class _Lines(io.TextIOWrapper):
    """Lines for people, who may have left."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def open_standard_streams() -> None:
    """Makes all three usable: what is closed leads nowhere, and any name of a file gets through."""
    # Else the next file that is opened, as the cache, would get what is meant for the screen.
    for number in range(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - its only name
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    if not isinstance(sys.stdout, TextOutput):
        sys.stdout = TextOutput(name="Standard output", **_opened(sys.stdout))
    if not isinstance(sys.stderr, _Lines):
        sys.stderr = _Lines(**_opened(sys.stderr))
    # It has taken what it found when it was imported.
    logging.get_absl_handler().python_handler.setStream(sys.stderr)


def another_stderr() -> TextIO:
    """Returns a stream to where stderr leads now, and goes on to when stderr is led elsewhere."""
    buffer = open(os.dup(sys.stderr.fileno()), "wb")  # noqa: SIM115 - the stream closes it
    return _Lines(**{**_opened(sys.stderr), "buffer": buffer, "line_buffering": True})


def _opened(stream: Any) -> dict[str, Any]:
    """Returns what to open a stream with once more; names that are not UTF-8 become escapes."""
    if stream is None:
        return {"buffer": open(os.devnull, "wb"), "encoding": "utf-8"}
    return {
        "buffer": stream.buffer,
        "encoding": stream.encoding,
        "errors": "backslashreplace",
        "line_buffering": stream.line_buffering,
    }
