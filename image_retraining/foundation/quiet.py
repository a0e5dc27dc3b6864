"""Libraries' chatter, of which no log level stops all, kept off the screen."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from absl import logging as absl_logging

from image_retraining.foundation.errors import RetrainError

# Stderr is the whole process's. Blocks of a thread may lie in each other.
_one_thread = threading.RLock()


@contextlib.contextmanager
def stderr_into(file: IO[bytes]) -> Iterator[None]:
    """Lets a file have what the block writes to stderr, from C++ too; it stands at its end then.

    Blocks of other threads wait: they would take the file for stderr, and put it back as that.
    """
    with _one_thread:
        _flush_stderr()
        try:
            kept = os.dup(2)
        except OSError:
            # It is closed, and so nobody writes to it.
            yield
            return
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            _flush_stderr()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what the block writes to stderr, from C++ too; an unforeseen error shows it."""
    with tempfile.TemporaryFile() as held_back:
        try:
            with stderr_into(held_back):
                yield
        except RetrainError:
            raise
        except Exception:
            held_back.seek(0)
            write_to_stderr(held_back.read().decode(errors="replace"))
            raise


@contextlib.contextmanager
def quiet_loggers() -> Iterator[None]:
    """Drops what absl and TensorFlow log below warnings in the block, as they save."""
    with contextlib.ExitStack() as undo:
        for name in ("", "absl", "tensorflow"):
            undo.callback(logging.getLogger(name).setLevel, logging.getLogger(name).level)
        # TensorFlow changes absl's verbosity while it saves, and restores what it found, which sets
        # the levels of loggers anew.
        undo.callback(absl_logging.set_verbosity, absl_logging.get_verbosity())
        absl_logging.set_verbosity(absl_logging.WARNING)
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        yield


def write_to_stderr(text: str) -> None:
    """Writes there, if there is such a thing: programs with windows have none."""
    if sys.stderr is not None:
        sys.stderr.write(text)


def _flush_stderr() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


@contextlib.contextmanager
def loggers_quiet(*names: str) -> Iterator[None]:
    """Keeps loggers of libraries from saying anything that does not end the program.

    Args:
        names: of them; those below, which may have levels of their own, are kept from it as well.
    """
    known = {*names, *(one for one in logging.root.manager.loggerDict if one.startswith(names))}
    loggers = [logging.getLogger(name) for name in sorted(known)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
