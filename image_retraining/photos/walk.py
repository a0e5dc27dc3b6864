"""A walk through folders: which photos lie at any depth below, each folder entered once."""

import os
from collections.abc import Collection, Iterator

from image_retraining.foundation.errors import PhotoError
from image_retraining.photos.file_kinds import is_photo, kind_of
from image_retraining.photos.left_out import LeftOut

# What tells a folder from all others, however it is reached.
Identity = tuple[int, int]

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


class Walk:
    """Finds photos, and keeps what it met beside them.

    Attributes:
        left_out: what is no photo, or in no class.
    """

    def __init__(self, setting: str) -> None:
        """Takes the flag that named the folder, for messages."""
        self.left_out = LeftOut()
        self._setting = setting

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Returns what lies in a folder, without hidden files and those of the system.

        Raises:
            PhotoError: the folder cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if _is_visible(entry.name)]
        except OSError as error:
            raise self._unreadable(folder, error) from error

    def photos(self, folder: str, *, barred: Collection[Identity], home: str) -> Iterator[str]:
        """Yields the photos at any depth below a folder, which may be deeper than calls can go.

        Args:
            folder: where to begin.
            barred: folders that are not entered.
            home: links to folders below it are not followed: these are met anyway, where they
                belong.

        Raises:
            PhotoError: a folder cannot be read.
        """
        seen, pending = set(barred), [folder]
        while pending:
            for entry in self.entries(pending.pop()):
                if is_folder(entry):
                    identity = self.identity(entry.path)
                    if identity not in seen and not _leads_back(entry, home):
                        seen.add(identity)
                        pending.append(entry.path)
                elif is_photo(entry.name) and _is_file(entry):
                    yield entry.path
                else:
                    self.left_out.others[kind_of(entry.name)] += 1

    def identity(self, folder: str) -> Identity:
        """Returns what tells a folder from all others.

        Raises:
            PhotoError: the folder cannot be looked at.
        """
        try:
            status = os.stat(folder)
        except OSError as error:
            raise self._unreadable(folder, error) from error
        return status.st_dev, status.st_ino

    def _unreadable(self, folder: str, error: OSError) -> PhotoError:
        return PhotoError(
            f"Every folder below {self._setting} must be readable. Got {folder}: "
            f"{error.strerror}. Allow reading it, or move it elsewhere."
        )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a folder or leads to one; a link to itself leads nowhere."""
    # Unlike os.path, DirEntry raises OSError at links that loop; without links it costs no stat.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEM_FILES


def _leads_back(entry: os.DirEntry[str], home: str) -> bool:
    if not entry.is_symlink():
        return False
    target, home = os.path.realpath(entry.path), os.path.realpath(home)
    return os.path.commonpath([target, home]) == home
