"""Archive of a module → its folder among the modules that are kept, unpacked once and whole.

Beside its files the folder has a hidden one, its manifest: the fingerprint of what was unpacked. If
the files are others now, as after a cleaner of old files, the archive is unpacked again.
"""

import contextlib
import hashlib
import tarfile
import tempfile
import zlib
from pathlib import Path

import tensorflow as tf
from absl import logging

from image_retraining.backbone.handles import MODULE_RULE
from image_retraining.backbone.sources.folder import fingerprint
from image_retraining.backbone.sources.kept import check_kept, closed_to_others, folder_for_modules
from image_retraining.foundation.errors import ModuleError, first_line
from image_retraining.foundation.text import shown

_MANIFEST = ".unpacked"
_UNREADABLE = (OSError, UnicodeError, tf.errors.OpError)


def unpacked(archive: str) -> str:
    """Returns the folder of a .tar.gz module, unpacked if it is not there as it was unpacked.

    Raises:
        ModuleError: it cannot be unpacked, or somebody else may have written what is there.
    """
    try:
        kept = Path(folder_for_modules())
        with open(archive, "rb") as file:
            folder = kept / hashlib.file_digest(file, "sha256").hexdigest()
        check_kept(str(folder))
        if not _is_whole(folder):
            with closed_to_others():
                _unpack(archive, folder)
    except (tarfile.TarError, EOFError, zlib.error, *_UNREADABLE) as error:
        raise ModuleError(
            f"{MODULE_RULE} Got {shown(archive)}, which cannot be unpacked: "
            f"{shown(first_line(error))}"
        ) from error
    return str(folder)


def _is_whole(folder: Path) -> bool:
    """Whether a folder has the files that were unpacked into it."""
    try:
        return (folder / _MANIFEST).read_text(errors="replace") == fingerprint(str(folder))
    except _UNREADABLE:
        return False


def _unpack(archive: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary, "module")
        with tarfile.open(archive) as tar:
            tar.extractall(new, filter="data")
        new = _without_wrapper(new)
        manifest = new / _MANIFEST
        manifest.unlink(missing_ok=True)
        manifest.write_text(fingerprint(str(new)))
        # Another process may have been faster.
        if folder.is_dir() and not _is_whole(folder):
            logging.warning(
                "WARNING: %s, unpacked from %s, is damaged; it is unpacked again.",
                *(shown(str(folder)), shown(archive)),
            )
            with contextlib.suppress(FileNotFoundError):
                folder.rename(Path(temporary, "damaged"))
        _move(new, folder)


def _without_wrapper(unpacked: Path) -> Path:
    """Returns the folder that is all there is in a folder, as in archives packed from outside."""
    entries = [entry for entry in unpacked.iterdir() if not entry.name.startswith(".")]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else unpacked


def _move(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        # Another process may have been faster; its folder has the same content.
        if not _is_whole(folder):
            raise
