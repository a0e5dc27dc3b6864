"""Feature vectors → the batches that steps learn from, which one seed and step always give."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.foundation.records import FeatureSet, Floats, Ints
from image_retraining.head.sampling import Purpose, Sampler, random_of

# All vectors of fewer bytes are handed to TensorFlow once, which draws from them; of more, those
# that are drawn, time and again. Handing over 4000 batches of 1280 features takes a second.
MOST_HANDED_OVER = 64_000_000


@dataclass(frozen=True, slots=True)
class StepBatches:
    """What some steps learn from.

    Attributes:
        vectors: float32 [n, D], of photos that are drawn.
        tensor: the same, as TensorFlow has it.
        rows: int32 [steps, B], which of them each step learns from.
        label_ids: int32 [steps, B].
    """

    vectors: Floats
    tensor: Any
    rows: Ints
    label_ids: Ints

    @property
    def features(self) -> Floats:
        """float32 [steps, B, D]."""
        return self.vectors[self.rows]


class TrainingBatches:
    """Batches drawn from feature vectors: of photos, and of their views if they have any.

    A photo and each of its views are equally likely.
    """

    def __init__(
        self,
        training: FeatureSet,
        *,
        batch_size: int,
        seed: int,
        class_weights: Floats | None = None,
    ) -> None:
        """Prepares batches.

        Args:
            training: N photos, N at least 1.
            batch_size: B, photos a batch.
            seed: of all draws.
            class_weights: as for Sampler.
        """
        self._training = training
        self._batch_size = batch_size
        self._seed = seed
        self._sampler = Sampler(
            training.label_ids, seed=seed, purpose=Purpose.TRAINING, class_weights=class_weights
        )
        vectors = training.features
        is_handed_over = training.views is None and vectors.nbytes <= MOST_HANDED_OVER
        self._tensor = tf.constant(vectors) if is_handed_over else None

    def of(self, steps: range) -> StepBatches:
        """Returns the batches of some steps; equal steps get equal batches."""
        draws = np.stack([self._sampler.draw(step, self._batch_size) for step in steps])
        label_ids = self._training.label_ids[draws]
        if self._tensor is not None:
            rows = draws.astype(np.int32)
            return StepBatches(self._training.features, self._tensor, rows, label_ids)
        vectors = self._drawn(steps, draws)
        rows = np.arange(len(vectors), dtype=np.int32).reshape(draws.shape)
        return StepBatches(vectors, tf.constant(vectors), rows, label_ids)

    def _drawn(self, steps: range, draws: Any) -> Floats:
        """Returns float32 [steps * B, D], what is drawn, in its order."""
        features: Floats = self._training.features[draws]
        views = self._training.views
        if views is not None:
            for place, step in enumerate(steps):
                random = random_of(self._seed, Purpose.VIEWS, step)
                chosen = random.integers(1 + views.shape[1], size=draws.shape[1])
                is_view = chosen > 0
                features[place, is_view] = views[draws[place, is_view], chosen[is_view] - 1]
        vectors: Floats = features.reshape(-1, features.shape[-1])
        return vectors
