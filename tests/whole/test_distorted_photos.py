import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, solid

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.features.engines import EngineChoice
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import FeatureSet
from image_retraining.head.descent import StoredVectors, batch_draw
from image_retraining.photos import pixels as images
from image_retraining.photos.distortions import Distortion
from image_retraining.retraining.distorted_photos import DistortedPhotos

BATCH_SIZE = 12
DISTORTION = Distortion(flip_left_right=True, random_crop=30, random_scale=20, random_brightness=30)
# Labels are sorted by name: blue, green, red; a photo's strongest channel tells which it is.
CHANNEL_OF_LABEL = np.array([2, 1, 0])


class CountingProgress(Progress):
    """Remembers how many photos were counted."""

    count = 0

    def advance(self, count: int = 1) -> None:
        self.count += count
        super().advance(count)


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture
def progress() -> Iterator[CountingProgress]:
    with CountingProgress("Training on distorted photos", 1000) as progress:
        yield progress


@pytest.fixture
def training(tmp_path: Path) -> FeatureSet:
    """Three noisy photos of each colour, so that every crop has its own statistics."""
    paths, label_ids = [], []
    for label_id, (label, colour) in enumerate(sorted(COLOURS.items())):
        for number in range(3):
            path = tmp_path / f"{label}{number}.png"
            path.write_bytes(encoded(solid(colour, noise=60, seed=number, size=20)))
            paths.append(str(path))
            label_ids.append(label_id)
    unused = np.full([len(paths), 6], np.nan, np.float32)
    return FeatureSet(unused, np.array(label_ids, np.int32), tuple(paths))


def source(
    training: FeatureSet,
    backbone: Backbone,
    progress: Progress,
    *,
    distortion: Distortion = DISTORTION,
    seed: int = 5,
) -> DistortedPhotos:
    return DistortedPhotos(
        training,
        EngineChoice().make(backbone),
        distortion,
        draw=batch_draw(training, batch_size=BATCH_SIZE, seed=seed),
        seed=seed,
        progress=progress,
    )


def batches(source: DistortedPhotos, steps: range) -> tuple[Any, Any]:
    """Returns features [steps, B, D] and label ids [steps, B] as the training takes them."""
    drawn = source.batches(steps)
    assert drawn.features.shape[:2] == drawn.label_ids.shape == (len(steps), BATCH_SIZE)
    return drawn.features, drawn.label_ids


def test_equal_steps_give_equal_batches(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    first, again = (batches(source(training, backbone, progress), range(5)) for _ in range(2))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()


@pytest.mark.parametrize("steps", [range(3, 5), range(1, 2)])
def test_a_resumed_training_gets_the_batches_of_a_straight_one(
    training: FeatureSet, backbone: Backbone, progress: Progress, steps: range
) -> None:
    features, label_ids = batches(source(training, backbone, progress), range(5))
    some_features, some_ids = batches(source(training, backbone, progress), steps)
    chosen = slice(steps.start, steps.stop)
    assert some_ids.tolist() == label_ids[chosen].tolist()
    # The place of a photo in a batch of the module may move a rounding.
    np.testing.assert_allclose(some_features, features[chosen], rtol=1e-6, atol=1e-6)


def test_every_step_sees_new_variations(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    features, _ = batches(source(training, backbone, progress), range(6))
    # 9 photos are drawn 72 times; each time they look different.
    rows = features.reshape([-1, backbone.feature_size])
    assert len(rows) == 72
    assert len(np.unique(rows.round(5), axis=0)) == 72


def test_another_seed_gives_other_batches(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    one, _ = batches(source(training, backbone, progress), range(1))
    other, _ = batches(source(training, backbone, progress, seed=6), range(1))
    assert not np.isclose(one, other).all(axis=2).any()


def test_labels_are_those_of_the_photos(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    features, label_ids = batches(source(training, backbone, progress), range(5))
    strongest = features[..., :3].argmax(axis=-1)
    assert strongest.tolist() == CHANNEL_OF_LABEL[label_ids].tolist()
    assert set(label_ids.ravel().tolist()) == {0, 1, 2}


def test_photos_are_drawn_as_stored_vectors_are(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    _, label_ids = batches(source(training, backbone, progress), range(5))
    draw = batch_draw(training, batch_size=BATCH_SIZE, seed=5)
    assert StoredVectors(training, draw=draw, seed=5).batches(range(5)).label_ids.tolist() == (
        label_ids.tolist()
    )


def test_without_distortions_the_photos_are_as_they_are(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    plain = source(training, backbone, progress, distortion=Distortion())
    features, _ = batches(plain, range(2, 6))
    draw = batch_draw(training, batch_size=BATCH_SIZE, seed=5)
    pixels = [images.pixels(Path(path).read_bytes(), (8, 8)) for path in training.paths]
    vectors = EngineChoice().make(backbone)(tf.stack(pixels).numpy())
    for row, step in zip(features, range(2, 6), strict=True):
        expected = vectors[draw(step)]
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-6)


def test_brightness_varies_within_its_bounds(
    training: FeatureSet, backbone: Backbone, progress: Progress
) -> None:
    bright = source(training, backbone, progress, distortion=Distortion(random_brightness=30))
    plain = source(training, backbone, progress, distortion=Distortion())
    # The first three features are means of channels, which brightness multiplies.
    ratio = (batches(bright, range(10))[0] / batches(plain, range(10))[0])[..., 0]
    assert ratio.min() == pytest.approx(0.7, abs=0.05)
    assert ratio.max() == pytest.approx(1.3, abs=0.05)
    assert ratio.min() >= 0.7 - 1e-5
    assert ratio.max() <= 1.3 + 1e-5


def test_every_photo_is_counted(
    training: FeatureSet, backbone: Backbone, progress: CountingProgress
) -> None:
    source(training, backbone, progress).batches(range(2, 9))
    assert progress.count == 7 * BATCH_SIZE


def vanish(path: str) -> None:
    os.unlink(path)


def be_html(path: str) -> None:
    Path(path).write_text("<!DOCTYPE html>")


def be_empty(path: str) -> None:
    Path(path).write_text("")


@pytest.mark.parametrize("breakage", [vanish, be_html, be_empty])
def test_a_photo_that_cannot_be_read_any_more_ends_the_training(
    training: FeatureSet,
    backbone: Backbone,
    progress: Progress,
    breakage: Callable[[str], None],
) -> None:
    broken = training.paths[4]
    photos = source(training, backbone, progress)
    breakage(broken)
    with pytest.raises(PhotoError, match="could be read before and cannot any more") as raised:
        photos.batches(range(20, 25))
    assert str(raised.value).startswith(broken)
