"""Photos' bytes → batches of pictures, decoded in parallel while the caller computes.

A picture is the photo itself or a variation of it; a photo is decoded once for all of its pictures.

A photo that cannot be decoded is left out of the batches and named beside them; whoever wants the
reason asks `reading.why_left_out`. So one bad photo costs nothing but itself.
"""

import collections
import functools
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np
import tensorflow as tf

from image_retraining.foundation.records import Floats
from image_retraining.photos import pixels, reading
from image_retraining.photos.decoder_warnings import listened
from image_retraining.photos.decoding_room import DecodingRoom
from image_retraining.photos.distortions import PLAIN, Variation
from image_retraining.photos.header import pixel_count

Key = TypeVar("Key")
_Item = TypeVar("_Item")

# Decoding goes on while the engine, of which one core is busy for half a second, is made.
_BATCHES_AHEAD = 8
# Of a photo's contents, the number of its first picture, its variations, its orientation, and
# whether it is so large that it is decoded alone.
_PHOTO_KINDS = (tf.string, tf.int64, tf.string, tf.int32, tf.bool)
# A group of photos ends when it holds so many bytes, to bound the memory that large ones take.
_LARGEST_GROUP = 16_000_000


@dataclass(frozen=True, slots=True)
class Photo(Generic[Key]):
    """A photo to decode.

    Attributes:
        contents: the bytes of its file.
        pictures: which pictures to make of it, at least one, each under a key of the caller's: all
            that the caller needs to know when the picture comes back.
        orientation: how the camera held it, as EXIF has it; 1 leaves it as it lies.
    """

    contents: bytes
    pictures: Mapping[Key, Variation]
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class PhotoBatch(Generic[Key]):
    """Some pictures.

    Attributes:
        keys: n keys of the pictures, in the order they were given.
        images: float32 [n, H, W, 3], RGB, from 0 up, to 1 in a photo itself; None when n is 0.
        undecodable: keys of pictures given before the last of these whose photo cannot be decoded.
        is_suspect: whether a decoder has warned of a photo that may be one of these.
    """

    keys: tuple[Key, ...]
    images: Any
    undecodable: tuple[Key, ...]
    is_suspect: bool = False

    def without(self, left_out: Collection[Key]) -> Self:
        """Returns the batch without some of its pictures."""
        places = [place for place, key in enumerate(self.keys) if key not in left_out]
        return replace(
            self,
            keys=tuple(self.keys[place] for place in places),
            images=tf.gather(self.images, places) if places else None,
        )

    def padded(self, size: int) -> Floats:
        """Returns float32 [size, H, W, 3], the images and black ones after them.

        Batches of one size make a photo's vector independent of how many others came with it.
        """
        missing = size - len(self.keys)
        images: Floats = self.images.numpy()
        return np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else images


def plain_photos(
    paths: Iterable[str],
    *,
    upright: bool,
    note_unreadable: Callable[[int, str], object] = lambda *_: None,
) -> Iterator[Photo[int]]:
    """Yields the files that can be read as photos of one picture, the photo itself.

    Args:
        paths: the files; their numbers, from 0, are the keys.
        upright: whether they are turned as their EXIF orientation says.
        note_unreadable: is given the number of each other file, and why it cannot be read.
    """
    for number, path in enumerate(paths):
        try:
            photo = reading.read_prepared(path, upright=upright)
        except OSError as error:
            note_unreadable(number, error.strerror or str(error))
        else:
            yield Photo(photo.contents, {number: PLAIN}, photo.orientation)


def photo_batches(
    photos: Iterable[Photo[Key]], image_size: tuple[int, int], *, batch_size: int
) -> Iterator[PhotoBatch[Key]]:
    """Yields the pictures of photos in batches, in their order.

    Every batch is full but the last; after it may come one of undecodable photos only.

    Args:
        photos: drawn from a thread.
        image_size: (H, W).
        batch_size: pictures a batch.

    Raises:
        Exception: whatever drawing from `photos` raises.
    """
    room = DecodingRoom.now()
    feed = _Feed(photos, batch_size, room)
    dataset = (
        tf.data.Dataset.from_generator(
            feed.groups,
            output_signature=tuple(tf.TensorSpec([None], kind) for kind in _PHOTO_KINDS),
        )
        .unbatch()
        .map(_decoder(image_size), num_parallel_calls=room.streams, deterministic=True)
        .ignore_errors(log_warning=False)
        .rebatch(batch_size)
        .prefetch(_BATCHES_AHEAD)
        .with_options(without_tuning())
    )
    try:
        with listened() as has_warned:
            for numbers, pictures in dataset:
                if has_warned():
                    feed.suspect_drawn()
                keys, skipped, is_suspect = feed.take_back(numbers.numpy().tolist())
                yield PhotoBatch(keys, pictures, skipped, is_suspect)
    except KeyboardInterrupt as interruption:
        # Its traceback would keep tf.data's iterator, and with it the thread that draws photos.
        traceback.clear_frames(interruption.__traceback__)
        raise
    if feed.failure is not None:
        raise feed.failure
    if feed.drawn:
        yield PhotoBatch((), None, tuple(key for _, key in feed.drawn))


def without_tuning() -> tf.data.Options:
    """Returns options without the thread that tunes, whose sleep the end of a pipeline waits for.

    It sleeps for up to some seconds, and nobody wakes it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@functools.cache
def _decoder(image_size: tuple[int, int]) -> Any:
    """Returns what decodes a photo, which TensorFlow traces for 0.2 s: once a process."""
    specs = [tf.TensorSpec([], kind) for kind in _PHOTO_KINDS]
    mutex = tf.raw_ops.MutexV2(shared_name="one large photo at a time")

    @tf.function(input_signature=specs[:-1], autograph=False)
    def decode(contents: Any, first: Any, variations: Any, orientation: Any) -> Any:
        rows = tf.reshape(tf.io.decode_raw(variations, tf.float32), [-1, len(PLAIN)])
        numbers = first + tf.range(tf.shape(rows, tf.int64)[0])
        return numbers, pixels.variations(contents, image_size, rows, orientation)

    def decode_alone(*photo: Any) -> Any:
        lock = tf.raw_ops.MutexLock(mutex=mutex)
        with tf.control_dependencies([lock]):
            numbers, pictures = decode(*map(tf.identity, photo))
        # A function that is inlined counts as done before its results are there.
        with tf.control_dependencies([tf.identity(pictures)]):
            released = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
        with tf.control_dependencies([released]):
            return numbers, tf.identity(pictures)

    @tf.function(input_signature=specs, autograph=False)
    def decode_in_turn(*photo_and_alone: Any) -> Any:
        *photo, alone = photo_and_alone
        return tf.cond(alone, lambda: decode_alone(*photo), lambda: decode(*photo))

    return decode_in_turn


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


class _Feed(Generic[Key]):
    """Draws photos for tf.data, in groups, because each hand-over costs half a millisecond.

    Attributes:
        drawn: numbers and keys of pictures that tf.data has not given back yet, in order.
        failure: what ended the drawing early. `ignore_errors` swallows the errors of the whole
            pipeline, not only those of decoding, so that tf.data would end as if all were drawn.
    """

    def __init__(self, photos: Iterable[Photo[Key]], group_size: int, room: DecodingRoom) -> None:
        self._photos = iter(photos)
        self._group_size = group_size
        self._room = room
        self._count = self._suspect_below = 0
        self.drawn: collections.deque[tuple[int, Key]] = collections.deque()
        self.failure: BaseException | None = None

    def groups(self) -> Iterator[tuple[list[Any], ...]]:
        """Yields values of _PHOTO_KINDS, the variations (float32) as bytes.

        Each is a list of as many photos as the group has.
        """
        try:
            for group in limited_groups(
                self._numbered(), self._group_size, size_of=lambda photo: len(photo[1].contents)
            ):
                yield (
                    [photo.contents for _, photo, _ in group],
                    [first for first, _, _ in group],
                    [
                        np.array([*photo.pictures.values()], np.float32).tobytes()
                        for _, photo, _ in group
                    ],
                    [photo.orientation for _, photo, _ in group],
                    [is_large for _, _, is_large in group],
                )
        except BaseException as error:
            self.failure = error
            raise

    def suspect_drawn(self) -> None:
        """Puts all pictures that were drawn so far, and have not come back, under suspicion."""
        self._suspect_below = self._count

    def take_back(self, numbers: list[int]) -> tuple[tuple[Key, ...], tuple[Key, ...], bool]:
        """Returns the keys of pictures, and of those before them that did not come back.

        The last value is whether there are suspects among the pictures.
        """
        keys, skipped = [], []
        for number in numbers:
            while (drawn := self.drawn.popleft())[0] != number:
                skipped.append(drawn[1])
            keys.append(drawn[1])
        return tuple(keys), tuple(skipped), numbers[0] < self._suspect_below

    def _numbered(self) -> Iterator[tuple[int, Photo[Key], bool]]:
        """Yields the number of a photo's first picture, the photo, and whether it is large.

        A photo for which there is no memory is passed over, as if it could not be decoded.
        """
        for photo in self._photos:
            first = self._count
            self.drawn.extend(enumerate(photo.pictures, first))
            self._count += len(photo.pictures)
            pixels = pixel_count(photo.contents)
            if pixels <= self._room.most_alone:
                yield first, photo, pixels > self._room.most_pixels
