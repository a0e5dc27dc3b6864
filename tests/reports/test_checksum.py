"""Tests of the checksum of TFRecord files."""

import struct

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as of_tensorboard

from image_retraining.reports.checksum import masked_crc32c


@pytest.mark.parametrize(
    ("contents", "crc"),
    [
        # RFC 3720, B.4.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        # The check value of CRC-32C in the catalogue of G. Cook.
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_known_checksums(contents: bytes, crc: int) -> None:
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    masked = (rotated + 0xA282EAD8) % 2**32
    assert masked_crc32c(contents) == struct.pack("<I", masked)


@pytest.mark.parametrize("length", [*range(10), 1023, 1024, 1025, 1026, 1027, 1028, 2048, 5000])
def test_it_is_that_of_tensorboard(length: int) -> None:
    contents = np.random.default_rng(length).bytes(length)
    assert masked_crc32c(contents) == struct.pack("<I", of_tensorboard(contents))
