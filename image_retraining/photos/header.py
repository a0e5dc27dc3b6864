"""How many pixels a photo file will be decoded to, told by its header before memory is spent.

Formats: JPEG (ITU T.81, annex B), PNG (W3C, section 11.2.1), GIF89a (CompuServe, sections 18 and
20), BMP (BITMAPINFOHEADER) and WebP (RFC 9649). Whatever TensorFlow decodes needs its size told
here. Pillow does not tell it of all: it refuses much that TensorFlow decodes, a PNG with a damaged
comment among them, and tells no sizes of a GIF's pictures.
"""

import re
from collections.abc import Iterator

# Photos of more pixels would take the machine's memory.
_MOST_PIXELS = 200_000_000
# How a segment begins: 0xFF, and its kind. Kinds that stand alone are passed over.
_JPEG_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xda-\xfe])")
# Bytes of BITMAPCOREHEADER, whose sides have 16 bits.
_OS2_HEADER = 12
# Frames whose codes are no Huffman codes: many blocks may share a bit.
_ARITHMETIC = (0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def check_pixel_count(count: int) -> None:
    """Raises OSError if a photo of so many pixels would take the machine's memory."""
    if count > _MOST_PIXELS:
        raise OSError(
            f"the photo has {count / 1e6:.0f} megapixels, more than {_MOST_PIXELS / 1e6:.0f}"
        )


def check_enough_bytes(contents: bytes, count: int) -> None:
    """Raises OSError if a file is too short to hold as many pixels as its header says.

    A block of 64 pixels takes a bit at least, for no Huffman code is shorter (T.81, F.1.2); deflate
    makes at most 1032 bytes of one (zlib's technical details), each of at most eight pixels.

    Args:
        contents: a photo file.
        count: what `pixel_count` says of it.
    """
    least = 0
    if contents.startswith(b"\xff\xd8\xff") and _jpeg_frame(contents)[0] not in _ARITHMETIC:
        least = count // (64 * 8)
    elif contents.startswith(b"\x89PNG"):
        least = count // (8 * 1032)
    if len(contents) < least:
        raise OSError(
            f"its header says {count / 1e6:.0f} megapixels, for which {len(contents)} bytes are "
            "too few"
        )


def pixel_count(contents: bytes) -> int:
    """Returns how many pixels decoding takes, of all pictures that are decoded; 0 if unknown.

    Args:
        contents: a photo file, which may be cut short or damaged anywhere.
    """
    if contents.startswith(b"\xff\xd8\xff"):
        return _jpeg_pixels(contents)
    if contents.startswith(b"\x89PNG"):
        return _png_pixels(contents)
    if contents.startswith(b"BM"):
        return _bmp_pixels(contents)
    if contents.startswith(b"GIF8"):
        return _gif_pixels(contents)
    if contents.startswith(b"RIFF") and contents[8:12] == b"WEBP":
        return _webp_pixels(contents)
    return 0


def _bmp_pixels(contents: bytes) -> int:
    if _little(contents, 14, 4) == _OS2_HEADER:
        return _little(contents, 18, 2) * _little(contents, 20, 2)
    return abs(_signed(contents, 18) * _signed(contents, 22))


def _jpeg_pixels(contents: bytes) -> int:
    return _jpeg_frame(contents)[1]


def _jpeg_frame(contents: bytes) -> tuple[int, int]:
    """Returns the kind of a JPEG's frame, and its pixels; 0 and 0 without one."""
    place = 2
    while segment := _JPEG_SEGMENT.search(contents, place):
        place = segment.end()
        if segment[1][0] in _JPEG_FRAMES:
            count = _big(contents, place + 3, 2) * _big(contents, place + 5, 2)
            return segment[1][0], count
        place += max(2, _big(contents, place, 2))
    return 0, 0


def _png_pixels(contents: bytes) -> int:
    place = 8
    # Chunks of unknown kinds may come before, against the rules.
    while place < len(contents) and contents[place + 4 : place + 8] != b"IHDR":
        place += 12 + _big(contents, place, 4)
    return _big(contents, place + 8, 4) * _big(contents, place + 12, 4)


def _webp_pixels(contents: bytes) -> int:
    kind = contents[12:16]
    if kind == b"VP8X":
        # All pictures of an animation are decoded, each as large as the canvas.
        pictures = max(1, contents.count(b"ANMF"))
        return (_little(contents, 24, 3) + 1) * (_little(contents, 27, 3) + 1) * pictures
    if kind == b"VP8L":
        bits = _little(contents, 21, 4)
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    return (_little(contents, 26, 2) & 0x3FFF) * (_little(contents, 28, 2) & 0x3FFF)


def _gif_pixels(contents: bytes) -> int:
    screen = _little(contents, 6, 2) * _little(contents, 8, 2)
    pictures = [*_gif_pictures(contents)]
    if not pictures:
        return screen
    # The canvas is as wide as the widest and as high as the highest. All pictures are unpacked, to
    # a byte a pixel, where a pixel of the canvas takes twelve in the end.
    canvas = max(width for width, _ in pictures) * max(height for _, height in pictures)
    return max(screen, canvas, sum(width * height for width, height in pictures) // 12)


def _gif_pictures(contents: bytes) -> Iterator[tuple[int, int]]:
    """Yields width and height of each picture of a GIF."""
    place = 13 + _gif_table_size(contents, 10)
    while place < len(contents):
        block = contents[place]
        if block == ord(","):
            yield _little(contents, place + 5, 2), _little(contents, place + 7, 2)
            # The descriptor, its table of colours, and the code size of the data.
            place += 10 + _gif_table_size(contents, place + 9) + 1
        elif block == ord("!"):
            place += 2
        else:
            return
        while place < len(contents) and contents[place]:
            place += 1 + contents[place]
        place += 1


def _gif_table_size(contents: bytes, place: int) -> int:
    """Returns the bytes of the table of colours that a byte of flags tells of."""
    flags = _little(contents, place, 1)
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _little(contents: bytes, start: int, size: int) -> int:
    return int.from_bytes(contents[start : start + size], "little")


def _big(contents: bytes, start: int, size: int) -> int:
    return int.from_bytes(contents[start : start + size], "big")


def _signed(contents: bytes, start: int) -> int:
    return int.from_bytes(contents[start : start + 4], "little", signed=True)
