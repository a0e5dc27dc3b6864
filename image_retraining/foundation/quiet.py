"""Libraries' chatter, of which no log level stops all, kept off the screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from absl import logging

from image_retraining.foundation.errors import RetrainError


@contextlib.contextmanager
def stderr_into(file: IO[bytes]) -> Iterator[None]:
    """Lets a file have what the block writes to stderr, from C++ too; it stands at its end then."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
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
            sys.stderr.write(held_back.read().decode(errors="replace"))
            raise


@contextlib.contextmanager
def quiet_absl() -> Iterator[None]:
    """Drops what the block logs below warnings, as TensorFlow does while it saves."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
