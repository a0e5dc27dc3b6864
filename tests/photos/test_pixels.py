import functools
import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import encoded
from PIL import Image, ImageEnhance
from scipy.ndimage import affine_transform

from image_retraining.photos import pixels as images
from image_retraining.photos import reading
from image_retraining.photos.distortions import PLAIN, Distortion, Variation, Views
from image_retraining.photos.pixels import pixels, why_unreadable

RANDOM = np.random.default_rng(11)
NOISE: Any = RANDOM.integers(0, 256, [7, 9, 3], np.uint8)
NOISE_WITH_ALPHA: Any = RANDOM.integers(0, 256, [7, 9, 4], np.uint8)
NOISE_16_BITS: Any = RANDOM.integers(0, 65536, [7, 9], np.uint16)
ROWS, COLUMNS = np.mgrid[:21, :30]
SMOOTH: Any = np.uint8(np.stack([COLUMNS * 8, ROWS * 11, 255 - COLUMNS * 3 - ROWS * 3], axis=-1))

PHOTO = Image.fromarray(NOISE)
SMOOTH_PHOTO = Image.fromarray(SMOOTH)
PALETTE_PHOTO = PHOTO.quantize(16)
GREY_AND_ALPHA_PHOTO = Image.merge("LA", [PHOTO.convert("L"), PHOTO.getchannel("G")])


def rgb(photo: Image.Image) -> Any:
    return np.asarray(photo.convert("RGB"))


def pillow_decoded(contents: bytes) -> Any:
    return rgb(Image.open(io.BytesIO(contents)))


def legacy_resized(image: Any, height: int, width: int) -> Any:
    """Works out TensorFlow 1's ResizeBilinear: sources at target * scale, from the top left."""
    for axis, size in enumerate((height, width)):
        length = image.shape[axis]
        sources = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
        below = np.floor(sources).astype(int)
        above = np.minimum(below + 1, length - 1)
        share = np.float64(sources - below).reshape([-1 if i == axis else 1 for i in range(3)])
        image = (1 - share) * image.take(below, axis) + share * image.take(above, axis)
    return image


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param(encoded(PHOTO), NOISE, id="png"),
        pytest.param(encoded(PHOTO, compress_level=0), NOISE, id="png, not compressed"),
        pytest.param(
            encoded(Image.fromarray(NOISE_WITH_ALPHA)), NOISE_WITH_ALPHA[..., :3], id="png, alpha"
        ),
        pytest.param(encoded(PHOTO.convert("L")), rgb(PHOTO.convert("L")), id="png, grey"),
        pytest.param(
            encoded(GREY_AND_ALPHA_PHOTO), rgb(PHOTO.convert("L")), id="png, grey and alpha"
        ),
        pytest.param(encoded(PHOTO.convert("1")), rgb(PHOTO.convert("1")), id="png, 1 bit"),
        pytest.param(encoded(PALETTE_PHOTO), rgb(PALETTE_PHOTO), id="png, palette"),
        pytest.param(
            encoded(Image.fromarray(NOISE_16_BITS)),
            np.repeat((NOISE_16_BITS >> 8)[..., np.newaxis], 3, axis=-1),
            id="png, 16 bits",
        ),
        pytest.param(encoded(PALETTE_PHOTO, "GIF"), rgb(PALETTE_PHOTO), id="gif"),
        pytest.param(
            encoded(
                PALETTE_PHOTO,
                "GIF",
                save_all=True,
                append_images=[PHOTO.rotate(180).quantize(16), PHOTO.quantize(3)],
            ),
            rgb(PALETTE_PHOTO),
            id="gif, animated",
        ),
        pytest.param(encoded(PHOTO, "BMP"), NOISE, id="bmp"),
        pytest.param(encoded(PHOTO.convert("L"), "BMP"), rgb(PHOTO.convert("L")), id="bmp, grey"),
        pytest.param(encoded(PHOTO, "WEBP", lossless=True), NOISE, id="webp"),
    ],
)
def test_lossless_formats_give_exact_pixels(contents: bytes, expected: Any) -> None:
    got = pixels(contents, (7, 9))
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, expected / 255, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(encoded(SMOOTH_PHOTO, "JPEG", quality=95), id="jpeg"),
        pytest.param(encoded(SMOOTH_PHOTO, "JPEG", progressive=True), id="jpeg, progressive"),
        pytest.param(encoded(SMOOTH_PHOTO, "JPEG", subsampling=0), id="jpeg, 4:4:4"),
        pytest.param(encoded(SMOOTH_PHOTO.convert("L"), "JPEG"), id="jpeg, grey"),
        pytest.param(encoded(SMOOTH_PHOTO.convert("CMYK"), "JPEG", quality=95), id="jpeg, cmyk"),
        pytest.param(encoded(SMOOTH_PHOTO, "WEBP", quality=90), id="webp, lossy"),
    ],
)
def test_lossy_formats_give_about_the_pixels_of_another_decoder(contents: bytes) -> None:
    got = pixels(contents, (21, 30)).numpy() * 255
    # Decoders may differ in rounding and in how they enlarge the colour channels.
    np.testing.assert_allclose(got, pillow_decoded(contents), rtol=0, atol=6)
    assert np.abs(got - pillow_decoded(contents)).mean() < 2


def test_a_bmp_with_a_palette_never_gives_other_colours() -> None:
    # TensorFlow takes the indices into the palette for greys.
    contents = encoded(PALETTE_PHOTO, "BMP")
    assert not why_unreadable(contents)
    np.testing.assert_allclose(
        pixels(contents, (7, 9)), pillow_decoded(contents) / 255, rtol=0, atol=1e-6
    )


def test_a_webp_with_transparency_gives_its_colours() -> None:
    # TensorFlow refuses it when three channels are asked for.
    image = PHOTO.convert("RGBA") if isinstance(PHOTO, Image.Image) else Image.fromarray(PHOTO)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    contents = encoded(image, "WEBP", lossless=True, exact=True)
    wanted = np.asarray(Image.open(io.BytesIO(contents)))[..., :3] / 255
    np.testing.assert_allclose(pixels(contents, wanted.shape[:2]), wanted, rtol=0, atol=1e-6)


def test_the_exif_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pixels(encoded(SMOOTH_PHOTO, "JPEG", exif=exif), (21, 30))
    np.testing.assert_array_equal(turned, pixels(encoded(SMOOTH_PHOTO, "JPEG"), (21, 30)))


@pytest.mark.parametrize("name", ["photo.jpg", "photo.gif", "photo"])
def test_the_content_decides_on_the_format(tmp_path: Any, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(PHOTO))
    got = pixels(reading.read(tmp_path / name), (7, 9))
    np.testing.assert_allclose(got, NOISE / 255, rtol=0, atol=1e-7)


def test_a_file_that_is_missing_cannot_be_read(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        reading.read(str(tmp_path / "missing.jpg"))


SIZES = [(7, 9), (14, 18), (3, 4), (1, 1), (20, 5), (4, 31), (224, 224), (8, 9), (7, 10)]


@pytest.mark.parametrize("size", SIZES)
def test_the_resize_is_that_of_tensorflow_1(size: tuple[int, int]) -> None:
    expected = legacy_resized(NOISE / 255, *size)
    np.testing.assert_allclose(pixels(encoded(PHOTO), size), expected, rtol=0, atol=1e-6)


def test_a_photo_of_one_pixel_fills_any_size() -> None:
    got = pixels(encoded(NOISE[:1, :1]), (3, 5))
    np.testing.assert_allclose(got, np.broadcast_to(NOISE[0, 0] / 255, [3, 5, 3]), atol=1e-6)


@pytest.mark.parametrize("size", [(14, 18), (3, 4), (20, 5), (224, 224)])
def test_the_resize_is_not_that_of_tensorflow_2(size: tuple[int, int]) -> None:
    other = tf.image.resize(NOISE / 255, size)
    assert np.abs(pixels(encoded(PHOTO), size) - other).max() > 0.05


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_from_0_to_1(size: tuple[int, int]) -> None:
    ends = np.where(NOISE > 127, 255, 0)
    got = pixels(encoded(ends), size).numpy()
    assert got.shape == (*size, 3)
    assert got.min() >= 0
    assert got.max() <= 1
    assert pixels(encoded(np.full([2, 2, 3], 255)), size).numpy().min() == 1


@pytest.mark.parametrize("contents", [encoded(PHOTO), encoded(SMOOTH_PHOTO, "JPEG")])
@pytest.mark.parametrize("size", [(5, 6), (30, 21)])
def test_pixels_are_the_same_everywhere(contents: bytes, size: tuple[int, int]) -> None:
    eager = pixels(contents, size).numpy()
    inside_graph = tf.function(lambda photo: pixels(photo, size))(tf.constant(contents))
    np.testing.assert_array_equal(inside_graph, eager)
    (in_data,) = tf.data.Dataset.from_tensors(contents).map(lambda photo: pixels(photo, size))
    np.testing.assert_array_equal(in_data, eager)
    assert in_data.shape == (*size, 3)


JPEG = encoded(np.kron(NOISE, np.ones([8, 8, 1])), "JPEG")
BROKEN = {
    "empty": b"",
    "html": b"<!DOCTYPE html>\n<html><body>404\nNot Found</body></html>\n",
    "text": b"just some words\nin two lines\n",
    "one byte": b"\xff",
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "jpeg header": b"\xff\xd8\xff",
    "truncated png": encoded(PHOTO)[:100],
    "truncated gif": encoded(PALETTE_PHOTO, "GIF")[:40],
    "truncated bmp": encoded(PHOTO, "BMP")[:100],
    "truncated webp": encoded(PHOTO, "WEBP", lossless=True)[:60],
    "damaged png": encoded(PHOTO).replace(b"IDAT", b"IDAX"),
    "tiff": encoded(PHOTO, "TIFF"),
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("contents", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_decoded_has_a_reason(contents: bytes) -> None:
    reason = why_unreadable(contents)
    assert reason
    assert reason == " ".join(reason.split())
    assert "[Op:" not in reason
    assert "{{" not in reason
    assert not reason.endswith(".")
    with pytest.raises(tf.errors.InvalidArgumentError):
        pixels(contents, (4, 4))


def test_an_empty_file_is_called_empty() -> None:
    assert "empty" in why_unreadable(b"")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_good_photo_has_no_reason(file_format: str) -> None:
    assert why_unreadable(encoded(PHOTO, file_format)) == ""


# A photo whose red tells the column and whose green tells the row, exactly and in equal steps.
STEPS: Any = np.arange(256, dtype=np.uint8)
MAP_PIXELS = np.stack([*np.meshgrid(STEPS, STEPS), np.full([256, 256], 128)], axis=-1)
MAP = encoded(MAP_PIXELS)
WANTED = (16, 12)
ALL = Distortion(flip_left_right=True, random_crop=20, random_scale=30, random_brightness=40)


@functools.cache
def variations(contents: bytes, distortion: Distortion, count: int = 60) -> Any:
    """Returns float32 [count, H, W, 3], a variation a view."""
    views = Views(distortion, count, seed=5)
    rows = [views.variation(number, b"") for number in range(1, count + 1)]
    return images.variations(contents, WANTED, np.array(rows, np.float32)).numpy()


def place(row: Any) -> tuple[float, float]:
    """Returns where in the resized photo a crop of it begins, and how long the photo became.

    Args:
        row: consecutive pixels of the map's red or green along its axis.
    """
    # The source of target t is t * 256 / length, and its value that over 255.
    step = float(row[1] - row[0])
    return float(row[0]) / step, 256 / 255 / step


@pytest.mark.parametrize("variation", [PLAIN, Views(ALL).variation(1, b"")])
@pytest.mark.parametrize("size", [(16, 12), (1, 1), (300, 20)])
@pytest.mark.parametrize("count", [1, 3])
def test_variations_have_the_wanted_size(
    variation: Variation, size: tuple[int, int], count: int
) -> None:
    varied = images.variations(MAP, size, np.array([variation] * count, np.float32))
    assert varied.shape == (count, *size, 3)
    assert varied.dtype == tf.float32


def test_the_corners_of_the_margin_are_reached_and_not_left() -> None:
    corners = [Variation(2.0, 0.0, 0.0), Variation(2.0, 1.0, 1.0), Variation(2.0, 0.99, 0.5)]
    varied = images.variations(MAP, WANTED, np.array(corners, np.float32)).numpy()
    large = legacy_resized(MAP_PIXELS / 255, 32, 24)
    for picture, (top, left) in zip(varied, [(0, 0), (16, 12), (16, 6)], strict=True):
        np.testing.assert_allclose(
            picture, large[top : top + 16, left : left + 12], rtol=0, atol=1e-5
        )


def test_no_distortion_gives_the_pixels() -> None:
    varied = variations(MAP, Distortion(), 3)
    np.testing.assert_array_equal(varied, [pixels(MAP, WANTED)] * 3)


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion(random_crop=100),
        Distortion(random_scale=50),
        Distortion(random_brightness=50),
        ALL,
    ],
)
def test_seeds_decide_on_the_variation(distortion: Distortion) -> None:
    varied = variations(MAP, distortion)
    np.testing.assert_array_equal(varied, variations.__wrapped__(MAP, distortion))
    assert len({variation.tobytes() for variation in varied}) > 40
    for seed, equal in [(5, True), (6, False)]:
        row = np.array([Views(distortion, seed=seed).variation(1, b"")], np.float32)
        alone = images.variations(MAP, WANTED, row)[0]
        assert np.array_equal(alone, varied[0]) is equal


def test_half_of_the_photos_are_mirrored() -> None:
    original = pixels(MAP, WANTED).numpy()
    mirrored = 0
    for varied in variations(MAP, Distortion(flip_left_right=True)):
        if np.array_equal(varied, original[:, ::-1]):
            mirrored += 1
        else:
            np.testing.assert_array_equal(varied, original)
    # The chance of fewer than 15 or more than 45 of 60 tosses is 1 in 10,000; the seeds are fixed.
    assert 15 <= mirrored <= 45


@pytest.mark.parametrize("percent", [10, 60, 100])
def test_brightness_is_one_factor_in_its_range(percent: int) -> None:
    original = pixels(MAP, WANTED).numpy()
    varied = variations(MAP, Distortion(random_brightness=percent))
    factors = varied[:, 0, 0, 2] / original[0, 0, 2]
    np.testing.assert_allclose(
        varied, factors[:, None, None, None] * original, rtol=1e-5, atol=1e-6
    )
    low, high = 1 - percent / 100, 1 + percent / 100
    assert low - 1e-6 <= factors.min() < low + 0.2 * (high - low)
    assert high - 0.2 * (high - low) < factors.max() <= high + 1e-6
    assert abs(factors.mean() - 1) < 0.15


def test_bright_pixels_are_not_clipped() -> None:
    white = encoded(np.full([4, 4, 3], 255))
    varied = variations(white, Distortion(random_brightness=50))
    assert varied.max() > 1.3
    assert varied.min() < 0.7


@pytest.mark.parametrize(
    ("percent", "height", "width"), [(25, 20, 15), (10, 17, 13), (100, 32, 24)]
)
def test_a_crop_is_taken_anywhere_in_the_margin(percent: int, height: int, width: int) -> None:
    # int(1.1 * 16) = 17 and int(1.1 * 12) = 13.
    whole = legacy_resized(STEPS[:, None, None] / 255, height, 1)[:, 0, 0]
    assert len(whole) == height
    tops, lefts = set(), set()
    for varied in variations(MAP, Distortion(random_crop=percent)):
        top, whole_height = place(varied[:, 0, 1])
        left, whole_width = place(varied[0, :, 0])
        assert whole_height == pytest.approx(height, abs=0.01)
        assert whole_width == pytest.approx(width, abs=0.01)
        tops.add(round(top))
        lefts.add(round(left))
        np.testing.assert_allclose(
            varied[:, 0, 1], whole[round(top) : round(top) + WANTED[0]], rtol=0, atol=1e-5
        )
        # Every row and every column tells the same.
        np.testing.assert_array_equal(varied[..., 0], varied[:1, :, 0].repeat(WANTED[0], 0))
        np.testing.assert_array_equal(varied[..., 1], varied[:, :1, 1].repeat(WANTED[1], 1))
    assert (min(tops), min(lefts)) == (0, 0)
    assert max(tops) >= 0.8 * (height - WANTED[0])
    assert max(lefts) >= 0.8 * (width - WANTED[1])
    assert max(tops) <= height - WANTED[0]
    assert max(lefts) <= width - WANTED[1]


@pytest.mark.parametrize(("crop", "scale"), [(0, 50), (0, 100), (25, 50)])
def test_a_scale_is_one_for_both_sides_in_its_range(crop: int, scale: int) -> None:
    margin = 1 + crop / 100
    heights = []
    for varied in variations(MAP, Distortion(random_crop=crop, random_scale=scale)):
        height, width = place(varied[:, 0, 1])[1], place(varied[0, :, 0])[1]
        assert height == pytest.approx(round(height), abs=0.01)
        assert width == pytest.approx(round(width), abs=0.01)
        # Some one scale gives both, each cut down to a whole number.
        low = max(round(height) / WANTED[0], round(width) / WANTED[1])
        high = min((round(height) + 1) / WANTED[0], (round(width) + 1) / WANTED[1])
        assert low < high
        assert low <= margin * (1 + scale / 100) + 1e-6
        assert high > margin
        heights.append(height)
    span = WANTED[0] * margin * scale / 100
    assert min(heights) < WANTED[0] * margin + 0.2 * span
    assert max(heights) > WANTED[0] * margin + 0.8 * span - 1
    assert np.mean(heights) == pytest.approx(WANTED[0] * margin + span / 2, abs=0.15 * span + 0.5)


def test_the_distortions_are_drawn_apart_from_each_other() -> None:
    draws: list[list[float]] = []
    distortion = Distortion(random_crop=300, random_scale=50, random_brightness=50)
    for varied in variations(MAP, distortion, 100):
        brightness = varied[0, 0, 2] / (128 / 255)
        top, height = place(varied[:, 0, 1] / brightness)
        left, width = place(varied[0, :, 0] / brightness)
        draws.append([brightness, height, top / (height - WANTED[0]), left / (width - WANTED[1])])
    correlations = np.corrcoef(draws, rowvar=False)
    # Of 100 independent pairs, one in 10,000 has a correlation beyond 0.38; the seeds are fixed.
    assert np.abs(correlations - np.eye(4)).max() < 0.38


PICTURE = np.random.default_rng(6).integers(0, 256, [21, 30, 3]).astype(np.uint8)


def moved_by_scipy(picture: Any, turn: float, down: float, right: float, shear: float) -> Any:
    """Returns a picture that is sheared, turned and moved, by SciPy's way back, row by column."""
    height, width = picture.shape[:2]
    # Of (x, y), y down: first the shear, then a turn clockwise.
    cos, sin = np.cos(turn), np.sin(turn)
    forth = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]])
    back = np.linalg.inv(forth)[::-1, ::-1]
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = middle - back @ (middle + np.array([down * height, right * width]))
    return np.stack(
        [
            affine_transform(picture[..., channel], back, offset, order=1, mode="nearest")
            for channel in range(3)
        ],
        axis=2,
    )


@pytest.mark.parametrize(
    "move",
    [
        {"turn": 0.4},
        {"turn": -2.5},
        {"down": 0.2, "right": -0.3},
        {"shear": 0.5},
        {"turn": 0.3, "down": -0.1, "right": 0.25, "shear": -0.4},
    ],
)
def test_photos_are_moved_as_scipy_moves_them(move: dict[str, float]) -> None:
    row = np.array([PLAIN._replace(**move)], np.float32)
    found = images.variations(encoded(PICTURE), PICTURE.shape[:2], row)[0].numpy()
    whole = {"turn": 0.0, "down": 0.0, "right": 0.0, "shear": 0.0} | move
    wanted = moved_by_scipy(PICTURE / 255, **whole)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    # In a graph as well, in which tf.data has them.
    in_graph = tf.function(images.variations)(encoded(PICTURE), PICTURE.shape[:2], row)
    np.testing.assert_allclose(in_graph[0], found, atol=1e-5)


def test_a_turn_to_the_right_turns_to_the_right() -> None:
    square = PICTURE[:, :21]
    row = np.array([PLAIN._replace(turn=np.pi / 2)], np.float32)
    found = images.variations(encoded(square), (21, 21), row)[0].numpy()
    # NumPy turns to the left.
    np.testing.assert_allclose(found, np.rot90(square, -1) / 255, atol=1e-4)


def test_colours_are_changed_as_pillow_changes_them() -> None:
    row = np.array([PLAIN._replace(contrast=0.5, saturation=1.5)], np.float32)
    found = images.variations(encoded(PICTURE), PICTURE.shape[:2], row)[0].numpy()
    mean = (PICTURE / 255).mean(axis=(0, 1))
    halved = mean + 0.5 * (PICTURE / 255 - mean)
    coloured = ImageEnhance.Color(Image.fromarray(np.uint8(np.rint(halved * 255)))).enhance(1.5)
    np.testing.assert_allclose(found, np.asarray(coloured) / 255, atol=2.5 / 255)
    grey = np.array([PLAIN._replace(saturation=0.0)], np.float32)
    found = images.variations(encoded(PICTURE), PICTURE.shape[:2], grey)[0].numpy()
    light = np.asarray(Image.fromarray(PICTURE).convert("L")) / 255
    np.testing.assert_allclose(found, np.stack([light] * 3, 2), atol=1 / 255)


def test_no_colour_is_below_black() -> None:
    row = np.array([PLAIN._replace(contrast=2.0, saturation=2.0)], np.float32)
    found = images.variations(encoded(PICTURE), PICTURE.shape[:2], row)[0].numpy()
    assert found.min() == 0
    assert found.max() > 1
