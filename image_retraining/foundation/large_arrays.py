"""Arrays that may be larger than the memory: those lie in a file that goes with the process."""

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from image_retraining.foundation import memory
from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Floats

# Beyond this share of what the process may still take of the memory, an array lies on disk.
_SHARE = 4
_BYTES_OF_A_NUMBER = 4
_ROWS_AT_ONCE = 16_384


def floats(shape: tuple[int, ...], *, folder: Path | None, what: str) -> Floats:
    """Returns a float32 array whose values are not set.

    Above a quarter of the memory that is free, it is a file that is mapped into memory: the system
    keeps of it what there is room for. The file has no name any more, so that it goes with the
    process, however that ends.

    Args:
        shape: of the array.
        folder: where such a file may lie; None where it may not.
        what: of the array, for messages.

    Raises:
        OutputError: there is no room on the disk.
    """
    size = int(np.prod(shape, dtype=np.int64)) * _BYTES_OF_A_NUMBER
    if folder is None or not size or size * _SHARE <= memory.available():
        return np.empty(shape, np.float32)
    notice(
        "%s take %.1f GB, more than a quarter of the memory that is free: they lie in a file in %s "
        "for as long as this run lasts",
        what,
        size / 1e9,
        folder,
    )
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # Room that is not there would else be missed when it is written to, by a signal.
            _reserve(file.fileno(), size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise OutputError(
            f"--bottleneck_dir must have room for {size / 1e9:.1f} GB of {what.lower()} while they "
            f"are trained on. Got {folder}: {error.strerror}. Free some, or name another folder."
        ) from error
    return np.frombuffer(mapped, np.float32).reshape(shape)


def some_rows(values: Floats, rows: npt.NDArray[np.intp], *, folder: Path | None) -> Floats:
    """Returns a copy of some rows of float32 [N, ...], as `floats` makes one."""
    shape = (len(rows), *values.shape[1:])
    found = floats(shape, folder=folder, what="Copies of feature vectors")
    for some in blocks(len(rows)):
        found[some] = values[rows[some]]
    return found


def blocks(count: int) -> Iterator[slice]:
    """Yields slices of so many rows, for what would fill the memory if it were of all."""
    for start in range(0, count, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, count))


def folder_in(bottleneck_dir: str) -> Path | None:
    """Returns where the files of a run may lie; None where nothing is to be kept."""
    return Path(bottleneck_dir) if bottleneck_dir else None


def _reserve(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    # Not every system has it, nor every file system.
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
