"""What an engine is, and batches of photos → vectors by one."""

import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import Floats
from image_retraining.photos.batches import PhotoBatch
from image_retraining.photos.feed import Key

BATCH_SIZE = 32
FLOAT32, BFLOAT16 = "float32", "bfloat16"


class Engine(Protocol):
    """Computes the feature vectors of a batch of photos."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)."""

    @property
    def feature_size(self) -> int:
        """D."""

    @property
    def streams(self) -> int:
        """How many batches are best computed at a time, each by a thread of the caller."""

    def __call__(self, photos: Floats) -> Floats:
        """Returns float32 [32, D] for float32 [32, H, W, 3], RGB, 0 to 1."""


class EngineKind(Protocol):
    """An engine before it is made, which takes a second."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def suits(self) -> bool:
        """Whether it is the one to take on this machine, if nobody chose another."""

    def check(self, precision: str) -> None:
        """Checks that this machine can compute by it, in such a precision.

        Raises:
            EngineError: it cannot; the message says what to do.
        """

    def make(self, frozen: FrozenModule, precision: str) -> Engine:
        """Returns the engine of a module, ready to compute.

        Raises:
            EngineError: it does not take the module.
        """


def computed(
    batches: Iterator[PhotoBatch[Key]], make_engine: Callable[[], Engine]
) -> Iterator[tuple[tuple[Key, ...], Floats]]:
    """Yields the keys and vectors of batches; while these are stored, others are computed.

    The engine is made for the first batch, if there is one.
    """
    first = next(batches, None)
    if first is None:
        return
    engine = make_engine()

    def vectors_of(batch: PhotoBatch[Key]) -> Floats:
        return engine(batch.padded(BATCH_SIZE))[: len(batch.keys)]

    every = itertools.chain([first], batches)
    for batch, vectors in overlapped(vectors_of, every, streams=engine.streams):
        yield batch.keys, vectors
