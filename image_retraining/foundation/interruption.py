"""Ctrl-C that is never lost, and its sisters that machines send.

Python raises KeyboardInterrupt at whatever the main thread does next. When that comes back from
TensorFlow it is often a callback of a weak reference, whose exceptions Python reports and drops;
other libraries drop them while they are imported. So Ctrl-C is noted as well, and long work asks.

SIGTERM, by which Slurm, Docker and a shutdown end a program, and SIGHUP, when its terminal goes
away, are Ctrl-C to the scripts: what is computed is kept.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from image_retraining.foundation.door import leave_at_once


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


class HungUp(KeyboardInterrupt):
    """SIGHUP."""


# What a signal raises, and what is said of it.
_KINDS: dict[str, tuple[type[KeyboardInterrupt], str]] = {
    "SIGINT": (KeyboardInterrupt, "Interrupted."),
    "SIGTERM": (Terminated, "Terminated."),
    # Windows has none.
    "SIGHUP": (HungUp, "Hung up."),
}


@dataclass(slots=True)
class _Note:
    """No lock: a second Ctrl-C while the first is noted would wait for it for ever."""

    is_made: bool = False
    holds_back: int = 0
    kind: type[KeyboardInterrupt] = KeyboardInterrupt


_note = _Note()


def note_interruptions(*, of_machines: bool = False) -> None:
    """Notes Ctrl-C from now on, beside raising KeyboardInterrupt; not where SIGINT is ignored.

    Args:
        of_machines: likewise SIGTERM and SIGHUP, unless something is done about them already.
    """
    _note.is_made, _note.holds_back = False, 0
    names = list(_KINDS) if of_machines else ["SIGINT"]
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # nohup has SIGHUP ignored; a shell's background job, SIGINT.
    heard = [number for number in numbers if _is_nobodys(number)]
    for number in heard:
        signal.signal(number, _note_and_raise)
    if heard:
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
        # None stands for a handler of C code, which Python can neither restore nor has replaced.
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        sys.unraisablehook = report
        _note.is_made = False


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Lets the block end before Ctrl-C raises; a second Ctrl-C raises at once.

    Python may raise it at the first step of a lock's `__exit__`, which then stays locked: for ever,
    where a thread waits for it.
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
        raise _note.kind


def last_words(interruption: KeyboardInterrupt) -> tuple[str, int]:
    """Returns what is said of an interruption, and the exit status, as shells give it."""
    for name, (kind, words) in _KINDS.items():
        if type(interruption) is kind:
            return words, 128 + getattr(signal, name)
    return "Interrupted.", 128 + signal.SIGINT


def _is_nobodys(number: int) -> bool:
    """Whether nobody has said what a signal is to do, besides this module."""
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    return signal.getsignal(number) in (default, leave_at_once, _note_and_raise)


def _note_and_raise(number: int, _: object) -> None:
    is_first = not _note.is_made
    _note.kind = _KINDS[signal.Signals(number).name][0]
    _note.is_made = True
    if not (is_first and _note.holds_back):
        raise _note.kind


def _report(dropped: Any, report: Any) -> None:
    # It is noted, so that nobody needs to read of it.
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        report(dropped)


@contextlib.contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Keeps Ctrl-C from what is started meanwhile, threads and processes, and by these in turn.

    A terminal sends it to all processes, and each of theirs would end with a traceback of its own.
    This one ends them.
    """
    # Windows has none.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It makes whoever starts it hear Ctrl-C again, as the first process of multiprocessing would.
    from multiprocessing import resource_tracker  # noqa: PLC0415 - not on Windows

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
