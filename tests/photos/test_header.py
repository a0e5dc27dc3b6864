import io
import struct
from pathlib import Path

import pytest
from conftest import encoded
from PIL import Image

from image_retraining.photos import pixels, reading
from image_retraining.photos.header import pixel_count

PHOTO = Image.linear_gradient("L").resize((50, 30)).convert("RGB")
THUMBNAIL = encoded(PHOTO.resize((8, 5)), "JPEG")
JPEG = encoded(PHOTO, "JPEG")
PNG = encoded(PHOTO)
KINDS = ["JPEG", "PNG", "GIF", "BMP", "WEBP"]


def segment(kind: int, data: bytes) -> bytes:
    """Returns a segment of a JPEG, which begins with its kind and its length."""
    return bytes([0xFF, kind]) + (len(data) + 2).to_bytes(2, "big") + data


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG with a wrong checksum."""
    return len(data).to_bytes(4, "big") + kind + data + b"sum!"


# What may stand before the frame of a JPEG.
BEFORE: dict[str, bytes] = {
    "nothing": b"",
    "a comment that looks like a frame": segment(0xFE, segment(0xC0, b"\x08\0\x01\0\x01\3")),
    "a colour profile of many segments": segment(0xE2, bytes(65000)) * 20,
    "a thumbnail": segment(0xE1, b"Exif\0\0" + THUMBNAIL),
    "tables": segment(0xC4, b"") + segment(0xCC, b""),
    "marks that have no length": b"\xff\x01\xff\xd0\xff\xd7",
    "bytes that fill": b"\xff\xff\xff",
    "junk": segment(0xFE, b"") + b"junk\xff\0\xc0\xff\xff\0",
    "a length of nothing": b"\xff\xe5\0\0",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_has_its_pixels(kind: str) -> None:
    assert pixel_count(encoded(PHOTO, kind)) == 50 * 30


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}])
def test_any_jpeg_has_its_pixels(options: dict[str, int]) -> None:
    for mode in ("L", "RGB", "CMYK"):
        assert pixel_count(encoded(PHOTO.convert(mode), "JPEG", **options)) == 50 * 30


@pytest.mark.parametrize("before", BEFORE)
def test_a_jpeg_has_its_pixels_whatever_comes_before(before: str) -> None:
    contents = JPEG[:2] + BEFORE[before] + JPEG[2:]
    assert pixels.in_full(contents).shape == (30, 50, 3)
    assert pixel_count(contents) == 50 * 30


@pytest.mark.parametrize("place", [8, 33], ids=["before the header", "behind the header"])
@pytest.mark.parametrize("data", [b"", b"IHDR" + bytes(20)], ids=["empty", "like a header"])
def test_a_png_has_its_pixels_whatever_stands_around(place: int, data: bytes) -> None:
    contents = PNG[:place] + chunk(b"prVt", data) + PNG[place:]
    assert pixels.in_full(contents).shape == (30, 50, 3)
    assert pixel_count(contents) == 50 * 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_has_all_pixels_or_some_or_none(kind: str) -> None:
    contents = encoded(PHOTO, kind)
    counts = [pixel_count(contents[:end]) for end in range(len(contents))]
    assert max(counts) == counts[-1] == 50 * 30
    assert counts[0] == 0


@pytest.mark.parametrize(
    "contents", [b"", b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF89a", b"text" * 99]
)
def test_what_tells_no_size_has_none(contents: bytes) -> None:
    assert pixel_count(contents) == 0


def test_an_animation_has_the_pixels_of_all_pictures() -> None:
    pictures = {"save_all": True, "append_images": [PHOTO.rotate(180), PHOTO.rotate(90)]}
    contents = encoded(PHOTO, "WEBP", **pictures)
    with Image.open(io.BytesIO(contents)) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert pixel_count(contents) == 3 * 50 * 30


def with_size(contents: bytes, side: int) -> bytes:
    """Returns a JPEG whose header says that it is larger."""
    place = max(contents.find(b"\xff\xc0"), contents.find(b"\xff\xc2"))
    return contents[: place + 5] + struct.pack(">HH", side, side) + contents[place + 9 :]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_too_short_for_its_size_takes_no_memory(
    tmp_path: Path, *, progressive: bool
) -> None:
    # Once: 9 kB took a gigabyte.
    flat = Image.new("RGB", (1600, 1200), (90, 120, 40))
    contents = encoded(flat, "JPEG", quality=1, progressive=progressive)
    (tmp_path / "flat.jpg").write_bytes(contents)
    # The least that a photo of one colour takes is enough.
    assert len(reading.read(tmp_path / "flat.jpg")) < 40_000
    (tmp_path / "huge.jpg").write_bytes(with_size(contents, 13300))
    with pytest.raises(OSError, match=r"its header says 177 megapixels, for which \d+ bytes"):
        reading.read(tmp_path / "huge.jpg")


def test_a_png_of_one_colour_is_long_enough(tmp_path: Path) -> None:
    for mode in ("1", "L", "RGB", "RGBA"):
        (tmp_path / "flat.png").write_bytes(encoded(Image.new(mode, (9000, 7000))))
        assert reading.read(tmp_path / "flat.png")
