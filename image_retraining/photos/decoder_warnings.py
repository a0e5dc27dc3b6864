"""Warnings of the JPEG decoder: libjpeg writes them to stderr, from C++ and from any thread.

They tell that a photo is damaged, but not which. So what listens here learns only that there was
one, and its lines, which would name nothing that people can find, are kept off the screen. So are
those of its errors, for TensorFlow tells of these.
"""

import atexit
import contextlib
import os
import re
import selectors
import sys
import threading
from collections.abc import Callable, Iterator

_STDERR = 2
# As libjpeg's jerror.h has them: of data that are damaged, not of odd headers.
_WARNING = re.compile(
    rb"(?:Corrupt JPEG data: [^\n]*|Premature end of JPEG file|"
    rb"Inconsistent progression sequence for component [^\n]*)\n"
)
# And of what it cannot decode at all, which is listed as unreadable anyway.
_ERROR = re.compile(
    rb"(?:Input file read error|Unsupported marker type 0x[0-9a-f]{2}|"
    rb"Bogus (?:Huffman table definition|marker length|sampling factors|D[HQ]T index \d+)|"
    rb"(?:Huffman|Quantization) table 0x[0-9a-f]{2} was not defined|"
    rb"Invalid (?:component ID \d+ in SOS|progressive parameters [^\n]*|"
    rb"SOS parameters for sequential JPEG|JPEG file structure: [^\n]*))\n"
)
_MOST_AT_ONCE = 65536
# Of all ears, for one leads into another. Blocks that were forgotten are left by whatever thread
# collects them, where it is at that moment: in one of the functions below, too.
_one_at_a_time = threading.RLock()


class _Ear:
    """Stands between the writers of stderr and where it leads; hands on all but warnings.

    Whoever got hold of stderr meanwhile, as a process that was started, may write for as long as it
    lives: the ear stays until the last has gone.

    Attributes:
        count: the warnings so far.
    """

    def __init__(self) -> None:
        self.count = 0
        _open_if_closed()
        self._leads_to = os.dup(_STDERR)
        self._heard, spoken = os.pipe()
        os.set_blocking(self._heard, False)
        os.dup2(spoken, _STDERR)
        os.close(spoken)
        self._is_left = threading.Event()
        threading.Thread(target=self._listen, name="stderr", daemon=True).start()

    def hear(self) -> bool:
        """Takes in all that was written so far; returns whether more may come."""
        with _one_at_a_time:
            while True:
                try:
                    said = os.read(self._heard, _MOST_AT_ONCE)
                except BlockingIOError:
                    return True
                if not said:
                    return False
                rest, warnings = _WARNING.subn(b"", said)
                self.count += warnings
                rest = _ERROR.sub(b"", rest)
                # A disk that is full, or a terminal that was closed.
                with contextlib.suppress(OSError):
                    os.write(self._leads_to, rest)

    def leave(self) -> None:
        """Lets stderr lead where it led."""
        self.hear()
        # Unless somebody else has taken it since.
        if os.path.sameopenfile(self._heard, _STDERR):
            os.dup2(self._leads_to, _STDERR)
        self._is_left.set()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._heard, selectors.EVENT_READ)
            while self.hear():
                selector.select()
        self._is_left.wait()
        os.close(self._heard)
        os.close(self._leads_to)


def _open_if_closed() -> None:
    """Gives stderr's number, which the next file would get, to what swallows all."""
    try:
        os.fstat(_STDERR)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != _STDERR:
            os.dup2(null, _STDERR)
            os.close(null)


class _Shared:
    """One ear for all who listen at the same time, for there is one stderr."""

    def __init__(self) -> None:
        self._ear: _Ear | None = None
        self._listeners = 0

    def join(self) -> _Ear:
        with _one_at_a_time:
            self._listeners += 1
            self._ear = self._ear or _Ear()
            return self._ear

    def leave(self) -> None:
        # Then the ear has left, and its thread, which is no more, may have kept the lock.
        if sys.is_finalizing():
            return
        with _one_at_a_time:
            self._listeners -= 1
            if not self._listeners:
                self.end()

    def end(self) -> None:
        """Lets stderr lead where it led, whoever listens still."""
        with _one_at_a_time:
            if self._ear:
                self._ear.leave()
                self._ear = None


_shared = _Shared()
# Of blocks that are forgotten, as by Ctrl-C: while the thread is there that hands on what is said.
atexit.register(_shared.end)


@contextlib.contextmanager
def listened() -> Iterator[Callable[[], bool]]:
    """Listens for warnings in the block.

    Yields:
        What returns whether there was a warning since it was asked last. Windows has no pipes that
        can be asked; nobody hears anything there.
    """
    if os.name == "nt":
        yield lambda: False
        return
    ear = _shared.join()
    last = ear.count

    def has_warned() -> bool:
        nonlocal last
        ear.hear()
        before, last = last, ear.count
        return last > before

    try:
        yield has_warned
    finally:
        _shared.leave()
