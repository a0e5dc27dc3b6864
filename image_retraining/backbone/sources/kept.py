"""The folder that modules are kept in, and whether somebody else may have put one there.

A module is a program. In a folder for all, as /tmp, another user can lay one ready under the name
that a download or an archive would get; so what is used belongs to the person, to root, or to the
owner of the folder that the person has named, and not everybody may write into it.
"""

import contextlib
import os
import stat
from collections.abc import Collection, Iterator

from image_retraining.backbone.sources import library
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.own_folders import make_own, modules_folder
from image_retraining.foundation.places import foreign
from image_retraining.foundation.text import shown

_ROOT = 0
_ANOTHERS, _EVERYBODYS = "which belongs to another user", "into which everybody may write"


def folder_for_modules() -> str:
    """Returns the folder that modules are kept in, which is made if it is missing.

    Raises:
        ModuleError: somebody else may have put modules there.
        OSError: it cannot be made.
    """
    folder = library.cache_folder()
    if "://" in folder:
        return folder
    is_default = folder == modules_folder()
    if is_default:
        make_own(folder)
    else:
        with closed_to_others():
            os.makedirs(folder, exist_ok=True)
    if os.name != "nt":
        _check_folder(folder, is_default=is_default)
    return folder


@contextlib.contextmanager
def closed_to_others() -> Iterator[None]:
    """Lets nothing be written meanwhile that everybody may write into, whatever the umask.

    Some containers have none.
    """
    before = os.umask(0o777)
    os.umask(before | 0o002)
    try:
        yield
    finally:
        os.umask(before)


def check_kept(module: str) -> None:
    """Checks a module that is kept there.

    Args:
        module: its folder.

    Raises:
        ModuleError: somebody else may have written it.
    """
    if "://" in module or os.name == "nt" or not os.path.isdir(module):
        return
    home = os.stat(os.path.dirname(module))
    if home.st_uid == os.geteuid() and not home.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return
    owners = {os.geteuid(), home.st_uid, _ROOT}
    for path in _all_below(module):
        _check(path, owners)


def _check_folder(folder: str, *, is_default: bool) -> None:
    for place in foreign(folder):
        _refuse(place, _ANOTHERS)
    state = os.stat(folder)
    if is_default:
        _check(folder, {os.geteuid(), _ROOT})
    # Where everybody may write, but nobody rename what is another's, each module is looked at.
    elif state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
        _refuse(folder, _EVERYBODYS)


def _all_below(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        yield place
        yield from (os.path.join(place, name) for name in names)


def _check(path: str, owners: Collection[int]) -> None:
    try:
        state = os.stat(path)
    except OSError:
        # A link that leads nowhere; who loads the module says what is missing.
        return
    if state.st_uid not in owners:
        _refuse(path, _ANOTHERS)
    if state.st_mode & stat.S_IWOTH:
        _refuse(path, _EVERYBODYS)


def _refuse(path: str, reason: str) -> None:
    raise ModuleError(
        "Modules are programs, so that they must be kept where nobody else may put one. Got "
        f"{shown(path)}, {reason}. Name another folder with --tfhub_cache_dir, or look what is "
        "there and mend its owner and mode."
    )
