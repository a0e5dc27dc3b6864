"""Folders whose names TensorFlow takes for patterns, under other names.

It looks for the files of a checkpoint, and for the variables of a SavedModel, as a shell does: the
brackets of a folder `r[1]` would stand for the one character in them.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator

from image_retraining.foundation.errors import SettingError

_OF_PATTERNS = re.compile(r"[][*?\\]")


@contextlib.contextmanager
def plainly_named(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a name of a folder that is no pattern: a link to it, if need be, until this is left.

    Args:
        folder: on this machine or, by an address, elsewhere.

    Raises:
        SettingError: a link is needed, and there is no place for it.
    """
    place = os.fspath(folder)
    if "://" in place or not _OF_PATTERNS.search(os.path.abspath(place)):
        yield place
        return
    with contextlib.ExitStack() as undo:
        yield _link(os.path.abspath(place), undo)


def _link(place: str, undo: contextlib.ExitStack) -> str:
    try:
        home = undo.enter_context(tempfile.TemporaryDirectory())
        link = os.path.join(home, "folder")
        os.symlink(place, link, target_is_directory=True)
    except OSError as error:
        raise SettingError(
            "TensorFlow wants names of folders without brackets, stars and question marks, or "
            f"folders for temporary files where a link can be made. Got {place}: {error.strerror}."
        ) from error
    if _OF_PATTERNS.search(home):
        raise SettingError(
            "TMPDIR must name a folder without brackets, stars and question marks, for TensorFlow "
            f"takes such names for patterns. Got {os.path.dirname(home)}."
        )
    return link
