"""One run at a time computes the vectors of an image folder by a recipe; others wait, then read.

A lock costs nobody a vector: whoever has waited looks again at what is missing. It ends with the
process that holds it, however that ends. Where a file cannot be locked, runs go on without:
computing a vector twice does no harm but to time.
"""

import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

from absl import logging
from filelock import FileLock, Timeout

from image_retraining.cache.vectors import Recipe
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.text import shown

_SECONDS_BETWEEN_QUESTIONS = 0.2
# Windows lets nobody else read the byte that is locked, the first.
_NOTE_STARTS_AT = 1
_NOTE_LENGTH = 300


@contextlib.contextmanager
def computing_alone(folder: Path | None, image_dir: str, recipe: Recipe) -> Iterator[None]:
    """Keeps other runs from computing the same meanwhile; waits for one that does, and says so.

    Args:
        folder: the cache's; None for one in memory, which no other run can read.
        image_dir: the photos.
        recipe: of the photos themselves; their views are computed along with them.
    """
    with contextlib.ExitStack() as held:
        if folder is not None:
            lock = FileLock(_path(folder, image_dir, recipe), on_acquired=_note_holder)
            try:
                _wait_for(lock)
                held.callback(_release, lock)
            except (OSError, NotImplementedError) as error:
                logging.info(
                    "%s cannot be locked (%s). Runs at the same time may compute photos twice.",
                    folder,
                    error,
                )
        yield


def _path(folder: Path, image_dir: str, recipe: Recipe) -> Path:
    fields = (os.path.realpath(image_dir), *astuple(replace(recipe, view="")))
    digest = hashlib.sha256("\n".join(map(str, fields)).encode(errors="surrogateescape"))
    return folder / f"computing-{digest.hexdigest()[:16]}.lock"


def _wait_for(lock: FileLock) -> None:
    """Returns when the lock is held; says of each other holder who it is."""
    told = ""
    while True:
        try:
            lock.acquire(timeout=_SECONDS_BETWEEN_QUESTIONS)
        except Timeout:
            raise_if_interrupted()
            holder = _holder(lock.lock_file)
            if holder not in ("", told):
                logging.info(
                    "Waiting for another run, which is computing these bottlenecks (%s), until it "
                    "has finished or died.",
                    holder,
                )
                told = holder
        else:
            return


def _release(lock: FileLock) -> None:
    # Whoever has it open and waits will find it gone, and make another; so it need not stay.
    with contextlib.suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


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
