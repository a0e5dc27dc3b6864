"""What a long search found, kept beside the vectors: one small file a search, by what was searched.

Losing a file loses nothing but time, so whatever is wrong with one, the search is made again. The
format is written down in docs/cache.md.
"""

import contextlib
import zlib
from pathlib import Path

from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.files import replacing

_ENDING = ".found"
# Of sets that are no longer searched, files would gather.
_MOST_FILES = 16


class FoundFiles:
    """The files of one folder."""

    def __init__(self, folder: Path | None) -> None:
        """Names the folder, which is there; None keeps nothing."""
        self._folder = folder

    def get(self, key: bytes) -> bytes | None:
        """Returns what was kept under a key of 32 bytes; None if nothing was, or it is damaged."""
        if self._folder is None:
            return None
        try:
            content = _path(self._folder, key).read_bytes()
            found = zlib.decompress(content[36:])
        except (OSError, zlib.error):
            return None
        is_sound = content[:36] == key + zlib.crc32(found, zlib.crc32(key)).to_bytes(4, "little")
        return found if is_sound else None

    def put(self, key: bytes, content: bytes) -> None:
        """Keeps it; of many files the oldest goes. A full disk or the like is no matter."""
        if self._folder is None:
            return
        crc = zlib.crc32(content, zlib.crc32(key)).to_bytes(4, "little")
        with contextlib.suppress(OSError, OutputError):
            with replacing(_path(self._folder, key)) as temporary:
                temporary.write_bytes(key + crc + zlib.compress(content))
            files = sorted(self._folder.glob(f"*{_ENDING}"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST_FILES]:
                file.unlink(missing_ok=True)


def _path(folder: Path, key: bytes) -> Path:
    return folder / f"{key.hex()[:16]}{_ENDING}"
