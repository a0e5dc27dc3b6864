"""What is done to photos before their pixels are taken, against Pillow and by hand."""

import contextlib
import hashlib
import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from conftest import encoded, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from image_retraining.photos import pixels, reading
from image_retraining.photos.distortions import PLAIN
from image_retraining.photos.preparation import NOTHING, Preparation, prepared
from image_retraining.photos.turning import turned

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(5)
NOISE: Any = RANDOM.integers(0, 256, [10, 14, 3], np.uint8)
PHOTO = Image.fromarray(NOISE)
# A quarter is see-through, the rest opaque; under the quarter are colours of their own.
ALPHA: Any = np.full([10, 14], 255, np.uint8)
ALPHA[:5, :7] = 0
HALF: Any = np.full([10, 14], 255, np.uint8)
HALF[2:6, 3:9] = 128


def with_exif(photo: Image.Image, orientation: int, file_format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(photo, file_format, exif=exif, **options)


def decoded(contents: bytes) -> Any:
    """Returns what TensorFlow makes of a file as it is."""
    return pixels.in_full(contents)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {"quality": 90}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"quality": 90}),
]


@pytest.mark.parametrize(("file_format", "options"), KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_pillow_turns_them(
    file_format: str, options: dict[str, Any], orientation: int
) -> None:
    contents = with_exif(PHOTO, orientation, file_format, **options)
    lying = Image.fromarray(decoded(contents))
    exif = lying.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    upright = np.asarray(ImageOps.exif_transpose(lying))
    np.testing.assert_array_equal(seen(contents), upright)
    np.testing.assert_array_equal(turned(np.asarray(lying), orientation), upright)
    np.testing.assert_array_equal(seen(contents, upright=False), decoded(contents))
    # In tf.data's graph as well.
    rows = np.array([PLAIN], np.float32)
    varied = pixels.variations(contents, (6, 5), rows, orientation)[0]
    np.testing.assert_array_equal(varied, pixels.pixels(encoded(upright), (6, 5)))


@pytest.mark.parametrize(("file_format", "options"), KINDS)
@pytest.mark.parametrize("orientation", [0, 1, 9, 65535])
def test_nothing_sensible_is_upright(
    file_format: str, options: dict[str, Any], orientation: int
) -> None:
    contents = with_exif(PHOTO, orientation, file_format, **options)
    assert Preparation.of(contents) == NOTHING


def test_exif_of_a_png_may_come_last() -> None:
    contents = with_exif(PHOTO, 6, "PNG")
    start = contents.index(b"eXIf") - 4
    size = int.from_bytes(contents[start : start + 4], "big") + 12
    chunk, end = contents[start : start + size], contents.index(b"IEND") - 4
    moved = contents[:start] + contents[start + size : end] + chunk + contents[end:]
    assert Preparation.of(moved).orientation == 6


OPAQUE = Image.fromarray(np.dstack([NOISE, np.full([10, 14], 255, np.uint8)]))
CUT_OUT = Image.fromarray(np.dstack([NOISE, ALPHA]))
VEILED = Image.fromarray(np.dstack([NOISE, HALF]))
GREY_CUT_OUT = CUT_OUT.convert("LA")
PALETTE = PHOTO.quantize(8)


def on_white(photo: Image.Image) -> Any:
    """Works out the mix by hand: share of alpha of the photo, the rest white."""
    over = np.asarray(photo.convert("RGBA"), np.float64)
    share = over[..., 3:] / 255
    return over[..., :3] * share + 255 * (1 - share)


@pytest.mark.parametrize(
    ("contents", "photo"),
    [
        pytest.param(encoded(CUT_OUT), CUT_OUT, id="png"),
        pytest.param(encoded(VEILED), VEILED, id="png, half"),
        pytest.param(encoded(GREY_CUT_OUT), GREY_CUT_OUT, id="png, grey"),
        pytest.param(encoded(CUT_OUT, "WEBP", lossless=True, exact=True), CUT_OUT, id="webp"),
        pytest.param(encoded(VEILED, "WEBP", lossless=True, exact=True), VEILED, id="webp, half"),
    ],
)
def test_what_is_transparent_lies_on_white(contents: bytes, photo: Image.Image) -> None:
    preparation = Preparation.of(contents)
    assert preparation == Preparation(is_flattened=True)
    np.testing.assert_allclose(seen(contents), on_white(photo), atol=1.0)
    assert (seen(contents)[ALPHA == 0] == 255).all() or photo is VEILED


def test_of_a_palette_one_colour_may_be_transparent() -> None:
    for file_format in ("PNG", "GIF"):
        contents = encoded(PALETTE, file_format, transparency=3)
        places = np.asarray(PALETTE) == 3
        assert places.any()
        picture = seen(contents)
        assert (picture[places] == 255).all()
        np.testing.assert_array_equal(picture[~places], np.asarray(PALETTE.convert("RGB"))[~places])


@pytest.mark.parametrize(
    "contents",
    [
        encoded(OPAQUE),
        encoded(OPAQUE, "WEBP", lossless=True),
        encoded(OPAQUE.convert("LA")),
        encoded(PHOTO),
        encoded(PALETTE),
        encoded(PALETTE, "GIF"),
        encoded(PHOTO, "JPEG"),
        encoded(PHOTO, "BMP"),
        encoded(PALETTE, "BMP"),
        encoded(PHOTO.convert("L"), "BMP"),
        with_exif(PHOTO, 1, "JPEG"),
    ],
)
def test_all_others_are_left_as_they_are(contents: bytes) -> None:
    preparation = Preparation.of(contents)
    assert preparation == NOTHING
    assert prepared(contents, preparation).contents is contents
    digest = hashlib.sha256(contents).digest()
    assert preparation.digest(digest) == digest


def bmp(
    bits: int, compression: int, body: bytes, *, masks: bytes = b"", colours: bytes = b""
) -> bytes:
    """Returns a BMP of 4 x 2 pixels, as BITMAPINFOHEADER has it."""
    start = 14 + 40 + len(masks) + len(colours)
    header = struct.pack(
        "<IiiHHIIiiII", 40, 4, 2, 1, bits, compression, len(body), 0, 0, len(colours) // 4, 0
    )
    file = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    return file + header + masks + colours + body


# 4 x 2 pixels from the bottom up: red, green, blue, white; black, grey, yellow, red.
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
MORE = [(0, 0, 0), (128, 128, 128), (255, 255, 0), (255, 0, 0)]
EXPECTED = np.array([MORE, COLOURS], np.uint8)
BOTH = COLOURS + MORE
TABLE = b"".join(bytes([b, g, r, 0]) for r, g, b in [*BOTH[:4], *BOTH[4:7]]) + bytes(4 * 9)
PLACES = [0, 1, 2, 3, 4, 5, 6, 0]


def fields(bits: tuple[int, int, int], kind: str, masks: tuple[int, int, int]) -> bytes:
    """Returns pixels whose channels lie where the masks say."""
    words = []
    for colour in BOTH:
        word = 0
        for value, width, mask in zip(colour, bits, masks, strict=True):
            word |= (value >> (8 - width)) * (mask & -mask)
        words.append(struct.pack(f"<{kind}", word))
    return b"".join(words)


BITMAPS = {
    "32 bits, fields of GIMP": bmp(
        32,
        3,
        fields((8, 8, 8), "I", (0xFF000000, 0xFF0000, 0xFF00)),
        masks=struct.pack("<III", 0xFF000000, 0x00FF0000, 0x0000FF00),
    ),
    "32 bits, fields as without": bmp(
        32,
        3,
        fields((8, 8, 8), "I", (0xFF0000, 0xFF00, 0xFF)),
        masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF),
    ),
    "16 bits, 5 6 5": bmp(
        16,
        3,
        fields((5, 6, 5), "H", (0xF800, 0x7E0, 0x1F)),
        masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F),
    ),
    "16 bits, 5 5 5": bmp(16, 0, fields((5, 5, 5), "H", (0x7C00, 0x3E0, 0x1F))),
    "4 bits": bmp(4, 0, bytes([0x01, 0x23, 0, 0, 0x45, 0x60, 0, 0]), colours=TABLE),
    "8 bits, run lengths": bmp(
        8,
        1,
        bytes([x for n, p in enumerate(PLACES) for x in ((1, p) if n != 4 else (0, 0, 1, p))])
        + bytes([0, 1]),
        colours=TABLE,
    ),
}


@pytest.mark.parametrize("contents", BITMAPS.values(), ids=BITMAPS)
def test_bitmaps_that_tensorflow_does_not_read(contents: bytes) -> None:
    # Once: channels of another order, or refused with "Number of channels … was 898".
    assert Preparation.of(contents) == Preparation(is_converted=True)
    # 5 bits of 128 are 16 of 31.
    np.testing.assert_allclose(seen(contents), EXPECTED, atol=4)


def test_bitmaps_of_os_2_and_of_one_bit() -> None:
    places = np.array([[1, 0, 1, 1], [0, 1, 0, 0]])
    rows = bytes([0b01000000, 0, 0, 0, 0b10110000, 0, 0, 0])
    one_bit = bmp(1, 0, rows, colours=bytes([0, 0, 0, 0, 255, 255, 255, 0]))
    header = struct.pack("<IHHHH", 12, 4, 2, 1, 1)
    os_2 = struct.pack("<2sIHHI", b"BM", 40, 0, 0, 32) + header + bytes([0] * 3 + [255] * 3) + rows
    for contents in (one_bit, os_2):
        np.testing.assert_array_equal(seen(contents), np.repeat(places[..., None], 3, -1) * 255)


def test_deep_greys_are_scaled_and_not_clipped() -> None:
    deep = RANDOM.integers(0, 65536, [6, 5]).astype(np.uint16)
    contents = encoded(Image.fromarray(deep), "TIFF")
    np.testing.assert_array_equal(seen(contents)[..., 0], deep >> 8)
    unknown = encoded(Image.fromarray(deep.astype(np.float32)), "TIFF")
    with pytest.raises(OSError, match="which of its values is white"):
        prepared(unknown, Preparation.of(unknown))


@pytest.mark.parametrize("file_format", ["TIFF", "AVIF", "JPEG2000"])
def test_kinds_that_pillow_reads(file_format: str) -> None:
    contents = encoded(PHOTO.resize([64, 48]), file_format)
    assert Preparation.of(contents) == Preparation(is_converted=True)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    np.testing.assert_array_equal(seen(contents), expected)


def test_heic_is_read_where_the_package_for_it_is_installed() -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    smooth = Image.fromarray(
        np.uint8(np.mgrid[:48, :64].transpose(1, 2, 0) @ [[2, 3, 1], [1, 0, 2]])
    )
    file = io.BytesIO()
    smooth.save(file, "HEIF", quality=95, exif=exif)
    contents = file.getvalue()
    assert Preparation.of(contents).is_converted
    # Its own properties say how it is turned; EXIF does not count (ISO/IEC 23008-12).
    assert Preparation.of(contents).orientation == 1
    np.testing.assert_allclose(seen(contents).astype(int), np.asarray(smooth), atol=12)


def test_heic_without_the_package_says_what_to_do() -> None:
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from image_retraining.photos.preparation import Preparation, prepared\n"
        "contents = bytes([0, 0, 0, 24]) + b'ftypheic' + bytes(99)\n"
        "try:\n    prepared(contents, Preparation.of(contents))\n"
        "except OSError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "requirements-heic.txt" in done.stdout


def test_more_than_one_thing_may_be_needed() -> None:
    contents = with_exif(CUT_OUT, 8, "PNG")
    assert Preparation.of(contents) == Preparation(8, is_flattened=True)
    np.testing.assert_allclose(seen(contents), turned(on_white(CUT_OUT), 8), atol=1.0)
    # Pillow turns TIFF itself.
    contents = with_exif(CUT_OUT, 8, "TIFF")
    assert Preparation.of(contents) == Preparation(is_flattened=True, is_converted=True)
    np.testing.assert_allclose(seen(contents), turned(on_white(CUT_OUT), 8), atol=1.0)


@pytest.mark.parametrize(
    "preparation",
    [
        NOTHING,
        Preparation(5),
        Preparation(is_flattened=True),
        Preparation(3, is_flattened=True, is_converted=True),
    ],
)
def test_a_preparation_has_a_name_and_a_digest_of_its_own(preparation: Preparation) -> None:
    assert Preparation.named(preparation.name) == preparation
    digests = {
        Preparation(orientation, is_flattened=flat, is_converted=converted).digest(bytes(32))
        for orientation in range(1, 9)
        for flat in (False, True)
        for converted in (False, True)
    }
    assert len(digests) == 32
    assert preparation.digest(bytes(32)) in digests
    assert preparation.wanted(upright=True) == preparation
    assert preparation.wanted(upright=False).orientation == 1


def test_the_digests_are_pinned() -> None:
    # Cached vectors go by it. (head -c32 /dev/zero; printf orientation=6) | sha256sum
    assert Preparation(6).digest(bytes(32)).hex() == (
        "823034b912fed0c2c6a5714b99fc1a8d4686ee532744a929896caf2d175bd7b3"
    )


WHOLE = {
    "jpeg": with_exif(PHOTO, 6, "JPEG"),
    "png": with_exif(CUT_OUT, 6, "PNG"),
    "webp": with_exif(CUT_OUT, 6, "WEBP"),
    "gif": encoded(PALETTE, "GIF", transparency=3),
    "tiff": with_exif(PHOTO, 6, "TIFF"),
    "avif": encoded(PHOTO.resize([64, 48]), "AVIF"),
    "bitmap": BITMAPS["16 bits, 5 6 5"],
}
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from([*WHOLE]), changes=CHANGES, end=st.integers(0, 2**16))
def test_damaged_files_end_in_an_oserror_at_most(
    kind: str, changes: list[tuple[int, int]], end: int
) -> None:
    contents = bytearray(WHOLE[kind])
    for place, value in changes:
        contents[place % len(contents)] = value
    damaged = bytes(contents[: end % (len(contents) * 2)])
    preparation = Preparation.of(damaged)
    with contextlib.suppress(OSError):
        assert prepared(damaged, preparation).orientation in range(1, 9)


def test_a_photo_is_read_and_prepared_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(with_exif(PHOTO, 6, "JPEG"))
    assert reading.read_prepared(path, upright=True).orientation == 6
    assert reading.read_prepared(path, upright=False).orientation == 1
