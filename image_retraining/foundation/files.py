"""Files that appear whole or not at all; devices and pipes, which are written into."""

import contextlib
import errno
import glob
import itertools
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from absl import logging

from image_retraining.foundation.errors import unwritable
from image_retraining.foundation.places import Kind, followed, kind_of, open_stream


@contextlib.contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a new empty file beside `target`, which takes the target's place on leaving.

    When the block raises, the new file is removed and the target stays as it was. A link stays, and
    what it leads to is replaced. A device or a pipe stays, and is given what the file holds.

    Args:
        target: the file to write or replace; its folder is made when it is missing.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    target = Path(target)
    try:
        is_stream = kind_of(target) is Kind.STREAM
        with _poured_into(target) if is_stream else _beside(Path(followed(target))) as temporary:
            yield temporary
    except OSError as error:
        raise unwritable(target, error) from error


def partial_path(target: str | os.PathLike[str]) -> Path:
    """Returns where lies what `growing` has written of a file that is not whole yet."""
    place = Path(followed(target))
    return place.with_name(f"{place.name}.partial")


@contextlib.contextmanager
def growing(target: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Gives a file to write text into, `target.partial`, which takes its place on leaving.

    When the block raises, or the process is killed, what was written stays there; the log says so.
    What lies there already, of an earlier attempt or of one that goes on, gets another name.

    Args:
        target: the file to write or replace; its folder is made when it is missing. A link stays.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    try:
        partial = partial_path(target)
        partial.parent.mkdir(parents=True, exist_ok=True)
        _keep_earlier(partial)
        with contextlib.ExitStack() as unless_whole:
            with partial.open("x", encoding="utf-8", errors="backslashreplace") as file:
                own = os.fstat(file.fileno())
                unless_whole.callback(_tell_what_is_left, partial, own)
                yield file
                file.flush()
                os.fsync(file.fileno())
            _check_is_still(partial, own)
            partial.replace(followed(target))
            unless_whole.pop_all()
        sync_names(partial.parent)
    except OSError as error:
        raise unwritable(target, error) from error


def _keep_earlier(partial: Path) -> None:
    """Gives what lies in a place another name, the first with a number that is free."""
    if os.path.lexists(partial):
        names = (partial.with_name(f"{partial.name}-{number}") for number in itertools.count(2))
        kept = next(name for name in names if not os.path.lexists(name))
        partial.rename(kept)
        logging.warning("%s was there already; it is kept as %s", partial, kept.name)


def _check_is_still(partial: Path, own: os.stat_result) -> None:
    """Raises OSError if another program has put its file there meanwhile."""
    if not _is_still(partial, own):
        raise OSError(errno.EBUSY, "Another program is writing it at the same time")


def _is_still(partial: Path, own: os.stat_result) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(partial.stat(), own)
    return False


def _tell_what_is_left(partial: Path, own: os.stat_result) -> None:
    """Says where a file lies that will not be whole, or removes it if nothing is in it."""
    # Another program may have given it another name, as `_keep_earlier` does.
    moved = sorted(partial.parent.glob(f"{glob.escape(partial.name)}-*"))
    for place in [partial, *moved]:
        if _is_still(place, own):
            if place.stat().st_size:
                logging.warning("What was written until then is in %s", place)
            else:
                place.unlink()


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    if kind_of(target) is Kind.OTHER:
        raise OSError(errno.EINVAL, "It is no regular file")
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
        # What is replaced next is not to be on the disk before.
        sync_names(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _poured_into(stream: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, "content")
        temporary.touch()
        yield temporary
        with temporary.open("rb") as content, open_stream(stream) as sink:
            shutil.copyfileobj(content, sink)


def left_name(name: str) -> re.Pattern[str]:
    """Returns how what is new is called beside its place, `.name.k3x_81ab`.

    Args:
        name: of the place, as a regular expression.
    """
    # Eight letters and digits that tempfile draws.
    return re.compile(rf"\.{name}\.[a-z0-9_]{{8}}")


def clear_left(target: str | os.PathLike[str]) -> None:
    """Removes what processes that were killed have left beside a file, which nobody writes now.

    A new file is for its owner's eyes until it takes its place, which copies of people's are not.

    Args:
        target: as of `replacing`.
    """
    target = Path(target)
    of_target = left_name(re.escape(target.name))
    with contextlib.suppress(OSError):
        for name in filter(of_target.fullmatch, os.listdir(target.parent)):
            left = target.parent / name
            if left.lstat().st_mode == stat.S_IFREG | 0o600:
                left.unlink()


def sync_folder(folder: Path) -> None:
    """Waits until all of a folder is on the disk, before it takes its place."""
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb+") as file:
                os.fsync(file.fileno())
        sync_names(Path(where))


def sync_names(folder: Path) -> None:
    """Waits until the names in a folder are on the disk; Windows opens no folders."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
