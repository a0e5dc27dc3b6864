"""Cache folder → open cache, or one in memory where the folder cannot be written to."""

import errno
import os
from pathlib import Path

import psutil
from absl import logging

from image_retraining.cache.vectors import FILE_NAME, BottleneckCache
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.settings import check_not_planted

# How the names of file systems on a network begin.
_NETWORK_FILE_SYSTEMS = (
    *("9p", "afs", "afpfs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs"),
    *("smb", "sshfs", "webdav"),
)


def open_cache(folder: str) -> BottleneckCache:
    """Returns the cache of a folder, or one in memory, with a warning, if it cannot be written to.

    Raises:
        CacheError: the cache file is of a newer version, or cannot be opened.
        SettingError: there is a file where the folder should be, or another user's folder in one
            for all: the frozen modules in a cache are programs.
    """
    check_not_planted("bottleneck_dir", folder)
    reason = _why_read_only(Path(folder))
    if reason:
        logging.warning(
            "WARNING: --bottleneck_dir cannot be written to (%s: %s). This run goes on without a "
            "cache, and the next one will compute everything again.",
            folder,
            reason,
        )
    else:
        _warn_of_network(Path(folder))
    return BottleneckCache(None if reason else folder)


def _why_read_only(folder: Path) -> str:
    """Returns why a folder, which is made if it is missing, cannot keep a cache, '' if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingError(
            f"--bottleneck_dir must be a folder. Got {folder}: {error.strerror}."
        ) from error
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SettingError(
                f"--bottleneck_dir must lie in a folder that can be made. Got {folder}: "
                f"{error.strerror}."
            ) from error
        return error.strerror or str(error)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "the folder is read-only"
    file = folder / FILE_NAME
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"{FILE_NAME} is read-only"
    return ""


def _warn_of_network(folder: Path) -> None:
    """Warns of a folder on a network, by the file system that it is mounted with."""
    try:
        place, disks = folder.resolve(), psutil.disk_partitions(all=True)
    # Where the system does not tell, as in some sandboxes, nothing is known to warn of.
    except (psutil.Error, OSError, NotImplementedError, RuntimeError):
        return
    mounts = {Path(disk.mountpoint): disk.fstype for disk in disks}
    home = next((mounts[parent] for parent in (place, *place.parents) if parent in mounts), "")
    if home.removeprefix("fuse.").startswith(_NETWORK_FILE_SYSTEMS):
        logging.warning(
            "WARNING: %s is on a network (%s), where SQLite's locks are not reliable. Name a "
            "folder on a local disk with --bottleneck_dir, at least when several runs share it.",
            folder,
            home,
        )
