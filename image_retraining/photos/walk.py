"""A walk through folders: which photos lie at any depth below, each folder entered once."""

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from typing import cast

from image_retraining.foundation import remote
from image_retraining.foundation.errors import PhotoError
from image_retraining.photos.file_kinds import FileKind, ending_of, has_photo_ending, kind_of
from image_retraining.photos.left_out import LeftOut
from image_retraining.photos.own_pictures import is_own
from image_retraining.photos.skipped_folders import SkippedFolder, look_into
from image_retraining.photos.system_names import is_hidden, is_passed_over, is_system_file

# What tells a file or folder from all others, however it is reached.
Identity = tuple[int, int]


class Walk:
    """Finds photos, and keeps what it met beside them.

    Attributes:
        left_out: what is no photo, or in no class.
    """

    def __init__(self, setting: str) -> None:
        """Takes the flag that named the folder, for messages."""
        self.left_out = LeftOut()
        self._setting = setting
        self._skipped: set[str] = set()
        self._reached: set[Identity] = set()

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Returns what lies in a folder, without what is hidden or a system's.

        Raises:
            PhotoError: the folder cannot be read.
        """
        found = []
        try:
            with _scanned(folder) as entries:
                for entry in entries:
                    if is_passed_over(entry.name) and entry.is_dir(follow_symlinks=False):
                        self._skipped.add(entry.path)
                    elif not is_hidden(entry.name) and not is_system_file(entry.name):
                        found.append(entry)
        except OSError as error:
            raise self._unreadable(folder, error) from error
        return [entry for entry in found if not _is_link_of_a_system(entry)]

    def photos(
        self, folder: str, *, label: str, barred: Collection[Identity], homes: Collection[str]
    ) -> Iterator[str]:
        """Yields the photos at any depth below a folder, which may be deeper than calls can go.

        Args:
            folder: where to begin.
            label: the class that it is of, to tell what is left out.
            barred: folders that are not entered.
            homes: real paths; links to folders below these are not followed, where a walk meets
                them anyway.

        Raises:
            PhotoError: a folder cannot be read.
        """
        seen, pending = set(barred), [folder]
        self._reached.add(self.identity(folder))
        while pending:
            files = []
            for entry in self.entries(pending.pop()):
                if not is_folder(entry):
                    files.append(entry)
                    continue
                identity = self.identity(entry.path)
                if identity not in seen and not _is_met_anyway(entry, homes):
                    seen.add(identity)
                    self._reached.add(identity)
                    pending.append(entry.path)
            yield from self._photos_among(files, label)

    def loose(self, files: Iterable[os.DirEntry[str]]) -> None:
        """Counts files that lie in no class."""
        self.left_out.loose_photos += sum(1 for _ in self._photos_among(list(files), ""))

    def skipped(self) -> list[SkippedFolder]:
        """Returns the folders that were not entered, and no link led to, in the order of paths."""
        return [look_into(path, is_reached=self._is_reached) for path in sorted(self._skipped)]

    def identity(self, folder: str) -> Identity:
        """Returns what tells a folder from all others.

        Raises:
            PhotoError: the folder cannot be looked at.
        """
        try:
            return _identity(folder)
        except OSError as error:
            raise self._unreadable(folder, error) from error

    def _photos_among(self, files: list[os.DirEntry[str]], label: str) -> Iterator[str]:
        """Yields those of the files of a folder that are photos, and counts the others."""
        convertible = []
        for file in files:
            is_link = file.is_symlink()
            if is_link and not os.path.exists(file.path):
                self.left_out.add_dangling(file.path, label)
                continue
            kind = kind_of(file.path) if _is_file(file) else None
            if kind is not None and is_own(file.path):
                self.left_out.own_pictures += 1
            elif kind is None:
                self.left_out.add_other(file.path)
            elif not kind.is_read:
                convertible.append((file, kind))
            else:
                if is_link:
                    self._reached.add(self.identity(file.path))
                if label and not ending_of(file.name):
                    self.left_out.without_ending[label] += 1
                yield file.path
        self._count_convertible(convertible, files, label)

    def _count_convertible(
        self,
        convertible: list[tuple[os.DirEntry[str], FileKind]],
        files: list[os.DirEntry[str]],
        label: str,
    ) -> None:
        """Counts photos of kinds that are not read, but for those that lie beside one that is."""
        if not convertible:
            return
        # Cameras write RAW beside JPEG; people keep what they have converted.
        stems = {_stem(file.name) for file in files if has_photo_ending(file.name)}
        for file, kind in convertible:
            if _stem(file.name) in stems:
                self.left_out.add_other(file.path)
            else:
                self.left_out.add_convertible(file.path, kind, label)

    def _is_reached(self, path: str) -> bool:
        return bool(self._reached) and _identity(path) in self._reached

    def _unreadable(self, folder: str, error: OSError) -> PhotoError:
        return PhotoError(
            f"Every folder below {self._setting} must be readable. Got {folder}: "
            f"{error.strerror}. Allow reading it, or move it elsewhere."
        )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a folder or leads to one; a link to itself leads nowhere."""
    # Unlike os.path, DirEntry raises OSError at links that loop; without links it costs no stat.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _scanned(folder: str) -> contextlib.AbstractContextManager[Iterable[os.DirEntry[str]]]:
    if remote.is_remote(folder):
        # They can be asked the same.
        return contextlib.nullcontext(cast("Iterable[os.DirEntry[str]]", remote.entries(folder)))
    return os.scandir(folder)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _is_link_of_a_system(entry: os.DirEntry[str]) -> bool:
    return is_passed_over(entry.name) and is_folder(entry)


def _is_met_anyway(entry: os.DirEntry[str], homes: Collection[str]) -> bool:
    """Returns whether a link leads to what is below one of the folders, and not passed over."""
    if not entry.is_symlink():
        return False
    target, way = os.path.realpath(entry.path), []
    while target not in homes:
        target, name = os.path.split(target)
        if not name:
            return False
        way.append(name)
    return not any(map(is_passed_over, way))


def _identity(path: str) -> Identity:
    if remote.is_remote(path):
        # There are no links, and so no other way to it.
        return -1, hash(path.rstrip("/"))
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].lower()
