"""What the bytes of a photo's file tell at a glance, so that few photos need be looked at closer.

PNG: W3C, sections 11.2 and 11.3; WebP: RFC 9649; GIF89a: CompuServe, section 23; BMP: Microsoft's
BITMAPINFOHEADER.
"""

import re

# How files begin that Pillow decodes: BMP, TIFF, JPEG 2000, AVIF, HEIC. What begins with the length
# of a box tells its brand after `ftyp`.
_STARTS = re.compile(
    rb"BM|II\*\0|MM\0\*|\0\0\0\x0cjP  |\xff\x4f\xff\x51|"
    rb".{4}ftyp(?:avif|avis|hei[cxsm]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
# Bytes of the header, and bits a pixel, that TensorFlow reads rightly.
_INFO_HEADER, _BITS_OF_BMP = 40, (8, 24, 32)
# A JPEG has its EXIF data among its first segments, each of at most 64 KB.
_EXIF_WITHIN = 2**18
_PNG, _GIF_CONTROL = b"\x89PNG\r\n\x1a\n", b"\x21\xf9\x04"
_PNG_WITH_ALPHA = (4, 6)
_WEBP_ALPHA, _WEBP_EXIF = 0x10, 0x08


def needs_pillow(contents: bytes) -> bool:
    """Whether Pillow has to decode it: TensorFlow does not, or wrongly."""
    if not _STARTS.match(contents):
        return False
    if not contents.startswith(b"BM"):
        return True
    size, bits, packing = (
        _little(contents, start, length) for start, length in ((14, 4), (28, 2), (30, 4))
    )
    return not (size >= _INFO_HEADER and bits in _BITS_OF_BMP and packing == 0)


def may_have_exif(contents: bytes) -> bool:
    """Whether there may be EXIF data in it; where not, there is none."""
    if contents.startswith(b"\xff\xd8"):
        return contents.find(b"Exif\0", 0, _EXIF_WITHIN) >= 0
    if contents.startswith(_PNG):
        return b"eXIf" in contents
    return bool(_webp_flags(contents) & _WEBP_EXIF)


def may_be_transparent(contents: bytes) -> bool:
    """Whether something may shine through it; where not, nothing does."""
    if contents.startswith(_PNG):
        return _little(contents, 25, 1) in _PNG_WITH_ALPHA or b"tRNS" in contents
    if contents.startswith(b"GIF8"):
        place = contents.find(_GIF_CONTROL)
        return place >= 0 and bool(_little(contents, place + 3, 1) & 1)
    if contents[12:16] == b"VP8L" and contents.startswith(b"RIFF"):
        return bool(_little(contents, 21, 4) >> 28 & 1)
    return bool(_webp_flags(contents) & _WEBP_ALPHA)


def _webp_flags(contents: bytes) -> int:
    is_extended = contents.startswith(b"RIFF") and contents[8:16] == b"WEBPVP8X"
    return contents[20] if is_extended and len(contents) > 20 else 0


def _little(contents: bytes, start: int, size: int) -> int:
    return int.from_bytes(contents[start : start + size], "little")


def is_heic(contents: bytes) -> bool:
    """Whether it is a HEIC or another HEIF, but no AVIF."""
    return contents[4:8] == b"ftyp" and not contents[8:12].startswith(b"avi")
