"""Pictures that this tool writes, so marked that they are never taken for photos (PNG, 11.3.3)."""

import os

from image_retraining.photos.opening import opened

# What a picture of evidence says of itself, in a chunk of text.
KEY, VALUE = "Software", "image-retraining, evidence"
_MARK = f"tEXt{KEY}\0{VALUE}".encode("latin-1")
# The chunk comes after the header, which ends at byte 33.
_WITHIN = 200


def is_own(path: str) -> bool:
    """Whether a file is a picture that this tool has written."""
    if os.path.splitext(path)[1].lower() != ".png":
        return False
    try:
        with opened(path) as file:
            return _MARK in file.read(_WITHIN)
    # Whoever reads it says so.
    except OSError:
        return False
