"""The hidden folder that a SavedModel is made in, beside its place, and locked meanwhile.

So what a process that was killed has left is told from what another one is writing: `.2.k3x_81ab`
is of version 2.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from image_retraining.exports.labels_file import write_labels
from image_retraining.foundation.files import left_name
from image_retraining.foundation.lock import lock

_OF_VERSION = left_name(r"(\d{1,18})")
# The labels are written when the folder is locked, and before what takes time.
_LOCK, LABELS = "lock", "labels.txt"


class _WrittenByAnotherError(Exception):
    """Another process is at it."""


@contextlib.contextmanager
def making(place: Path, labels: Sequence[str]) -> Iterator[str]:
    """Gives a folder beside a place, with the labels in it, that is gone on leaving.

    What processes that were killed have left of the same place is removed.

    Args:
        place: of the SavedModel; its folder is there.
        labels: to be in the file LABELS.

    Raises:
        OSError: it cannot be made.
    """
    _clear(place.parent, left_name(re.escape(place.name)))
    with contextlib.ExitStack() as undo:
        beside = undo.enter_context(
            tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent)
        )
        # Where nothing can be locked, as on some network folders, nothing is removed either.
        with contextlib.suppress(OSError, NotImplementedError):
            undo.callback(lock(os.path.join(beside, _LOCK), lambda _: None))
        write_labels(os.path.join(beside, LABELS), labels)
        yield beside


def version_in_making(name: str) -> int | None:
    """Returns of which version a folder of this name is the making; None of any other."""
    match = _OF_VERSION.fullmatch(name)
    return int(match[1]) if match else None


def clear_versions(folder: str) -> None:
    """Removes what processes that were killed have left in a folder of versions, if it is there."""
    _clear(Path(folder), _OF_VERSION)


def _clear(folder: Path, names: re.Pattern[str]) -> None:
    try:
        left = [one for one in os.listdir(folder) if names.fullmatch(one)]
    except OSError:
        return
    for name in left:
        _remove_unless_held(folder / name)


def _remove_unless_held(left: Path) -> None:
    """Removes what was being made, if it is ours and nobody writes it any more."""

    def refuse(_holder: str) -> None:
        raise _WrittenByAnotherError

    if left.is_symlink() or not all((left / name).is_file() for name in (_LOCK, LABELS)):
        return
    with contextlib.suppress(OSError, NotImplementedError, _WrittenByAnotherError):
        release = lock(left / _LOCK, refuse)
        try:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            release()
        # Systems that remove no open file have left the lock.
        shutil.rmtree(left, ignore_errors=True)
