"""Photos damaged in every way that hypothesis can think of: each has pixels, or a reason."""

import functools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import encoded, with_chunk_before
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from image_retraining.photos import pixels as images
from image_retraining.photos.batches import photo_batches
from image_retraining.photos.distortions import PLAIN
from image_retraining.photos.feed import Photo, limited_groups
from image_retraining.photos.header import pixel_count

SIZE = (5, 6)
RANDOM = np.random.default_rng(5)
PHOTO = Image.fromarray(RANDOM.integers(0, 256, [13, 17, 3], np.uint8))
OTHER = PHOTO.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
TRANSPARENT = PHOTO.convert("RGBA")
TRANSPARENT.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
FILES: dict[str, bytes] = {
    "png": encoded(PHOTO),
    "png, 16 bits": encoded(Image.fromarray(RANDOM.integers(0, 65536, [7, 9], np.uint16))),
    "png, palette": encoded(PHOTO.quantize(16)),
    "png, chunk before": with_chunk_before(encoded(PHOTO)),
    "jpeg": encoded(PHOTO, "JPEG"),
    "jpeg, progressive": encoded(PHOTO, "JPEG", progressive=True),
    "jpeg, cmyk": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "gif": encoded(PHOTO.quantize(16), "GIF"),
    "gif, animated": encoded(
        PHOTO.quantize(16), "GIF", save_all=True, append_images=[OTHER.quantize(8)]
    ),
    "bmp": encoded(PHOTO, "BMP"),
    # Of a size whose bytes, in its header, are no UTF-8.
    "bmp, palette": encoded(PHOTO.crop((0, 0, 7, 5)).quantize(16), "BMP"),
    "bmp, alpha": encoded(TRANSPARENT, "BMP"),
    "webp": encoded(PHOTO, "WEBP"),
    "webp, lossless": encoded(PHOTO, "WEBP", lossless=True),
    "webp, alpha": encoded(TRANSPARENT, "WEBP"),
    "webp, animated": encoded(PHOTO, "WEBP", save_all=True, append_images=[OTHER]),
    "webp, animated alpha": encoded(
        TRANSPARENT, "WEBP", save_all=True, append_images=[OTHER.convert("RGBA")]
    ),
}
GOOD = [
    encoded(np.full([3, 4, 3], level), kind) for level in (0, 90, 255) for kind in ("PNG", "BMP")
]

Change = Callable[[bytes], bytes]
# Damage is likeliest to be odd near the start, where the headers are.
PLACES = st.one_of(st.integers(0, 70), st.integers(0, 2000))
SIDES = st.sampled_from([0, 1, 2, 16, 17, 18, 255, 4000])
# Where a BMP's header has its numbers, and numbers that would lead out of the file.
NUMBERS = st.sampled_from([10, 14, 18, 22, 28, 34, 46])
FAR = st.sampled_from([struct.pack("<i", n) for n in (-(2**31), -1, 0, 7, 10**6, 2**31 - 1)])
# The sides that the headers can tell of at most; by them a file must be too large at once.
MOST = 65535


def overwritten(place: int, new: bytes) -> Change:
    return lambda data: data[:place] + new + data[place + len(new) :] if place < len(data) else data


def cut(place: int) -> Change:
    return lambda data: data[:place]


def without(place: int, length: int) -> Change:
    return lambda data: data[:place] + data[place + length :]


def repeated(place: int, length: int, times: int) -> Change:
    return lambda data: (
        data[: place + length] + data[place : place + length] * times + data[place + length :]
    )


def continued(place: int, other: str, start: int) -> Change:
    """Goes on as another file from some place."""
    return lambda data: data[:place] + FILES[other][start:]


def resized(height: int, width: int) -> Change:
    """Tells of another size in the header."""
    return lambda data: _with_size(data, height, width)


def _with_size(data: bytes, height: int, width: int) -> bytes:
    if data.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if data.startswith(b"\xff\xd8"):
        start = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
        return overwritten(start, struct.pack(">HH", height, width))(data)
    if data.startswith(b"GIF8"):
        start = data.find(b"\x2c\0\0\0\0") + 5
        return overwritten(start, struct.pack("<HH", width, height))(data)
    if data.startswith(b"BM"):
        return overwritten(18, struct.pack("<ii", width, -height if width % 2 else height))(data)
    if data[12:16] == b"VP8 ":
        return overwritten(26, struct.pack("<HH", width % 2**14, height % 2**14))(data)
    return data


def changes() -> st.SearchStrategy[Change]:
    length = st.integers(1, 40)
    return st.one_of(
        st.builds(overwritten, PLACES, st.binary(min_size=1, max_size=4)),
        st.builds(overwritten, PLACES, st.sampled_from([b"\0", b"\xff", b"\xff\xff\xff\x7f"])),
        st.builds(overwritten, NUMBERS, FAR),
        st.builds(cut, PLACES),
        st.builds(without, PLACES, length),
        st.builds(repeated, PLACES, length, st.integers(1, 5)),
        st.builds(continued, PLACES, st.sampled_from(sorted(FILES)), PLACES),
        st.builds(resized, SIDES, SIDES),
        st.just(resized(MOST, MOST)),
    )


def damaged(file: str, damages: list[Change]) -> bytes:
    data = functools.reduce(lambda data, change: change(data), damages, FILES[file])
    if data[12:16] != b"VP8X":
        return data
    # As large a canvas as its header can tell of takes all memory, for `reading.read` to refuse.
    return overwritten(24, FILES["webp, animated"][24:30])(data)


def some_damage() -> st.SearchStrategy[bytes]:
    return st.builds(
        damaged, st.sampled_from(sorted(FILES)), st.lists(changes(), min_size=1, max_size=3)
    )


bounded = functools.partial(
    settings,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("file", FILES)
def test_the_files_are_sound_before(file: str) -> None:
    assert images.why_unreadable(FILES[file]) == ""


@given(contents=some_damage())
@bounded(max_examples=600)
def test_damaged_photos_give_pixels_or_a_reason(contents: bytes) -> None:
    reason = images.why_unreadable(contents)
    try:
        got = images.pixels(contents, SIZE).numpy()
    except tf.errors.InvalidArgumentError:
        assert reason
        assert len(reason.splitlines()) == 1
        return
    assert reason == ""
    assert got.dtype == np.float32
    assert got.shape == (*SIZE, 3)
    assert np.isfinite(got).all()
    assert 0 <= got.min() <= got.max() <= 1


@given(contents=some_damage())
@bounded(max_examples=600)
def test_what_is_decoded_was_counted_before(contents: bytes) -> None:
    if images.why_unreadable(contents):
        return
    height, width, _ = images.in_full(contents).shape
    if contents.startswith((b"GIF", b"RIFF")):
        # Pictures behind the first count as well.
        assert pixel_count(contents) >= height * width
    else:
        assert pixel_count(contents) == height * width


@given(photos=st.lists(some_damage(), min_size=1, max_size=30))
@bounded(max_examples=20)
def test_damaged_photos_cost_no_other(photos: list[bytes]) -> None:
    # Good ones before, between and behind.
    mixed = [*GOOD, *(photo for bad in photos for photo in (bad, GOOD[len(bad) % len(GOOD)]))]
    expected: dict[int, Any] = {}
    for number, contents in enumerate(mixed):
        if images.why_unreadable(contents) == "":
            expected[number] = images.pixels(contents, SIZE).numpy()
    got: dict[int, Any] = {}
    undecodable: list[int] = []
    plain = (Photo(contents, {number: PLAIN}) for number, contents in enumerate(mixed))
    for batch in photo_batches(plain, SIZE, batch_size=8):
        undecodable += batch.undecodable
        if batch.images is not None:
            got |= dict(zip(batch.keys, batch.images.numpy(), strict=True))
    assert undecodable == [number for number in range(len(mixed)) if number not in expected]
    assert list(got) == list(expected)
    for number, pixels in expected.items():
        np.testing.assert_array_equal(got[number], pixels)


SIZES = st.lists(st.one_of(st.integers(0, 10), st.integers(3_000_000, 40_000_000)), max_size=40)


@given(sizes=SIZES, count=st.integers(1, 12))
@bounded(max_examples=300)
def test_groups_hold_all_and_end_in_time(sizes: list[int], count: int) -> None:
    groups = list(limited_groups(enumerate(sizes), count, size_of=lambda item: item[1]))
    assert [item for group in groups for item in group] == list(enumerate(sizes))
    for place, group in enumerate(groups):
        held = [size for _, size in group]
        assert 1 <= len(group) <= count
        # The last photo of a group may go beyond the 16 MB, and ends it.
        assert sum(held[:-1]) < 16_000_000
        assert place == len(groups) - 1 or len(group) == count or sum(held) >= 16_000_000


@given(sizes=SIZES, count=st.integers(1, 12))
@bounded(max_examples=100)
def test_a_group_comes_before_the_next_photo_is_drawn(sizes: list[int], count: int) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for size in sizes:
            drawn.append(size)
            yield size

    given_out = 0
    for group in limited_groups(items(), count, size_of=lambda size: size):
        given_out += len(group)
        assert len(drawn) == given_out
