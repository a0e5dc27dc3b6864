"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from image_retraining.foundation.errors import OutputError


@contextlib.contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a new empty file beside `target`, which takes the target's place on leaving.

    When the block raises, the new file is removed and the target stays as it was.

    Args:
        target: the file to write or replace; its folder is made when it is missing.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    target = Path(target)
    try:
        with _beside(target) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}. Make room, or name another "
            "place."
        ) from error


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files for the owner's eyes; others read exports as they read any file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
