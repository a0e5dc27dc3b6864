"""Fonts with a few letters, each a square, so that tests need none of the system's."""

import struct
from pathlib import Path

# Units an em; a square of half of it stands for each letter, a slab for one that is missing.
_EM = 1000
_SQUARE, _SLAB = (100, 0, 600, 500), (50, 0, 200, 900)


def write_font(path: Path, letters: str) -> Path:
    """Writes a TrueType font (ISO 14496-22) that has these letters and no others."""
    codes = sorted(map(ord, letters))
    outlines = [_outline(*_SLAB), *(_outline(*_SQUARE) for _ in codes)]
    offsets = [sum(map(len, outlines[:place])) for place in range(len(outlines) + 1)]
    groups = b"".join(struct.pack(">3I", code, code, glyph) for glyph, code in enumerate(codes, 1))
    cmap = struct.pack(">4HI", 0, 1, 3, 10, 12)
    cmap += struct.pack(">2H3I", 12, 0, 16 + len(groups), 0, len(codes)) + groups
    count = len(outlines)
    tables = {
        b"cmap": cmap,
        b"glyf": b"".join(outlines),
        b"head": struct.pack(
            ">4I2H2q4h2H3h",
            *(0x10000, 0, 0, 0x5F0F3CF5, 0, _EM, 0, 0),
            *(0, 0, _EM, _EM, 0, 8, 2, 1, 0),
        ),
        b"hhea": struct.pack(">I3hH11hH", 0x10000, 900, -100, 0, 700, *[0] * 11, count),
        b"hmtx": struct.pack(">Hh", 700, 100) * count,
        b"loca": struct.pack(f">{count + 1}I", *offsets),
        b"maxp": struct.pack(">I14H", 0x10000, count, 4, 1, 0, 0, 1, *[0] * 8),
    }
    start, directory, content = 12 + 16 * len(tables), b"", b""
    for tag, table in tables.items():
        directory += struct.pack(">4s3I", tag, 0, start + len(content), len(table))
        content += table + bytes(-len(table) % 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(">I4H", 0x10000, len(tables), 0, 0, 0) + directory + content)
    return path


def _outline(left: int, bottom: int, right: int, top: int) -> bytes:
    """Returns a glyph of one rectangle."""
    head = struct.pack(">5h2H", 1, left, bottom, right, top, 3, 0)
    across = struct.pack(">4h", left, 0, right - left, 0)
    up = struct.pack(">4h", bottom, top - bottom, 0, bottom - top)
    return head + b"\x01" * 4 + across + up
