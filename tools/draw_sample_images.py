"""Draws the sample photos: five folders of small pictures, one simple shape in each picture.

They are there so that the demo and the tests can train a classifier without a network and without
anybody else's photos: this project draws them itself, so they come under its own licence.

Shape is the only thing that tells the classes apart. Colours, backgrounds, textures, brightness
and picture sizes come from the same distributions in every class, and all shapes cover the same
range of areas, so that a classifier which looks at colours alone does no better than guessing.

The same versions of numpy and Pillow always write the same bytes. Nothing is ever deleted: files
of the same names are overwritten, all others stay as they are.

    python tools/draw_sample_images.py --output_dir sample_images
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

SHAPES = ("circle", "cross", "square", "star", "triangle")
PHOTOS_PER_SHAPE = 40
# The retrainer splits photos by a hash of their names. Numbers from 1 would leave `cross` with one
# validation photo; with these every class gets at least 2 for validation and 3 for testing.
FIRST_NUMBER = 101

_SEED = 20240607
_JPEG_QUALITY = 85
_SUPERSAMPLING = 4
# Mostly 128 x 112, as the repeats make the most likely choice.
_SIZES = (*[(128, 112)] * 4, (112, 128), (128, 96), (96, 128), (120, 120), (160, 112))
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Side of the square that has the shape's area, as a share of the picture's shorter side: the
# shapes themselves then reach over about 35 % (a small square) to 75 % (a large star) of it.
_SHAPE_SIDE = (0.33, 0.42)
# No further, so that a square never stands on its tip and a direction of edges means something.
_MAX_TURN = np.radians(20)
_MIN_CONTRAST = 75.0


def shape_outline(shape: str) -> Points:
    """Returns the corners of a shape as float64 [corners, 2], centred on 0, with an area of 1.

    The equal areas matter: otherwise the share of pixels in the shape's colour would tell a thin
    star from a full circle without any look at the shape.

    Args:
        shape: one of SHAPES.
    """
    if shape == "cross":
        # A third of the width for the bars, so that it is made of five equal squares.
        quarter = np.array([[3.0, -1.0], [3.0, 1.0], [1.0, 1.0]])
        turns = [rotation(turn * np.pi / 2) for turn in range(4)]
        corners = np.concatenate([quarter @ turn.T for turn in turns])
    else:
        radii = {
            "circle": np.ones(64),
            "square": np.ones(4),
            "star": np.tile([1.0, 0.45], 5),
            "triangle": np.ones(3),
        }[shape]
        # A square rests on a side, the others stand with a tip up.
        first = np.pi / 4 if shape == "square" else -np.pi / 2
        angles = first + 2 * np.pi * np.arange(len(radii)) / len(radii)
        corners = radii[:, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    unit: Points = corners / np.sqrt(polygon_area(corners))
    return unit


def rotation(angle: float) -> Points:
    """Returns the matrix, float64 [2, 2], that turns column vectors by an angle in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def polygon_area(corners: Points) -> float:
    """Returns the area of a polygon that does not cross itself.

    Args:
        corners: float64 [corners, 2], in order around the polygon.
    """
    x, y = corners.T
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)


def polygon_mask(size: tuple[int, int], corners: Points) -> Floats:
    """Returns how much of each pixel a polygon covers, as float32 [height, width, 1] in 0..1.

    Args:
        size: width and height in pixels.
        corners: float64 [corners, 2], x and y in pixels.
    """
    width, height = size
    # Pillow draws polygons without antialiasing, hence the detour over a larger picture.
    large = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    outline = [(float(x), float(y)) for x, y in corners * _SUPERSAMPLING]
    ImageDraw.Draw(large).polygon(outline, fill=255)
    small = np.asarray(large.reduce(_SUPERSAMPLING), dtype=np.float32) / np.float32(255)
    return small[:, :, np.newaxis]


def stripes(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Returns soft stripes of a random direction, float32 [height, width, 1] in 0..1.

    Args:
        rng: source of the random choices.
        size: width and height in pixels.
    """
    period = rng.uniform(7, 18)
    waves: Floats = np.sin(_ramp(rng, size) * np.float32(2 * np.pi / period))
    return (waves + np.float32(1)) / np.float32(2)


def gradient(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Returns an even slope of a random direction, float32 [height, width, 1] in 0..1.

    Args:
        rng: source of the random choices.
        size: width and height in pixels.
    """
    return _stretched(_ramp(rng, size))


def blotches(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Returns large soft blotches, float32 [height, width, 1] in 0..1.

    Args:
        rng: source of the random choices.
        size: width and height in pixels.
    """
    coarse = Image.fromarray(rng.random((6, 6), dtype=np.float32))
    fine = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
    return _stretched(fine[:, :, np.newaxis])


def speckles(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Returns independent grains of about two pixels, float32 [height, width, 1] in 0..1.

    Args:
        rng: source of the random choices.
        size: width and height in pixels.
    """
    width, height = size
    coarse = Image.fromarray(rng.random((height // 2, width // 2), dtype=np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BILINEAR))[:, :, np.newaxis]


def _ramp(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Returns the distance in pixels along a random direction, float32 [height, width, 1]."""
    width, height = size
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width]
    ramp: Floats = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    return ramp[:, :, np.newaxis]


def _stretched(values: Floats) -> Floats:
    """Returns the values moved and scaled to fill 0..1, float32 of the same shape."""
    from_zero: Floats = values - values.min()
    filled: Floats = from_zero / from_zero.max()
    return filled


def contrasting_colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns two random colours of clearly different lightness, each float32 [3] in 0..255.

    Both have the same distribution: a shape is as often darker than its background as lighter.

    Args:
        rng: source of the random choices.
    """
    while True:
        one, other = rng.uniform(15, 240, size=(2, 3)).astype(np.float32)
        if abs(float((one - other) @ _LUMINANCE)) >= _MIN_CONTRAST:
            return one, other


def background(rng: np.random.Generator, size: tuple[int, int], colour: Floats) -> Floats:
    """Returns a plain, sloping, blotchy or striped background, float32 [height, width, 3].

    Args:
        rng: source of the random choices.
        size: width and height in pixels.
        colour: its middle colour, float32 [3] in 0..255.
    """
    width, height = size
    plain = np.broadcast_to(colour, (height, width, 3)).astype(np.float32)
    pattern = (None, gradient, blotches, stripes)[rng.integers(4)]
    if pattern is None:
        return plain
    # Weak enough never to hide the shape, whose lightness differs by _MIN_CONTRAST.
    swing = rng.uniform(-45, 45, size=3).astype(np.float32)
    return plain + (pattern(rng, size) - np.float32(0.5)) * swing


def add_distractors(rng: np.random.Generator, pixels: Floats) -> Floats:
    """Returns the picture with a few small blobs and thin lines in random colours on it.

    Args:
        rng: source of the random choices.
        pixels: float32 [height, width, 3] in 0..255; so is what comes back.
    """
    height, width, _ = pixels.shape
    for _ in range(rng.integers(2, 7)):
        is_line = rng.random() < 0.4
        half = (rng.uniform(6, 22), rng.uniform(0.5, 1.0)) if is_line else rng.uniform(1.5, 5, 2)
        centre = rng.uniform((0, 0), (width, height))
        turn = rotation(rng.uniform(0, np.pi))
        outline = shape_outline("square" if is_line else "circle")
        mask = polygon_mask((width, height), outline * half * 2 @ turn.T + centre)
        colour = rng.uniform(15, 240, size=3).astype(np.float32)
        pixels = _blend(pixels, colour, mask * np.float32(rng.uniform(0.4, 0.9)))
    return pixels


def add_shape(rng: np.random.Generator, pixels: Floats, shape: str, colour: Floats) -> Floats:
    """Returns the picture with the shape on it: turned, a bit stretched, wholly in the frame.

    Args:
        rng: source of the random choices.
        pixels: float32 [height, width, 3] in 0..255; so is what comes back.
        shape: one of SHAPES.
        colour: its main colour, float32 [3] in 0..255.
    """
    height, width, _ = pixels.shape
    size = (width, height)
    stretch = rng.uniform(0.9, 1.1)
    outline = shape_outline(shape) * (stretch, 1 / stretch)
    outline = outline @ rotation(rng.uniform(-_MAX_TURN, _MAX_TURN)).T
    outline *= rng.uniform(*_SHAPE_SIDE) * min(size)
    # Away from the middle, but not up to the edge: photographers aim at their object.
    low, high = -outline.min(axis=0), np.array(size) - outline.max(axis=0)
    centre = (low + high) / 2 + (high - low) / 2 * rng.uniform(-0.6, 0.6, size=2)
    mask = polygon_mask(size, outline + centre)
    if rng.random() < 0.3:
        # The rim lies inside the shape: around it, it would cover more of a star than of a circle.
        rim = (colour + rng.uniform(-60, 60, size=3)).astype(np.float32)
        pixels = _blend(pixels, rim, mask)
        mask = polygon_mask(size, outline * 0.8 + centre)
    return _blend(pixels, _filling(rng, size, colour), mask)


def _filling(rng: np.random.Generator, size: tuple[int, int], colour: Floats) -> Floats:
    """Returns the colour, plain or with a texture, as float32 that fits [height, width, 3]."""
    pattern = (None, None, stripes, speckles)[rng.integers(4)]
    if pattern is None:
        return colour
    swing = rng.uniform(-70, 70, size=3).astype(np.float32)
    return colour + (pattern(rng, size) - np.float32(0.5)) * swing


def _blend(below: Floats, above: Floats, mask: Floats) -> Floats:
    """Returns `above` where the mask is 1 and `below` where it is 0, float32 like `below`."""
    return below + (above - below) * mask


def draw_photo(rng: np.random.Generator, shape: str) -> Image.Image:
    """Returns a random RGB picture of a shape.

    Args:
        rng: source of the random choices.
        shape: one of SHAPES.
    """
    size = _SIZES[rng.integers(len(_SIZES))]
    behind, front = contrasting_colours(rng)
    pixels = add_distractors(rng, background(rng, size, behind))
    pixels = add_shape(rng, pixels, shape, front)
    pixels = pixels * np.float32(rng.uniform(0.7, 1.15))
    if rng.random() < 0.4:
        soft = _to_image(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
        pixels = np.asarray(soft, dtype=np.float32)
    # Last, as in a camera: the lens blurs, the sensor adds the noise.
    grain = rng.standard_normal(pixels.shape, dtype=np.float32)
    return _to_image(pixels + grain * np.float32(rng.uniform(4, 11)))


def _to_image(pixels: Floats) -> Image.Image:
    """Returns an RGB picture of float32 [height, width, 3], clipped to 0..255."""
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def draw_all(output_dir: Path) -> list[Path]:
    """Returns the files of all the photos, after writing them to one folder per shape.

    Args:
        output_dir: folder for the shapes' folders; made if need be.
    """
    written = []
    for shape_id, shape in enumerate(SHAPES):
        folder = output_dir / shape
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(FIRST_NUMBER, FIRST_NUMBER + PHOTOS_PER_SHAPE):
            # A seed for each photo: shapes or photos added at the end leave the others as they are.
            rng = np.random.default_rng((_SEED, shape_id, number))
            path = folder / f"{shape}_{number:03d}.jpg"
            # Without subsampling, as edges between colours are all there is to see here.
            draw_photo(rng, shape).save(path, quality=_JPEG_QUALITY, subsampling=0, optimize=True)
            written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the photos and says how many there are and how large they are together.

    Args:
        arguments: the command line without the program's name; the process's own by default.
    """
    parser = argparse.ArgumentParser(description="Draws the sample photos of five shapes.")
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("sample_images"),
        help="folder for the shapes' folders (default: %(default)s)",
    )
    output_dir: Path = parser.parse_args(arguments).output_dir
    written = draw_all(output_dir)
    total = sum(path.stat().st_size for path in written)
    print(f"{len(written)} photos, {total} bytes in {output_dir}")


if __name__ == "__main__":
    main()
