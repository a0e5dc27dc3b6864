"""Pictures of Pillow, against what TensorFlow makes of the files that they were opened from."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from conftest import encoded, seen
from PIL import Image

from image_retraining.foundation.errors import SettingError
from image_retraining.photos.pictures import of_picture

RANDOM = np.random.default_rng(3)
NOISE: Any = RANDOM.integers(0, 256, [7, 9, 3], np.uint8)
PHOTO = Image.fromarray(NOISE)
PALETTE = PHOTO.quantize(16)
ALPHA = Image.fromarray(RANDOM.integers(0, 256, [7, 9, 4], np.uint8))
GREY_AND_ALPHA = Image.merge("LA", [PHOTO.convert("L"), PHOTO.getchannel("G")])


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def deep_png(channels: int, transparency: bytes = b"") -> bytes:
    """Returns a PNG of 16 bits a channel, by sections 11.2.1 and 11.3.1 of W3C's standard."""
    values = RANDOM.integers(0, 65536, [7, 9 * channels]).astype(">u2")
    header = np.array([9, 7], ">u4").tobytes() + bytes([16, [0, 4, 2, 6][channels - 1], 0, 0, 0])
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    if transparency:
        parts.insert(1, chunk(b"tRNS", transparency))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("contents", "mode"),
    [
        pytest.param(deep_png(1), "I;16", id="16 bits, grey"),
        pytest.param(deep_png(1, b"\x12\x34"), "I;16", id="16 bits, grey, one transparent"),
        pytest.param(deep_png(2), "RGBA", id="16 bits, grey and alpha"),
        pytest.param(deep_png(3), "RGB", id="16 bits, RGB"),
        pytest.param(deep_png(4), "RGBA", id="16 bits, RGB and alpha"),
        pytest.param(encoded(PHOTO.convert("1")), "1", id="1 bit"),
        pytest.param(encoded(PHOTO.convert("L")), "L", id="grey"),
        pytest.param(encoded(PHOTO.convert("L"), transparency=77), "L", id="grey, transparent"),
        pytest.param(encoded(GREY_AND_ALPHA), "LA", id="grey and alpha"),
        pytest.param(encoded(PHOTO), "RGB", id="RGB"),
        pytest.param(encoded(ALPHA), "RGBA", id="RGB and alpha"),
        pytest.param(encoded(PALETTE), "P", id="palette"),
        pytest.param(encoded(PALETTE, transparency=3), "P", id="palette, one transparent"),
        pytest.param(
            encoded(PALETTE, transparency=bytes(range(0, 160, 10))), "P", id="palette, alphas"
        ),
        pytest.param(encoded(PALETTE, "GIF"), "P", id="gif"),
        pytest.param(encoded(PALETTE, "GIF", transparency=3), "P", id="gif, transparent"),
        pytest.param(encoded(PALETTE, "BMP"), "P", id="bmp, palette"),
        pytest.param(encoded(ALPHA, "WEBP", lossless=True, exact=True), "RGBA", id="webp, alpha"),
    ],
)
def test_a_picture_is_what_its_file_is(contents: bytes, mode: str) -> None:
    with Image.open(io.BytesIO(contents)) as picture:
        assert picture.mode == mode
        got = of_picture(picture, upright=True)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, seen(contents))


def test_a_cmyk_jpeg_is_what_its_file_is_but_for_the_decoders() -> None:
    rows, columns = np.mgrid[:40, :56]
    inks = np.uint8(np.stack([rows * 4, columns * 4, rows + columns, rows * 4], axis=-1))
    picture = Image.frombytes("CMYK", (56, 40), inks.tobytes())
    contents = encoded(picture, "JPEG", quality=100, subsampling=0)
    with Image.open(io.BytesIO(contents)) as opened:
        assert opened.mode == "CMYK"
        difference = of_picture(opened, upright=True).astype(int) - seen(contents)
    # Pillow's own conversion is off by 1 on the mean.
    assert np.abs(difference).mean() < 0.75
    # What is left on paper of the light: (255 - ink) (255 - black) / 255.
    light: Any = 255 - inks.astype(int)
    np.testing.assert_array_equal(
        of_picture(picture, upright=True), light[..., :3] * light[..., 3:] // 255
    )


DEEP: Any = np.array([[0, 255, 256], [0x1234, 0x80FF, 65535]], np.uint16)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_the_high_byte_of_16_bits_counts(mode: str) -> None:
    order = ">u2" if mode == "I;16B" else "<u2"
    picture = Image.frombytes(mode, (3, 2), DEEP.astype(order).tobytes())
    expected = np.array([[0, 0, 1], [0x12, 0x80, 255]])
    np.testing.assert_array_equal(
        of_picture(picture, upright=True), np.stack([expected] * 3, axis=-1)
    )


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        # 128 / 255 of the colour, the rest white.
        ("LA", [90, 128], [172, 172, 172]),
        # Half of the light is left where the alpha is half.
        ("La", [50, 128], [177, 177, 177]),
        ("RGBa", [100, 50, 25, 128], [227, 177, 152]),
        ("RGBX", [1, 2, 3, 4], [1, 2, 3]),
        # JFIF 1.02: R = Y + 1.402 (Cr - 128), B = Y + 1.772 (Cb - 128).
        ("YCbCr", [100, 128, 178], [170, 64, 100]),
        ("HSV", [0, 255, 200], [200, 0, 0]),
    ],
)
def test_modes_that_no_file_here_has(mode: str, values: list[int], expected: list[int]) -> None:
    picture = Image.frombytes(mode, (1, 1), bytes(values))
    np.testing.assert_allclose(of_picture(picture, upright=True)[0, 0], expected, rtol=0, atol=1)


def test_a_palette_with_alpha_gives_its_colours() -> None:
    np.testing.assert_array_equal(
        of_picture(PALETTE.convert("PA"), upright=True), np.asarray(PALETTE.convert("RGB"))
    )


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_mode_without_a_white_is_refused(mode: str) -> None:
    picture = Image.new(mode, (3, 2), 300)
    with pytest.raises(SettingError, match=rf"must have 8 or 16 bits .*mode {mode}\. Scale"):
        of_picture(picture, upright=True)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_that_is_cut_short_cannot_be_read(file_format: str) -> None:
    contents = encoded(Image.effect_noise((200, 200), 50), file_format)
    with (
        Image.open(io.BytesIO(contents[: len(contents) // 2])) as picture,
        pytest.raises(OSError, match=r"truncated|broken"),
    ):
        of_picture(picture, upright=True)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("manner", ["closed", "left", "file closed"])
def test_a_closed_picture_cannot_be_read(tmp_path: Any, file_format: str, manner: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(encoded(PHOTO, file_format))
    if manner == "file closed":
        with path.open("rb") as file:
            picture: Any = Image.open(file)
    else:
        picture = Image.open(path)
    if manner == "closed":
        picture.close()
    if manner == "left":
        with picture:
            pass
    # A WebP is in memory as soon as it is opened.
    if file_format == "WEBP" and manner != "closed":
        assert of_picture(picture, upright=True).shape == (7, 9, 3)
        return
    with pytest.raises(OSError, match="closed"):
        of_picture(picture, upright=True)


def test_a_picture_that_was_read_may_be_left() -> None:
    with Image.open(io.BytesIO(encoded(PHOTO))) as picture:
        picture.load()
    np.testing.assert_array_equal(of_picture(picture, upright=True), NOISE)
