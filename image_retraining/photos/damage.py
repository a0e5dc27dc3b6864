"""What is missing of a JPEG that can be decoded all the same.

libjpeg decodes whatever it gets: where data are damaged it warns, makes up the rest, and no picture
says so. Which photo it warned of, simplejpeg tells, which is built on libjpeg too.

How much is missing is the larger of two shares:
- rows at the bottom, all in the middle grey of blocks for which there were no data left (libjpeg,
  jdhuff.c: such blocks keep coefficients of nothing, of which the inverse transform makes 128),
- bytes of the compressed data that are one and the same for a disk's sector and longer, which is
  what a copy that broke off or a disk that failed leaves. Of photos that are whole these may be
  flat parts, but they make nobody warn.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

_START, _END, _SCAN = b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda"
_SECTOR = 512
_GREY = 128
_INKS = ("CMYK", "YCCK")
# What simplejpeg raises, in libjpeg's words, about data; other errors are of photos that it does
# not decode and others may.
_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a photo that can be decoded.

    Attributes:
        warning: what the decoder says.
        missing: about which share of it is missing, 0 to 1.
    """

    warning: str
    missing: float

    @property
    def is_mostly_missing(self) -> bool:
        """Whether too little is left to learn from."""
        return self.missing > 0.5

    def __str__(self) -> str:
        """What to say of it, in one line."""
        share = f"about {self.missing:.0%} of it is missing" if self.missing >= 0.01 else "damaged"
        return f"{share} ({self.warning})"


def damage_of(contents: bytes) -> Damage | None:
    """Returns what is wrong with a photo's file; None if nothing that a decoder can tell."""
    if not contents.startswith(_START):
        return None
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(contents)
    except ValueError:
        return None
    # An eighth of the size, in channels that tell, for speed.
    decoded = functools.partial(
        simplejpeg.decode_jpeg,
        contents,
        colorspace="CMYK" if space in _INKS else "GRAY",
        min_height=1,
        min_width=1,
    )
    try:
        decoded(strict=True)
    except ValueError as error:
        warning = str(error)
    else:
        return None
    if not warning.startswith(_WARNINGS):
        return None
    return Damage(warning, max(_grey_rows(decoded(strict=False)), _holes(contents)))


def _grey_rows(picture: npt.NDArray[np.uint8]) -> float:
    """Returns the share of rows at the bottom of uint8 [h, w, channels] that have no data."""
    has_data = (picture != _GREY).any(axis=(1, 2))
    return 1 - float(np.flatnonzero(has_data).max(initial=-1) + 1) / len(has_data)


def _holes(contents: bytes) -> float:
    """Returns the share of the compressed data that are long runs of one byte."""
    start, end = max(0, contents.find(_SCAN)), contents.rfind(_END)
    data = np.frombuffer(contents, np.uint8)[start : end if end > start else None]
    changes = np.flatnonzero(np.diff(data))
    lengths = np.diff(np.concatenate([[-1], changes, [len(data) - 1]]))
    return float(lengths[lengths >= _SECTOR].sum() / len(data))
