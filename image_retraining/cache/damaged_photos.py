"""Which photo files are damaged though they can be decoded, so that cached vectors tell it too."""

import zlib

from image_retraining.cache.database import CacheFile

# A photo's warning, and the share of it that is missing, 0 to 1.
Known = dict[bytes, tuple[str, float]]


class DamagedPhotos:
    """The damaged photos that a cache file knows; they are few."""

    def __init__(self, file: CacheFile) -> None:
        """Takes the file that keeps them."""
        self._file = file

    def all(self) -> Known:
        """Returns SHA-256 of a photo's file → what is wrong with it."""
        rows = self._file.read(
            lambda database: database.execute(
                "SELECT photo, warning, missing, crc FROM damages"
            ).fetchall()
        )
        # In a damaged cache file a value may even be of another type.
        return {
            photo: (warning, missing)
            for photo, warning, missing, crc in rows
            if isinstance(photo, bytes)
            and isinstance(warning, str)
            and isinstance(missing, float)
            and crc == _crc(photo, warning, missing)
        }

    def remember(self, photo: bytes, warning: str, missing: float) -> None:
        """Keeps what is wrong with a photo.

        Args:
            photo: SHA-256 of its file.
            warning: what the decoder says of it.
            missing: about which share of it is missing, 0 to 1.
        """
        row = [photo, warning, missing, _crc(photo, warning, missing)]
        self._file.write(
            lambda database: database.execute(
                "REPLACE INTO damages (photo, warning, missing, crc) VALUES (?, ?, ?, ?)", row
            )
        )


def _crc(photo: bytes, warning: str, missing: float) -> int:
    return zlib.crc32(f"{warning}\n{missing!r}".encode(), zlib.crc32(photo))
