"""A terminal that programs write to, and that can be asked what a person sees on it."""

import contextlib
import fcntl
import os
import struct
import termios
import threading
from collections.abc import Iterator

import pyte


class Terminal:
    """A real pseudo-terminal, whose other end is shown by pyte.

    Attributes:
        path: of the device that programs open.
    """

    def __init__(self, columns: int, lines: int, scrolled: int = 1000) -> None:
        self._reader, self._writer = os.openpty()
        fcntl.ioctl(self._writer, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.path = os.ttyname(self._writer)
        # As tall as all that is written, so that nothing scrolls away.
        self._screen = pyte.Screen(columns, max(lines, scrolled))
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self._pump = threading.Thread(target=self._show, daemon=True)
        self._pump.start()

    def _show(self) -> None:
        # Linux says so when the last writer has closed it.
        with contextlib.suppress(OSError):
            while contents := os.read(self._reader, 4096):
                self.written += contents
                self._stream.feed(contents)

    def end(self) -> list[str]:
        """Returns the lines that are to be seen when all has been written."""
        os.close(self._writer)
        self._pump.join()
        os.close(self._reader)
        return self.lines

    @property
    def lines(self) -> list[str]:
        """The lines that are to be seen now."""
        return [line.rstrip() for line in self._screen.display if line.strip()]


@contextlib.contextmanager
def as_stderr(terminal: Terminal) -> Iterator[None]:
    """Lets this process's stderr be the terminal, for C++ too."""
    kept = os.dup(2)
    device = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    os.dup2(device, 2)
    os.close(device)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
