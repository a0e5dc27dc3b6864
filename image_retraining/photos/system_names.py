"""Names of files and folders that systems and programs keep among people's photos for themselves.

Hidden ones stand here too, so that what is left out can be told from a class that is hidden by
accident. Names that a class may well have, as `recycled`, do not.
"""

import re

_FOLDERS = frozenset(
    {
        # Disk stations of Synology and QNAP, and snapshots of file servers.
        *("@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "@sharesnap"),
        *(".@__thumb", "@tmp", "~snapshot", ".snapshot", ".snapshots", ".zfs"),
        # Linux, Windows, macOS, Android.
        *("lost+found", ".trash", "$recycle.bin", "system volume information", "lost.dir"),
        *(".thumbnails", ".thumbs", ".thumb", ".cache", ".directory"),
        *("__macosx", ".trashes", ".spotlight-v100", ".fseventsd", ".temporaryitems"),
        *(".documentrevisions-v100", ".appledouble", ".appledb", ".appledesktop", ".mobilebackups"),
        *("network trash folder", "temporary items"),
        # Programs that look after photos, files and code.
        *(".picasaoriginals", ".comments", ".dropbox.cache", ".stfolder", ".stversions", ".sync"),
        *(".tmp.drivedownload", ".tmp.driveupload"),
        *(".git", ".svn", ".hg", ".dvc", ".ipynb_checkpoints", "__pycache__", ".idea", ".vscode"),
        *(".venv", ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    }
)
# With a number in the name: the bin of a user on Linux, what Windows' repair found.
_NUMBERED_FOLDERS = re.compile(r"\.trash-\d+|found\.\d{3}")
_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "@synoeastream"}
)


def is_system_folder(name: str) -> bool:
    """Returns whether a folder of this name, in any letter case, holds no photos of its owner."""
    name = name.lower()
    return name in _FOLDERS or _NUMBERED_FOLDERS.fullmatch(name) is not None


def is_system_file(name: str) -> bool:
    """Returns whether a file of this name, in any letter case, is none of its owner."""
    return name.lower() in _FILES


def is_hidden(name: str) -> bool:
    """Returns whether a name begins with a dot, which hides a file or folder."""
    return name.startswith(".")


def is_passed_over(folder: str) -> bool:
    """Returns whether a folder of this name is not entered."""
    return is_hidden(folder) or is_system_folder(folder)
