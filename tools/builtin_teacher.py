"""Thumbnails → crops of them, and a teacher's feature vectors of these."""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from image_retraining.backbone.loading import load_backbone
from image_retraining.features.engines.choice import choose_engine
from image_retraining.features.engines.engine import BATCH_SIZE
from image_retraining.foundation.parallel import overlapped

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# The same crops every time.
SEED = 20261122


@dataclass(frozen=True, slots=True)
class Crops:
    """A crop of each thumbnail.

    Attributes:
        boxes: float32 [N, 4], top, left, bottom, right, of 0 to 1; left beyond right mirrors.
        colours: float32 [N, 3, 4], what the colours (r, g, b, 1) are multiplied by.
    """

    boxes: Floats
    colours: Floats


def thumbnails(folder: Path) -> Pixels:
    """Returns uint8 [N, 128, 128, 3], the photos in a folder's tar files, in the order of names."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None and member.name.endswith(".jpg"):
                    found.append(np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")))
    return np.stack(found)


def whole(count: int) -> Crops:
    """Returns crops that leave the thumbnails as they are."""
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    return Crops(boxes, np.tile(np.eye(3, 4, dtype=np.float32), (count, 1, 1)))


def random_crops(count: int, number: int, *, least_area: float) -> Crops:
    """Returns the crops of a set: its number and their least area say which.

    They have sides of 3:4 to 4:3; half are mirrored, and colours are jittered in four of five.

    Args:
        count: how many.
        number: of the set.
        least_area: of a crop, as a share of the thumbnail; they have up to all of it.
    """
    rng = np.random.default_rng([SEED, number, round(least_area * 100)])
    area = rng.uniform(least_area, 1, count)
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), count))
    height = np.minimum(np.sqrt(area / aspect), 1)
    width = np.minimum(np.sqrt(area * aspect), 1)
    top, left = rng.uniform(size=(2, count)) * (1 - np.stack([height, width]))
    right = left + width
    mirrored = rng.uniform(size=count) < 0.5
    left, right = np.where(mirrored, right, left), np.where(mirrored, left, right)
    boxes = np.stack([top, left, top + height, right], axis=1).astype(np.float32)
    return Crops(boxes, _colour_jitter(rng, count))


def _colour_jitter(rng: np.random.Generator, count: int) -> Floats:
    """Returns float32 [count, 3, 4]: brightness, contrast, saturation and hue, a little of each."""
    luma = np.array([0.299, 0.587, 0.114])
    brightness, contrast, saturation = rng.uniform(0.6, 1.4, (3, count, 1, 1))
    # One in twenty becomes grey.
    saturation = np.where(rng.uniform(size=(count, 1, 1)) < 0.05, 0, saturation)
    grey = np.tile(luma, (3, 1))
    # A turn about the grey axis (Rodrigues' formula).
    angle = rng.uniform(-0.3, 0.3, (count, 1, 1))
    axis = np.sqrt(1 / 3) * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    hue = np.eye(3) + np.sin(angle) * axis + (1 - np.cos(angle)) * axis @ axis
    matrix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey) @ hue
    offset = np.broadcast_to(0.5 * (1 - contrast), (count, 3, 1))
    jittered = np.concatenate([matrix, offset], axis=2)
    is_plain = rng.uniform(size=(count, 1, 1)) < 0.2
    return np.where(is_plain, np.eye(3, 4), jittered).astype(np.float32)


def pictures(photos: Any, boxes: Any, colours: Any, side: int) -> Any:
    """Returns float32 [n, side, side, 3], 0 to 1: crops of uint8 [n, 128, 128, 3]."""
    crops = tf.image.crop_and_resize(
        tf.cast(photos, tf.float32) / 255.0, boxes, tf.range(tf.shape(photos)[0]), [side, side]
    )
    coloured = tf.einsum("nhwc,ndc->nhwd", crops, colours[:, :, :3])
    return tf.clip_by_value(coloured + colours[:, tf.newaxis, tf.newaxis, :, 3], 0.0, 1.0)


class Teacher:
    """Gives crops their feature vectors; keeps them in a folder."""

    def __init__(self, handle: str, folder: Path, precision: str) -> None:
        self._handle, self._folder, self._precision = handle, folder, precision
        self._engine: Any = None

    def vectors(self, photos: Pixels, crops: Crops, name: str) -> Any:
        """Returns float16 [N, D], a memory map; computed if they are not in the folder yet."""
        path = self._folder / f"{name}.npy"
        if not path.exists():
            with path.with_suffix(".part").open("wb") as file:
                np.save(file, self._computed(photos, crops, name))
            path.with_suffix(".part").rename(path)
        return np.load(path, mmap_mode="r")

    def _computed(self, photos: Pixels, crops: Crops, name: str) -> Any:
        if self._engine is None:
            backbone = load_backbone(self._handle)
            self._engine = choose_engine("auto", self._precision).make(backbone)
        found = np.empty([len(photos), self._engine.feature_size], np.float16)
        slices = (
            slice(start, min(start + BATCH_SIZE, len(photos)))
            for start in range(0, len(photos), BATCH_SIZE)
        )

        def vectors(rows: slice) -> Floats:
            side = self._engine.image_size[0]
            seen = pictures(photos[rows], crops.boxes[rows], crops.colours[rows], side).numpy()
            padded = np.pad(seen, [(0, BATCH_SIZE - len(seen)), (0, 0), (0, 0), (0, 0)])
            answer: Floats = self._engine(padded)[: len(seen)]
            return answer

        done = tqdm(total=len(photos), desc=f"teacher, {name}", mininterval=10)
        for rows, answer in overlapped(vectors, slices, streams=self._engine.streams):
            found[rows] = answer
            done.update(len(answer))
        return found
