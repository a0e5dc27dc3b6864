"""Photos' bytes → batches of pixels, decoded in parallel while the caller computes.

A photo that cannot be decoded is left out of the batches and named beside them; whoever wants the
reason asks `images.why_left_out`. So one bad photo costs nothing but itself.
"""

import collections
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_retraining.records import Floats

_Item = TypeVar("_Item")

# Numbers by which a caller knows its photos.
Positions = npt.NDArray[np.int64]

# Decoding goes on while the engine, of which one core is busy for half a second, is made.
_BATCHES_AHEAD = 8
# A group of photos ends when it holds so many bytes, to bound the memory that large ones take.
_LARGEST_GROUP = 16_000_000


@dataclass(frozen=True, slots=True)
class PhotoBatch:
    """Some photos, decoded.

    Attributes:
        positions: int64 [n], the caller's numbers of the photos, in the order they were given.
        images: float32 [n, H, W, 3], RGB, 0 to 1; None when n is 0.
        undecodable: numbers of photos given before the last of these that cannot be decoded.
    """

    positions: Positions
    images: Any
    undecodable: tuple[int, ...]

    def padded(self, size: int) -> Floats:
        """Returns float32 [size, H, W, 3], the images and black ones after them.

        Batches of one size make a photo's vector independent of how many others came with it.
        """
        missing = size - len(self.positions)
        images: Floats = self.images.numpy()
        return np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images


def photo_batches(
    photos: Iterable[tuple[int, bytes]],
    to_pixels: Callable[[Any, Any], Any],
    *,
    batch_size: int,
) -> Iterator[PhotoBatch]:
    """Yields the photos in batches, in their order.

    Every batch is full but the last; after it may come one of undecodable photos only.

    Args:
        photos: pairs of a number of the caller's choice and a file's bytes; drawn from a thread.
        to_pixels: from string and int64 scalars, such a pair, to float32 [H, W, 3]; traced.
        batch_size: photos a batch.

    Raises:
        Exception: whatever drawing from `photos` raises.
    """
    feed = _Feed(photos, batch_size)
    dataset = (
        tf.data.Dataset.from_generator(
            feed.groups,
            output_signature=(tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.string)),
        )
        .unbatch()
        .map(
            lambda position, contents: (position, to_pixels(contents, position)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .ignore_errors(log_warning=False)
        .batch(batch_size)
        .prefetch(_BATCHES_AHEAD)
    )
    try:
        for positions, images in dataset:
            numbers = positions.numpy()
            yield PhotoBatch(numbers, images, tuple(feed.skipped_before(numbers.tolist())))
    except KeyboardInterrupt as interruption:
        # Its traceback would keep tf.data's iterator, and with it the thread that draws photos.
        traceback.clear_frames(interruption.__traceback__)
        raise
    if feed.failure is not None:
        raise feed.failure
    if feed.drawn:
        yield PhotoBatch(np.empty([0], np.int64), None, tuple(feed.drawn))


def limited_groups(
    items: Iterable[_Item], count: int, *, size_of: Callable[[_Item], int]
) -> Iterator[list[_Item]]:
    """Yields the items in groups of at most so many, ending a group when it holds 16 MB.

    Args:
        items: photos, of which one more than needed is never drawn.
        count: items a group, at most.
        size_of: an item's bytes.
    """
    group: list[_Item] = []
    held = 0
    for item in items:
        group.append(item)
        held += size_of(item)
        if len(group) == count or held >= _LARGEST_GROUP:
            yield group
            group, held = [], 0
    if group:
        yield group


class _Feed:
    """Draws photos for tf.data, in groups, because each hand-over costs half a millisecond.

    Attributes:
        drawn: positions given to tf.data that have not come back yet, in order.
        failure: what ended the drawing early. `ignore_errors` swallows the errors of the whole
            pipeline, not only those of decoding, so that tf.data would end as if all were drawn.
    """

    def __init__(self, photos: Iterable[tuple[int, bytes]], group_size: int) -> None:
        self._photos = iter(photos)
        self._group_size = group_size
        self.drawn: collections.deque[int] = collections.deque()
        self.failure: BaseException | None = None

    def groups(self) -> Iterator[tuple[list[int], list[bytes]]]:
        try:
            for group in limited_groups(
                self._photos, self._group_size, size_of=lambda photo: len(photo[1])
            ):
                positions, contents = zip(*group, strict=True)
                self.drawn.extend(positions)
                yield list(positions), list(contents)
        except BaseException as error:
            self.failure = error
            raise

    def skipped_before(self, positions: list[int]) -> Iterator[int]:
        """Takes the positions off `drawn`; yields those before them that did not come back."""
        for position in positions:
            while (drawn := self.drawn.popleft()) != position:
                yield drawn
