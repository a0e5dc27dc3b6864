"""Training photos → batches of freshly distorted ones, never cached: the ancestor's way.

Every step sees new variations, so every step runs the module on as many photos as a batch has.
"""

from collections.abc import Iterator

import numpy as np

from image_retraining.features.engines import BATCH_SIZE, Engine, computed
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import FeatureSet
from image_retraining.head.descent import BatchDraw, StepBatches
from image_retraining.head.sampling import Indices
from image_retraining.photos import pixels
from image_retraining.photos.batches import Photo, PhotoBatch, photo_batches
from image_retraining.photos.distortions import Distortion, drawn


class DistortedPhotos:
    """Batches of distorted training photos; equal steps get equal distortions."""

    def __init__(
        self,
        training: FeatureSet,
        engine: Engine,
        distortion: Distortion,
        *,
        draw: BatchDraw,
        seed: int,
        progress: Progress,
    ) -> None:
        """Prepares drawing from some photos.

        Args:
            training: the photos; their undistorted feature vectors are not used.
            engine: turns the distorted photos into feature vectors.
            distortion: what to vary.
            draw: step → int64 [B], the photos of its batch.
            seed: of the distortions.
            progress: counts photos.
        """
        self._training = training
        self._engine = engine
        self._distortion = distortion
        self._draw = draw
        self._seed = seed
        self._progress = progress

    def batches(self, steps: range) -> StepBatches:
        """Returns the batches of some steps."""
        draws = np.stack([self._draw(step) for step in steps])
        features = np.empty([draws.size, self._engine.feature_size], np.float32)
        first = steps[0] * draws.shape[1]
        batches = self._decoded(draws, first)
        for numbers, rows in computed(batches, lambda: self._engine):
            features[numbers - first] = rows
            self._progress.advance(len(rows))
        return StepBatches(features.reshape([*draws.shape, -1]), self._training.label_ids[draws])

    def _decoded(self, draws: Indices, first: int) -> Iterator[PhotoBatch]:
        """Yields the drawn photos, distorted."""
        photos = self._photos(draws, first)
        for batch in photo_batches(photos, self._engine.image_size, batch_size=BATCH_SIZE):
            for number in batch.undecodable:
                path = self._training.paths[draws.flat[number - first]]
                raise PhotoError(f"{path} could be read before and cannot any more. Run again.")
            yield batch

    def _photos(self, draws: Indices, first: int) -> Iterator[Photo]:
        """Yields the drawn photos, numbered over the whole training."""
        for number, index in enumerate(draws.flat, start=first):
            path = self._training.paths[index]
            try:
                contents = pixels.read(path)
            except OSError as error:
                raise PhotoError(
                    f"{path} could be read before and cannot any more: {error.strerror or error}. "
                    "Run again."
                ) from error
            key = f"{self._seed} {number}".encode()
            yield Photo(contents, {number: drawn(self._distortion, key)})
