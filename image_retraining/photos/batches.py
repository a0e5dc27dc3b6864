"""Photos' bytes → batches of pictures, decoded in parallel while the caller computes.

A picture is the photo itself or a variation of it; a photo is decoded once for all of its pictures.

A photo that cannot be decoded is left out of the batches and named beside them; whoever wants the
reason asks `images.why_left_out`. So one bad photo costs nothing but itself.
"""

import collections
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_retraining.foundation.records import Floats
from image_retraining.photos import pixels
from image_retraining.photos.distortions import PLAIN, Variation

_Item = TypeVar("_Item")

# Numbers by which a caller knows its pictures.
Numbers = npt.NDArray[np.int64]

# Decoding goes on while the engine, of which one core is busy for half a second, is made.
_BATCHES_AHEAD = 8
# A group of photos ends when it holds so many bytes, to bound the memory that large ones take.
_LARGEST_GROUP = 16_000_000


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo to decode.

    Attributes:
        contents: the bytes of its file.
        pictures: which pictures to make of it, under numbers of the caller's choice; at least one.
    """

    contents: bytes
    pictures: Mapping[int, Variation]

    @classmethod
    def plain(cls, number: int, contents: bytes) -> Self:
        """Returns a photo of which one picture is to be made, the photo itself."""
        return cls(contents, {number: PLAIN})


@dataclass(frozen=True, slots=True)
class PhotoBatch:
    """Some pictures.

    Attributes:
        numbers: int64 [n], the caller's numbers of the pictures, in the order they were given.
        images: float32 [n, H, W, 3], RGB, from 0 up, to 1 in a photo itself; None when n is 0.
        undecodable: numbers of pictures given before the last of these whose photo cannot be
            decoded.
    """

    numbers: Numbers
    images: Any
    undecodable: tuple[int, ...]

    def padded(self, size: int) -> Floats:
        """Returns float32 [size, H, W, 3], the images and black ones after them.

        Batches of one size make a photo's vector independent of how many others came with it.
        """
        missing = size - len(self.numbers)
        images: Floats = self.images.numpy()
        return np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images


def photo_batches(
    photos: Iterable[Photo], image_size: tuple[int, int], *, batch_size: int
) -> Iterator[PhotoBatch]:
    """Yields the pictures of photos in batches, in their order.

    Every batch is full but the last; after it may come one of undecodable photos only.

    Args:
        photos: drawn from a thread.
        image_size: (H, W).
        batch_size: pictures a batch.

    Raises:
        Exception: whatever drawing from `photos` raises.
    """
    feed = _Feed(photos, batch_size)

    def decode(contents: Any, numbers: Any, variations: Any) -> Any:
        rows = tf.reshape(tf.io.decode_raw(variations, tf.float32), [-1, len(PLAIN)])
        return tf.io.decode_raw(numbers, tf.int64), pixels.variations(contents, image_size, rows)

    dataset = (
        tf.data.Dataset.from_generator(
            feed.groups, output_signature=(tf.TensorSpec([None], tf.string),) * 3
        )
        .unbatch()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors(log_warning=False)
        .rebatch(batch_size)
        .prefetch(_BATCHES_AHEAD)
    )
    try:
        for numbers, pictures in dataset:
            listed = numbers.numpy()
            yield PhotoBatch(listed, pictures, tuple(feed.skipped_before(listed.tolist())))
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
        drawn: numbers given to tf.data that have not come back yet, in order.
        failure: what ended the drawing early. `ignore_errors` swallows the errors of the whole
            pipeline, not only those of decoding, so that tf.data would end as if all were drawn.
    """

    def __init__(self, photos: Iterable[Photo], group_size: int) -> None:
        self._photos = iter(photos)
        self._group_size = group_size
        self.drawn: collections.deque[int] = collections.deque()
        self.failure: BaseException | None = None

    def groups(self) -> Iterator[tuple[list[bytes], list[bytes], list[bytes]]]:
        """Yields contents, numbers (int64) and variations (float32), the latter two as bytes."""
        try:
            for group in limited_groups(
                self._photos, self._group_size, size_of=lambda photo: len(photo.contents)
            ):
                for photo in group:
                    self.drawn.extend(photo.pictures)
                yield (
                    [photo.contents for photo in group],
                    [np.array([*photo.pictures], np.int64).tobytes() for photo in group],
                    [np.array([*photo.pictures.values()], np.float32).tobytes() for photo in group],
                )
        except BaseException as error:
            self.failure = error
            raise

    def skipped_before(self, numbers: list[int]) -> Iterator[int]:
        """Takes the numbers off `drawn`; yields those before them that did not come back."""
        for number in numbers:
            while (drawn := self.drawn.popleft()) != number:
                yield drawn
