"""How much may be decoded at the same time, so that the memory of this process suffices.

A few huge photos cost time then, not the run: they are decoded one at a time, and what not even
alone finds memory is left out.
"""

from dataclasses import dataclass
from typing import Self

from image_retraining.foundation import memory, processors
from image_retraining.photos.header import pixel_count

# Measured for JPEG, PNG, GIF, BMP and WebP, turned or not: the colours in bytes, once more as they
# are turned, then as float32; 16 to 22.
BYTES_PER_PIXEL = 22
# Of the memory that is left; half is for the photos that are decoded side by side, half for the
# one that is decoded alone.
_SHARE = 0.9
# What phones make; so many photos of it should find room before fewer threads decode.
_PHONE_PIXELS = 12_000_000
# Of smaller photos nobody need ask how much memory there is.
SMALL_PIXELS = 4_000_000


@dataclass(frozen=True, slots=True)
class DecodingRoom:
    """What may be decoded at the same time.

    Attributes:
        streams: how many photos.
        most_pixels: how many pixels each of them may have; larger ones are decoded alone.
        most_alone: how many pixels these may have.
    """

    streams: int
    most_pixels: int
    most_alone: int

    @classmethod
    def now(cls) -> Self:
        """Returns what there is room for at present."""
        pixels = _pixels_in_half()
        streams = min(processors.count(), max(1, pixels // _PHONE_PIXELS))
        return cls(streams, pixels // streams, pixels)


def check_room_for(contents: bytes) -> None:
    """Raises OSError if there is no memory to decode a photo's file, even alone."""
    check_room(pixel_count(contents))


def check_room(count: int) -> None:
    """Raises OSError if there is no memory to decode a photo of so many pixels, even alone."""
    if count <= SMALL_PIXELS:
        return
    most = _pixels_in_half()
    if count > most:
        raise OSError(
            f"the photo has {count / 1e6:.0f} megapixels, and this process has memory for "
            f"{most / 1e6:.0f}"
        )


def _pixels_in_half() -> int:
    return int(memory.available() * _SHARE / 2 / BYTES_PER_PIXEL)
