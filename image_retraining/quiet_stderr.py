"""Libraries' chatter, of which no log level stops all, kept off the screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from image_retraining.errors import RetrainError


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what the block writes to stderr, from C++ too; an unforeseen error shows it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        unforeseen = False
        try:
            yield
        except Exception as error:
            unforeseen = not isinstance(error, RetrainError)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if unforeseen:
                held_back.seek(0)
                sys.stderr.write(held_back.read().decode(errors="replace"))
