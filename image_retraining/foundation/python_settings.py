"""Settings that a Python program gives: known by their names, and as plain as flags are."""

import difflib
import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from image_retraining.foundation.command_line import as_text
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.settings import require


def given(values: Mapping[str, Any], known: Collection[str], *, script: str) -> dict[str, Any]:
    """Returns settings as a command line would give them.

    Args:
        values: name → value.
        known: the names that there are.
        script: whose flags these are.

    Raises:
        SettingError: there is no such setting.
    """
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else f"{script} -h lists them."
            raise SettingError(f"A setting must be one of {script}'s. Got {name}. {hint}")
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:
    """Returns a value as a flag has it: paths as text, numbers of NumPy as those of Python."""
    try:
        return as_text(value.item() if isinstance(value, np.generic) else value)
    except TypeError:
        # Its __fspath__ gives something else than a name.
        return value


def check_name(name: str, value: str) -> None:
    """Raises SettingError if a text can be no name of a file."""
    require("\0" not in value, f"{name} must hold no NUL character", repr(value))
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        raise SettingError(
            f"{name} must be text that a file's name can be. Got {value!a}."
        ) from error
