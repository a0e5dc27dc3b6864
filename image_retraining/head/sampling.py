"""Which photos a batch is made of: a class is drawn, then one of its photos.

A draw depends on the seed, its purpose and its number alone, so that a resumed training goes on
with the batches that the interrupted one would have drawn.
"""

import enum

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.records import FeatureSet, Floats, Ints

Indices = npt.NDArray[np.int64]


class Purpose(enum.IntEnum):
    """What is drawn, so that draws of equal seed and number differ. Another number, other draws."""

    TRAINING = 0
    VALIDATION = 1
    TESTING = 2
    VIEWS = 3
    DROPOUT = 4


def random_of(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """Returns the random numbers of one draw."""
    return np.random.default_rng([seed, purpose, number])


class Sampler:
    """Draws photos, with replacement."""

    def __init__(
        self, label_ids: Ints, *, seed: int, purpose: Purpose, class_weights: Floats | None = None
    ) -> None:
        """Prepares draws from some photos.

        Args:
            label_ids: int32 [N], ascending, N at least 1.
            seed: any whole number from 0 up.
            purpose: of the draws.
            class_weights: float [C], how much a photo of each class counts, above 0 for a class
                that has photos. None draws every class as often, however large it is.
        """
        present, self._starts, self._counts = np.unique(
            label_ids, return_index=True, return_counts=True
        )
        self._shares = None
        if class_weights is not None:
            shares = class_weights[present].astype(np.float64) * self._counts
            self._shares = shares / shares.sum()
        self._seed = seed
        self._purpose = purpose

    def draw(self, number: int, size: int) -> Indices:
        """Returns int64 [size], indices of photos; equal numbers give equal draws."""
        random = random_of(self._seed, self._purpose, number)
        if self._shares is None:
            classes = random.integers(len(self._starts), size=size)
        else:
            classes = random.choice(len(self._starts), size=size, p=self._shares)
        return self._starts[classes] + random.integers(self._counts[classes])


def without_replacement(
    count: int, size: int, *, seed: int, purpose: Purpose, number: int = 0
) -> Indices:
    """Returns int64 [size], ascending indices of photos, none twice; each is as likely as another.

    Args:
        count: how many photos there are.
        size: how many of them, at most `count`.
        seed: any whole number from 0 up.
        purpose: of the draw.
        number: of the draw.
    """
    drawn = random_of(seed, purpose, number).permutation(count)[:size]
    return np.sort(drawn)


def at_most(photos: FeatureSet, count: int, *, seed: int, purpose: Purpose) -> FeatureSet:
    """Returns the photos; of more than so many, so many that are drawn, none twice."""
    if len(photos) <= count:
        return photos
    return photos.rows(without_replacement(len(photos), count, seed=seed, purpose=purpose).tolist())


def evenly(label_ids: Ints, at_most: int) -> list[int]:
    """Returns indices of photos: the first of each class, then the second of each, and so on.

    Args:
        label_ids: int32 [N], ascending.
        at_most: how many of them; they come in their order.
    """
    _, starts, counts = np.unique(label_ids, return_index=True, return_counts=True)
    rounds = np.arange(len(label_ids)) - np.repeat(starts, counts)
    rows: list[int] = np.argsort(rounds, kind="stable")[:at_most].tolist()
    return sorted(rows)
