"""Folder → what it holds at first sight: photos, and folders of photos."""

from collections.abc import Mapping
from dataclasses import dataclass

from image_retraining.photos.walk import Walk, is_folder


@dataclass(frozen=True, slots=True)
class FolderLook:
    """What a folder holds.

    Attributes:
        folders: name of each folder in it → whether there are photos at any depth below.
        has_photos: whether photos lie directly in it.
    """

    folders: Mapping[str, bool]
    has_photos: bool

    @property
    def classes(self) -> list[str]:
        """The names of the folders with photos."""
        return [name for name, holds in self.folders.items() if holds]

    @property
    def is_empty(self) -> bool:
        """Whether there is no photo at any depth."""
        return not (self.has_photos or self.classes)


def look_at(folder: str) -> FolderLook:
    """Returns what a folder holds, looking no further than to the first photo of each.

    Raises:
        PhotoError: a folder cannot be read.
    """
    # A walk of its own, which logs nothing.
    walk = Walk("--image_dir")
    barred = [walk.identity(folder)]
    entries = sorted(walk.entries(folder), key=lambda entry: entry.name)
    below = {entry.name: entry.path for entry in entries if is_folder(entry)}
    walk.loose(entry for entry in entries if entry.name not in below)
    return FolderLook(
        {
            name: any(walk.photos(path, label="", barred=barred, homes=()))
            for name, path in below.items()
        },
        has_photos=walk.left_out.loose_photos > 0,
    )
