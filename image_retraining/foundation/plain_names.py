"""Folders whose names TensorFlow takes for patterns, or cannot take, under other names.

It looks for the files of a checkpoint, and for the variables of a SavedModel, as a shell does: the
brackets of a folder `r[1]` would stand for the one character in them. Names are UTF-8 to it.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator

from image_retraining.foundation.errors import SettingError

# Bytes that are not UTF-8 are surrogates in Python's text.
_NOT_PLAIN = re.compile(r"[][*?\\\ud800-\udfff]")


@contextlib.contextmanager
def plainly_named(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a name of a folder that TensorFlow takes: a link to it, if need be, until this is left.

    Args:
        folder: on this machine or, by an address, elsewhere.

    Raises:
        SettingError: a link is needed, and there is no place for it.
    """
    place = os.fspath(folder)
    if "://" in place or not _NOT_PLAIN.search(os.path.abspath(place)):
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
            "TensorFlow wants names of folders in UTF-8, without brackets, stars and question "
            "marks, or folders for temporary files where a link can be made. "
            f"Got {place}: {error.strerror}."
        ) from error
    if _NOT_PLAIN.search(home):
        raise SettingError(
            "TMPDIR must name a folder in UTF-8, without brackets, stars and question marks, for "
            f"TensorFlow takes such names for patterns. Got {os.path.dirname(home)}."
        )
    return link
