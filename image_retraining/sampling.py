"""Which photos a batch is made of: drawn evenly over the classes, then over a class's photos.

A draw depends on the seed, its purpose and its number alone, so that a resumed training goes on
with the batches that the interrupted one would have drawn.
"""

import numpy as np
import numpy.typing as npt

from image_retraining.records import Ints

Indices = npt.NDArray[np.int64]


class Sampler:
    """Draws photos, with replacement, so that every class comes as often however large it is."""

    def __init__(self, label_ids: Ints, *, seed: int, purpose: int) -> None:
        """Prepares draws from some photos.

        Args:
            label_ids: int32 [N], ascending, N at least 1.
            seed: any whole number from 0 up.
            purpose: tells apart draws of equal seed and number for different uses.
        """
        _, self._starts, self._counts = np.unique(label_ids, return_index=True, return_counts=True)
        self._seed = seed
        self._purpose = purpose

    def draw(self, number: int, size: int) -> Indices:
        """Returns int64 [size], indices of photos; equal numbers give equal draws."""
        random = np.random.default_rng([self._seed, self._purpose, number])
        classes = random.integers(len(self._starts), size=size)
        return self._starts[classes] + random.integers(self._counts[classes])
