"""Where a person's own files are kept, for which nobody has named a folder."""

import os
import tempfile
from pathlib import Path

import platformdirs

_NAME = "image-retraining"


def user_cache() -> str:
    """Returns this project's folder in the user's cache."""
    return platformdirs.user_cache_dir(_NAME, appauthor=False)


def modules_folder() -> str:
    """Returns where modules are kept: in the user's cache, or else among temporary files.

    Some containers give their user no home that can be written to.
    """
    cache = Path(user_cache())
    there = next(place for place in (cache, *cache.parents) if os.path.exists(place))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return str(cache / "modules")
    user = f"-{os.geteuid()}" if hasattr(os, "geteuid") else ""
    return os.path.join(tempfile.gettempdir(), f"{_NAME}{user}", "modules")


def make_own(folder: str) -> None:
    """Makes a folder that only its owner may enter, and those above it that are missing.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(folder)
    for part in reversed([place, *place.parents]):
        part.mkdir(mode=0o700, exist_ok=True)
