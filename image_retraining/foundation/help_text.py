"""Settings → what --help says: those that most people need first, then all others by group."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from image_retraining.foundation.settings import settings_of

_TYPE_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def help_text(config_class: type[Any], about: str) -> str:
    """Returns the help.

    Args:
        config_class: a dataclass of settings, which are the flags.
        about: what the script does.
    """
    groups: dict[str, list[dataclasses.Field[Any]]] = {}
    common = getattr(config_class, "COMMON", ())
    for field in sorted(settings_of(config_class), key=lambda field: _place(field.name, common)):
        is_common = field.name in common
        heading = "What most people need" if is_common else field.metadata["group"]
        groups.setdefault(heading, []).append(field)
    lines = [about.strip()]
    for heading, members in groups.items():
        lines += ["", f"{heading}:"]
        for field in members:
            lines += [f"  --{field.name}", *_described(field)]
    return "\n".join(lines) + "\n"


def _place(name: str, common: Sequence[str]) -> int:
    """Returns where a setting stands: those that most people need first, in their order."""
    return common.index(name) if name in common else len(common)


def _described(field: dataclasses.Field[Any]) -> list[str]:
    choices = field.metadata["choices"]
    kind = " | ".join(choices) if choices else _TYPE_NAMES.get(type(field.default), "text")
    default = "none" if field.default in ("", ()) else str(field.default)
    text = f"{field.metadata['meaning']} ({kind}; default: {default})"
    return textwrap.wrap(
        text,
        92,
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )
