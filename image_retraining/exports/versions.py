"""Where a SavedModel goes: a folder of its own, or the next number among a model's versions."""

import os
import re
from pathlib import Path

from image_retraining.exports.making import version_in_making
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.places import Kind, kind_of
from image_retraining.foundation.settings import require

# What lies in a SavedModel that this tool has written, besides TensorFlow's own files.
LABELS_ASSET, FACTS_ASSET = "assets/labels.txt", "assets/model.json"
UNKNOWN_ASSET = "assets/unknown.npz"


def version_folder(folder: str, *, overwrite: bool = False) -> str:
    """Returns the folder to write a SavedModel to, as --saved_model_dir names it.

    A new or an empty folder is taken as it is, whatever its name. A folder of numbered versions, as
    TF Serving watches, gets the next number, after those that are being written.

    Args:
        folder: as named.
        overwrite: whether a SavedModel that this tool has written there may be replaced.

    Raises:
        SettingError: it is no folder, or holds something else.
    """
    path = Path(folder)
    _require(kind_of(path) in (Kind.FOLDER, Kind.NOTHING), folder, "is no folder")
    try:
        names = os.listdir(path) if os.path.isdir(path) else []
    except OSError as error:
        raise SettingError(
            "--saved_model_dir must lie in a folder that can be made and written to. "
            f"Got {folder}: {error.strerror}."
        ) from error
    if not names or (overwrite and (path / FACTS_ASSET).is_file()):
        return folder
    versions = {name: _version(name) for name in names}
    others = [name for name, version in versions.items() if version is None]
    _require(not others, folder, f"holds {min(others, default='')}")
    return str(path / str(max(version for version in versions.values() if version is not None) + 1))


def newest_version(folder: str) -> str:
    """Returns the highest numbered folder in a folder of versions, or the folder itself."""
    numbers = [name for name in os.listdir(folder) if re.fullmatch(r"\d{1,18}", name)]
    if not numbers or os.path.exists(os.path.join(folder, "saved_model.pb")):
        return folder
    return os.path.join(folder, max(numbers, key=int))


def _version(name: str) -> int | None:
    """Returns the number of a version that is there or being made; None of another name."""
    return int(name) if re.fullmatch(r"\d{1,18}", name) else version_in_making(name)


def _require(holds: bool, folder: str, which: str) -> None:  # noqa: FBT001 - as in `require`
    require(
        holds,
        "--saved_model_dir must be a new or an empty folder, or one that holds numbered versions "
        "of a model and nothing else",
        f"{folder}, which {which}",
    )
