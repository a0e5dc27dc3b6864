"""Ctrl-C that is never lost.

Python raises KeyboardInterrupt at whatever the main thread does next. When that comes back from
TensorFlow it is often a callback of a weak reference, whose exceptions Python reports and drops;
other libraries drop them while they are imported. So Ctrl-C is noted as well, and long work asks.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Note:
    """No lock: a second Ctrl-C while the first is noted would wait for it for ever."""

    is_made: bool = False
    holds_back: int = 0


_note = _Note()


def note_interruptions() -> None:
    """Notes Ctrl-C from now on, beside raising KeyboardInterrupt; not where SIGINT is ignored."""
    _note.is_made, _note.holds_back = False, 0
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _note_and_raise):
        signal.signal(signal.SIGINT, _note_and_raise)
        report = sys.unraisablehook
        sys.unraisablehook = lambda dropped: _report(dropped, report)


@contextlib.contextmanager
def interruptions_noted() -> Iterator[None]:
    """Notes Ctrl-C until this is left; in threads, which never get it, does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, report = signal.getsignal(signal.SIGINT), sys.unraisablehook
    note_interruptions()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        sys.unraisablehook = report
        _note.is_made = False


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Lets the block end before Ctrl-C raises; a second Ctrl-C raises at once.

    Python may raise it at the first step of a lock's `__exit__`, which then stays locked: for ever,
    where a thread waits for it, as TensorBoard's writers do.
    """
    _note.holds_back += 1
    try:
        yield
    finally:
        _note.holds_back -= 1
    if not _note.holds_back:
        raise_if_interrupted()


def raise_if_interrupted() -> None:
    """Raises KeyboardInterrupt if there was one; to be called between the parts of long work."""
    if _note.is_made:
        raise KeyboardInterrupt


def _note_and_raise(*_: object) -> None:
    is_first = not _note.is_made
    _note.is_made = True
    if not (is_first and _note.holds_back):
        raise KeyboardInterrupt


def _report(dropped: Any, report: Any) -> None:
    # It is noted, so that nobody needs to read of it.
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        report(dropped)
