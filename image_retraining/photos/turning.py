"""How a photo is turned upright, by its EXIF orientation (CIPA DC-008, tag 0x0112)."""

from typing import Any

# Orientations of which rows and columns change places; after that, those that are mirrored left to
# right, and those that are mirrored top to bottom.
TRANSPOSED, MIRRORED, UPSIDE_DOWN = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)


def turned(array: Any, orientation: int) -> Any:
    """Returns an array [h, w, …] turned upright.

    Args:
        array: of any library whose arrays have slices and `swapaxes`.
        orientation: as EXIF has it, 1 to 8.
    """
    if orientation in TRANSPOSED:
        array = array.swapaxes(0, 1)
    if orientation in MIRRORED:
        array = array[:, ::-1]
    return array[::-1] if orientation in UPSIDE_DOWN else array
