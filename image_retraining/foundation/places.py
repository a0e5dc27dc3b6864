"""What a path names: a file to replace, or something that is there to be written into."""

import enum
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# As many as Linux follows.
_MOST_LINKS = 40
_START_BYTES = 16
_PHOTO_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF, and what most cameras call raw
    b"MM\0*",
)


class Kind(enum.Enum):
    """What there is at a path, behind its links.

    Attributes:
        NOTHING: nothing yet.
        FILE: a regular file.
        FOLDER: a folder.
        STREAM: a character device, a pipe, or what is open already, as /dev/stdout.
        OTHER: a disk, a socket, or links that lead nowhere.
    """

    NOTHING = enum.auto()
    FILE = enum.auto()
    FOLDER = enum.auto()
    STREAM = enum.auto()
    OTHER = enum.auto()


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """Returns what there is at a path; NOTHING too where nobody may look."""
    if _open_already(path) is not None:
        return Kind.STREAM
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return Kind.OTHER if error.errno == errno.ELOOP else Kind.NOTHING
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.STREAM if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) else Kind.OTHER


def is_null(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the device that forgets what it is given."""
    try:
        found, null = os.stat(path), os.stat(os.devnull)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev


def followed(path: str | os.PathLike[str]) -> str:
    """Returns the path that a path's links lead to, which may not be there.

    The links of its folders are left to the system.

    Raises:
        OSError: they lead nowhere, or one of them is not to be trusted.
    """
    place = os.fspath(path)
    for _ in range(_MOST_LINKS):
        if not os.path.islink(place):
            return place
        if not is_trusted(place):
            raise OSError(errno.EACCES, "It is a link of another user")
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def is_trusted(path: str | os.PathLike[str]) -> bool:
    """Whether nobody else may have put something in a person's way.

    In a folder for all, as /tmp, it is what the person owns, or the owner of the folder.
    """
    folder = os.stat(os.path.dirname(path) or ".")
    is_for_all = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    return not is_for_all or os.lstat(path).st_uid in {os.geteuid(), folder.st_uid}


def foreign(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields what others have put into folders for all on the way to a path, itself included."""
    for place in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        for part in (place, *map(str, Path(place).parents)):
            if os.path.lexists(part) and not is_trusted(part):
                yield part


def open_stream(path: str | os.PathLike[str]) -> IO[bytes]:
    """Returns an existing device or pipe, open for writing.

    Raises:
        OSError: it cannot be opened.
    """
    number = _open_already(path)
    # Opened anew, /dev/stdout would empty the file that it may be.
    return os.fdopen(os.open(path, os.O_WRONLY) if number is None else os.dup(number), "wb")


def holds_photo(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a file which begins as photos do, those of cameras among them."""
    if kind_of(path) is not Kind.FILE:
        return False
    try:
        with Path(path).open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError:
        return False
    return (
        start.startswith(_PHOTO_STARTS)
        or (start[:2] == b"BM" and start[6:10] == bytes(4))
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        # HEIC, AVIF and Canon's CR3.
        or start[4:8] == b"ftyp"
    )


def _open_already(path: str | os.PathLike[str]) -> int | None:
    """Returns the number of the open file that a path stands for; None if it stands for none."""
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(place)
        folder = os.path.realpath(folder)
        if re.fullmatch(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd", folder):
            return int(name) if name.isdecimal() and _is_open(int(name)) else None
        try:
            place = os.path.join(folder, os.readlink(os.path.join(folder, name)))
        except OSError:
            return None
    return None


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
