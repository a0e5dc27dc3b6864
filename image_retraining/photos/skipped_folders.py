"""Folders that are not entered, for they are a system's or hidden, and the photos in them."""

import collections
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from absl import logging

from image_retraining.foundation.text import shown
from image_retraining.photos.enumeration import some_of
from image_retraining.photos.file_kinds import has_photo_ending
from image_retraining.photos.system_names import is_hidden, is_system_folder


@dataclass(frozen=True, slots=True)
class SkippedFolder:
    """A folder that was not entered.

    Attributes:
        path: the folder.
        photo_count: of files named as photos at any depth below; None where it cannot be read.
    """

    path: str
    photo_count: int | None

    @property
    def name(self) -> str:
        """Its name without the way to it."""
        return os.path.basename(self.path)


def look_into(path: str, *, is_reached: Callable[[str], bool]) -> SkippedFolder:
    """Returns a folder with the count of its photos.

    Args:
        path: the folder, which others may have locked.
        is_reached: whether a file or folder is one that links led to, and so is not left out.
    """
    count, pending, locked = 0, [path], set()
    while pending:
        folder = pending.pop()
        try:
            if is_reached(folder):
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif has_photo_ending(entry.name) and not is_hidden(entry.name):
                        count += not is_reached(entry.path)
        except OSError:
            locked.add(folder)
    return SkippedFolder(path, None if path in locked else count)


def log_skipped(folders: Sequence[SkippedFolder], *, home: str) -> None:
    """Logs a line of those that a system keeps, and one of others that are hidden.

    Args:
        folders: those that were skipped.
        home: the folder that they are below.
    """
    systems = [folder for folder in folders if is_system_folder(folder.name)]
    # Nobody misses a hidden folder of a system in which there are no photos.
    systems = [folder for folder in systems if folder.photo_count or not is_hidden(folder.name)]
    if systems:
        by_name = collections.defaultdict(list)
        for folder in systems:
            by_name[folder.name.lower()].append(folder)
        parts = [_together(alike) for alike in by_name.values()]
        logging.info("Left out, for a system keeps its own files there: %s", some_of(parts))
    hidden = [one for one in folders if one.photo_count and not is_system_folder(one.name)]
    if hidden:
        parts = [
            f"{shown(os.path.relpath(folder.path, home))} ({_photos(folder.photo_count or 0)})"
            for folder in hidden
        ]
        logging.warning(
            "WARNING: left out, for their names begin with a dot, which hides folders: %s. To use "
            "such a folder, give it a name without.",
            some_of(parts),
        )


def _together(alike: Sequence[SkippedFolder]) -> str:
    """Returns how many folders there are of one name, with how many photos in all."""
    name = shown(alike[0].name)
    counted = [folder.photo_count for folder in alike if folder.photo_count is not None]
    inside = _photos(sum(counted)) if counted else "cannot be read"
    return f"{len(alike)} folder{'s' if len(alike) > 1 else ''} {name} ({inside})"


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
