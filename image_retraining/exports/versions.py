"""Where a SavedModel goes: a folder of its own, or the next number among a model's versions."""

import os
import re
from pathlib import Path

from image_retraining.foundation.errors import SettingError

# What lies in a SavedModel that this tool has written, besides TensorFlow's own files.
LABELS_ASSET, FACTS_ASSET = "assets/labels.txt", "assets/model.json"
UNKNOWN_ASSET = "assets/unknown.npz"


def version_folder(folder: str, *, overwrite: bool = False) -> str:
    """Returns the folder to write a SavedModel to, as --saved_model_dir names it.

    A new or an empty folder is taken as it is, whatever its name. A folder of numbered versions, as
    TF Serving watches, gets the next number.

    Args:
        folder: as named.
        overwrite: whether a SavedModel that this tool has written there may be replaced.

    Raises:
        SettingError: the folder holds something else.
    """
    path = Path(folder)
    try:
        names = os.listdir(path) if os.path.isdir(path) else []
    except OSError as error:
        raise SettingError(
            "--saved_model_dir must lie in a folder that can be made and written to. "
            f"Got {folder}: {error.strerror}."
        ) from error
    if not names or (overwrite and (path / FACTS_ASSET).is_file()):
        return folder
    others = [name for name in names if not re.fullmatch(r"\d{1,18}", name)]
    if others:
        raise SettingError(
            "--saved_model_dir must be a new or an empty folder, or one that holds numbered "
            f"versions of a model and nothing else. Got {folder}, which holds {min(others)}."
        )
    return str(path / str(max(map(int, names)) + 1))


def newest_version(folder: str) -> str:
    """Returns the highest numbered folder in a folder of versions, or the folder itself."""
    numbers = [name for name in os.listdir(folder) if re.fullmatch(r"\d{1,18}", name)]
    if not numbers or os.path.exists(os.path.join(folder, "saved_model.pb")):
        return folder
    return os.path.join(folder, max(numbers, key=int))
