"""Settings that a Python program gives: known by their names, and as plain as flags are."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from image_retraining.foundation.command_line import as_text
from image_retraining.foundation.errors import SettingError


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
    return value.item() if isinstance(value, np.generic) else as_text(value)
