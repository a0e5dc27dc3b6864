"""What settings are made of: fields that become flags, and rules that values must keep."""

import os
import re
import stat
import tempfile
from dataclasses import Field, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.places import (
    Kind,
    followed,
    foreign,
    holds_photo,
    is_trusted,
    kind_of,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Part = TypeVar("_Part", bound="DataclassInstance")


def setting(
    default: Any,
    meaning: str,
    *,
    group: str,
    choices: tuple[str, ...] | None = None,
    repeatable: bool = False,
) -> Any:
    """Returns a dataclass field that the scripts turn into a flag."""
    metadata = {"meaning": meaning, "group": group, "choices": choices, "repeatable": repeatable}
    return field(default=default, metadata=metadata)


def settings_of(config: Any) -> list[Field[Any]]:
    """Returns the fields of a dataclass, or of one of its instances, that are settings."""
    return [one for one in fields(config) if one.metadata]


def part_of(config: object, kind: type[_Part]) -> _Part:
    """Returns those of all settings that a stage needs.

    Args:
        config: all settings.
        kind: a dataclass whose fields have names of settings.
    """
    values = {part.name: getattr(config, part.name) for part in fields(kind)}
    return kind(**values)


def require(holds: bool, rule: str, got: object) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises SettingError with the rule and what came, unless the rule holds."""
    if not holds:
        raise SettingError(f"{rule}. Got {got}.")


def check_kinds(config: Any) -> None:
    """Checks that each setting is what its default is, and one of its choices where it has some.

    Args:
        config: a dataclass of settings.

    Raises:
        SettingError: one is not.
    """
    for one in settings_of(config):
        value, choices = getattr(config, one.name), one.metadata["choices"]
        kinds, noun = _KINDS[type(one.default)]
        # A bool is an int to Python, but nobody means 1 by True.
        fits = isinstance(value, kinds) and isinstance(value, bool) == (kinds is bool)
        fits = fits and (noun != "a number" or _is_float(value))
        require(fits, f"--{one.name} must be {noun}", repr(value))
        if choices:
            rule = f"--{one.name} must be one of {', '.join(choices)}"
            require(value in choices, rule, value or "an empty name")


# Kind of a default → the kinds that such a setting may be of, and what these are called.
_KINDS: dict[type, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    tuple: (tuple, "a tuple of names"),
}


def _is_float(number: float) -> bool:
    """Whether a number is none of those whole ones that are too large for a float."""
    try:
        float(number)
    except OverflowError:
        return False
    return True


def check_at_least(config: object, least: int, *names: str) -> None:
    """Raises SettingError unless the settings of these names are at least so much."""
    for name in names:
        value = getattr(config, name)
        require(value >= least, f"--{name} must be at least {least}", value)


def check_file_name(name: str, path: str) -> None:
    """Raises SettingError unless what a setting names may be a file, by its name."""
    require(bool(path), f"--{name} must name a file", "an empty name")
    is_folder = os.path.basename(path) in ("", os.curdir, os.pardir)
    require(not is_folder, f"--{name} must name a file", f"{path}, which is the name of a folder")


def check_writable_file(name: str, path: str, *, takes_streams: bool = True) -> None:
    """Checks that the file that a setting names can be written, or replaced if that does no harm.

    Args:
        name: of the setting.
        path: of the file; a device or a pipe is written into.
        takes_streams: whether that makes sense.

    Raises:
        SettingError: it cannot be, or it is a photo.
    """
    check_file_name(name, path)
    require(not os.path.isdir(path), f"--{name} must name a file", f"{path}, which is a folder")
    require(not holds_photo(path), f"--{name} must not be a photo", f"{path}, which is one")
    kind = kind_of(path)
    if kind is Kind.STREAM and takes_streams:
        _check_stream(name, path)
        return
    require(
        kind in (Kind.FILE, Kind.NOTHING),
        f"--{name} must be a regular file" + (", a device or a pipe" if takes_streams else ""),
        f"{path}, which is none",
    )
    try:
        place = followed(path)
    except OSError as error:
        raise SettingError(
            f"--{name} must lie in a folder that can be made and written to. "
            f"Got {path}: {error.strerror}."
        ) from error
    folder = os.path.dirname(os.path.abspath(place))
    check_writable_folder(name, folder)
    # In a folder like /tmp nobody may replace a file of somebody else.
    if os.path.lexists(place) and os.stat(folder).st_mode & stat.S_ISVTX:
        owners = {os.lstat(place).st_uid, os.stat(folder).st_uid}
        require(
            os.geteuid() in {0, *owners},
            f"--{name} must be a file that you may replace",
            f"{path}, which belongs to another user",
        )


def _check_stream(name: str, path: str) -> None:
    require(
        is_trusted(path) and os.access(path, os.W_OK),
        f"--{name} must be something that you may write into",
        f"{path}, which is closed to you or belongs to another user",
    )


def check_writable_folder(name: str, path: str, *, is_own: bool = False) -> None:
    """Makes the folder when it is missing, for what cannot be made cannot be written to either.

    Args:
        name: of the setting.
        path: of the folder.
        is_own: whether it must be the person's own, where it lies in a folder for all; else it may
            be one that another has made there for some, but not for everybody.

    Raises:
        SettingError: it cannot be made, or another user may have laid links ready in it.
    """
    require(bool(path), f"--{name} must name a folder", "an empty name")
    check_not_planted(name, path, is_own=is_own)
    try:
        # A link may lead to a folder that is still to be made.
        Path(followed(path)).mkdir(parents=True, exist_ok=True)
        if os.access(path, os.W_OK | os.X_OK):
            # To whom everything is allowed it is said of /proc as well.
            tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise SettingError(
            f"--{name} must lie in a folder that can be made and written to. "
            f"Got {path}: {error.strerror}."
        ) from error
    require(
        os.access(path, os.R_OK | os.W_OK | os.X_OK),
        f"--{name} must lie in a folder that you may read and write to",
        path,
    )


def check_not_planted(name: str, path: str, *, is_own: bool = False) -> None:
    """Checks that nobody has laid a folder ready where a setting names one; as above."""
    for place in foreign(path):
        require(
            not (is_own or os.stat(place).st_mode & stat.S_IWOTH),
            f"--{name} must not lie in what another user has put into a folder for all, for there "
            "may be links in it that lead to your files",
            path if place == path else f"{path}, where that is {place}",
        )


def image_size(text: str) -> tuple[int, int] | None:
    """Returns (height, width) from '224' or '224x192', None from ''.

    Raises:
        SettingError: the text is something else.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    require(min(size) > 0, "--image_size must be pixels, as 224 or 224x192 (height x width)", text)
    return size
