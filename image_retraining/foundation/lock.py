"""A lock that ends with the process that holds it, however that ends, and says who that is."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.text import shown

_SECONDS_BETWEEN_QUESTIONS = 0.2
# Windows lets nobody else read the byte that is locked, the first.
_NOTE_STARTS_AT = 1
_NOTE_LENGTH = 300


def lock(path: str | Path, on_other: Callable[[str], None]) -> Callable[[], None]:
    """Returns what gives the lock back, when it is held; its file is gone then.

    Args:
        path: of the lock's file, in a folder that is there.
        on_other: is told who else holds it, in words, again and again until it is free; what it
            raises ends the waiting.

    Raises:
        OSError: nothing can be locked here.
        NotImplementedError: likewise.
    """
    held = FileLock(path, on_acquired=_note_holder)
    while True:
        try:
            held.acquire(timeout=_SECONDS_BETWEEN_QUESTIONS)
        except Timeout:
            raise_if_interrupted()
            holder = _holder(held.lock_file)
            if holder:
                on_other(holder)
        else:
            return lambda: _release(held)


def _release(held: FileLock) -> None:
    # Whoever has it open and waits will find it gone, and make another; so it need not stay.
    with contextlib.suppress(OSError):
        os.unlink(held.lock_file)
    held.release()


def _note_holder(file: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    note = f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode()
    # It is for people; a full disk is no reason to fail.
    with contextlib.suppress(OSError):
        os.lseek(file, _NOTE_STARTS_AT, os.SEEK_SET)
        os.write(file, note)
        os.ftruncate(file, _NOTE_STARTS_AT + len(note))


def _holder(path: str) -> str:
    """Returns who holds the lock, in words; "" when it has just ended."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(_NOTE_STARTS_AT)
            note = file.read(_NOTE_LENGTH).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError:
        note = ""
    return shown(note) or "unknown process"
