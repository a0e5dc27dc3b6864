"""File name → what kind of file it is: a photo that can be read, or something else."""

import os

PHOTO_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"},
)


def is_photo(name: str) -> bool:
    """Returns whether a file is a photo, by the ending of its name in any letter case."""
    return kind_of(name) in PHOTO_ENDINGS


def kind_of(name: str) -> str:
    """Returns the ending of a name in small letters, or the whole name where it has none."""
    return os.path.splitext(name)[1].lower() or name
