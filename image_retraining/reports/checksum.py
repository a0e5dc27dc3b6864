"""The checksum of TFRecord files: a masked CRC-32C, of a whole block of bytes at a time.

TensorBoard's own takes a byte at a time, in Python: a second for the event files of a training. A
CRC is linear over exclusive or, so that each byte contributes to it by its value and by how many
bytes follow: a table says how much, and NumPy looks up a block of them at once.

CRC-32C: G. Castagnoli, S. Bräuer and M. Herrmann, "Optimization of Cyclic Redundancy-Check Codes
with 24 and 32 Parity Bits", 1993; the mask: TensorFlow, core/lib/hash/crc32c.h.
"""

import functools
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8
_ALL_BITS = 0xFFFFFFFF
# The table of so many bytes, 1 MB, stays in the cache of a processor.
_BLOCK = 1024


def masked_crc32c(contents: bytes) -> bytes:
    """Returns the four bytes that a TFRecord file holds for some contents."""
    state = _ALL_BITS
    for start in range(0, len(contents), _BLOCK):
        state = _after(state, contents[start : start + _BLOCK])
    crc = state ^ _ALL_BITS
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & _ALL_BITS)


def _after(state: int, block: bytes) -> int:
    """Returns the state of the checksum after some bytes, at most _BLOCK."""
    count = len(block)
    table, places = _contributions()
    values = np.frombuffer(block, np.uint8) + places[_BLOCK - count :]
    # The state acts as if its bytes were part of the next four; of fewer, the rest stays.
    values[:4] ^= np.frombuffer(struct.pack("<I", state), np.uint8)[:count]
    return int(np.bitwise_xor.reduce(table[values])) ^ state >> 8 * count


@functools.cache
def _contributions() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp]]:
    """Returns what bytes contribute, uint32 [_BLOCK * 256], and where those of each place begin.

    The places are int [_BLOCK], from the first byte of a block to the last.
    """
    states: Any = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = states >> 1 ^ np.where(states & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    rows = [states]
    while len(rows) < _BLOCK:
        # Where one more byte follows, a zero as far as this one is concerned.
        rows.append(states[rows[-1] & 0xFF] ^ rows[-1] >> 8)
    return np.concatenate(rows), 256 * np.arange(_BLOCK - 1, -1, -1)
