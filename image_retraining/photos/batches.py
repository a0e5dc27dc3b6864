"""Photos' bytes → batches of pictures, decoded in parallel while the caller computes.

A picture is the photo itself or a variation of it; a photo is decoded once for all of its pictures.

A photo that cannot be decoded is left out of the batches and named beside them; whoever wants the
reason asks `reading.why_left_out`. So one bad photo costs nothing but itself.

Many photos go through tf.data, which takes a third of a second to begin; few through a pool of
threads, which begins at once and takes a fifth longer for each. There, what is plain and small is
decoded op by op: no function is traced and optimized first, which takes half a second.
"""

import functools
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Self

import numpy as np
import tensorflow as tf

from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import Floats
from image_retraining.photos import pixels, reading
from image_retraining.photos.decoder_warnings import listened
from image_retraining.photos.decoding_room import SMALL_PIXELS, DecodingRoom
from image_retraining.photos.distortions import PLAIN
from image_retraining.photos.feed import PHOTO_KINDS, Drawn, Feed, Key, Photo
from image_retraining.photos.header import pixel_count

# Decoding goes on while the engine, of which one core is busy for half a second, is made.
_BATCHES_AHEAD = 8
# Not a GPU, whose pixels are others in their last bits.
_PROCESSOR = "/CPU:0"
_PLAIN = np.array([PLAIN], np.float32).tobytes()
# Photos for which to begin tf.data takes longer than it saves, all but those of 100 processors.
FEW = 256


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
        photos: drawn from a thread, where they are many.
        image_size: (H, W).
        batch_size: pictures a batch.

    Raises:
        Exception: whatever drawing from `photos` raises.
    """
    room = DecodingRoom.now()
    feed = Feed(photos, room)
    few = feed.few(FEW)
    if few is None:
        decoded = _by_tf_data(feed, image_size, batch_size, room.streams)
    else:
        decoded = _by_threads(few, image_size, batch_size, room.streams)
    try:
        with listened() as has_warned:
            for numbers, pictures in decoded:
                if has_warned():
                    feed.suspect_drawn()
                is_full = len(numbers) == batch_size
                if feed.failure is not None and not is_full:
                    break
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


def _by_tf_data(
    feed: Feed[Key], image_size: tuple[int, int], batch_size: int, streams: int
) -> Iterable[tuple[Any, Any]]:
    """Returns what gives numbers and pictures of batches, of many photos."""
    dataset: Iterable[tuple[Any, Any]] = (
        tf.data.Dataset.from_generator(
            partial(feed.groups, batch_size),
            output_signature=tuple(tf.TensorSpec([None], kind) for kind in PHOTO_KINDS),
        )
        .unbatch()
        .map(decoder(image_size), num_parallel_calls=streams, deterministic=True)
        .ignore_errors(log_warning=False)
        .rebatch(batch_size)
        .prefetch(_BATCHES_AHEAD)
        .with_options(without_tuning())
    )
    return dataset


def _by_threads(
    photos: list[Drawn], image_size: tuple[int, int], batch_size: int, streams: int
) -> Iterator[tuple[Any, Any]]:
    """Yields numbers and pictures of batches, of few photos, as tf.data does."""
    in_one = decoder(image_size)
    op_by_op = partial(_op_by_op, image_size)
    waiting: tuple[list[Any], list[Any]] = ([], [])
    held = 0

    def decoded(photo: Drawn) -> Any:
        """Returns its numbers and pictures, or None if it cannot be decoded."""
        try:
            with tf.device(_PROCESSOR):
                decode = op_by_op if _is_simple(photo) else in_one
                return decode(*map(tf.constant, photo, PHOTO_KINDS))
        except (tf.errors.OpError, UnicodeDecodeError):
            # As why_unreadable says, which tells the reason to whoever asks.
            return None

    for _, found in overlapped(decoded, iter(photos), streams=streams):
        if found is None:
            continue
        for parts, part in zip(waiting, found, strict=True):
            parts.append(part)
        held += len(found[0])
        while held >= batch_size:
            numbers, pictures = (tf.concat(parts, 0) for parts in waiting)
            yield numbers[:batch_size], pictures[:batch_size]
            waiting = [numbers[batch_size:]], [pictures[batch_size:]]
            held -= batch_size
    if held:
        numbers, pictures = (tf.concat(parts, 0) for parts in waiting)
        yield numbers, pictures


def _is_simple(photo: Drawn) -> bool:
    """Whether a photo is wanted as it is, and so small that nobody need save memory for it.

    Op by op, the colours are in memory twice as float32.
    """
    contents, _, variations, _, is_alone = photo
    return variations == _PLAIN and not is_alone and pixel_count(contents) <= SMALL_PIXELS


def _op_by_op(
    image_size: tuple[int, int], contents: Any, number: Any, _: Any, orientation: Any, __: Any
) -> tuple[Any, Any]:
    """Returns the number and the picture of a photo that is simple, as `decoder` does."""
    picture = pixels.pixels(contents, image_size, orientation)
    return number[tf.newaxis], picture[tf.newaxis]


def without_tuning() -> tf.data.Options:
    """Returns options without the thread that tunes, whose sleep the end of a pipeline waits for.

    It sleeps for up to some seconds, and nobody wakes it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@functools.cache
def decoder(image_size: tuple[int, int]) -> Any:
    """Returns what decodes a photo, which TensorFlow traces for 0.2 s: once a process.

    It is called from two places. TensorFlow would put it into both and optimize both whenever
    photos are begun to be read, which took twice as long.
    """
    specs = [tf.TensorSpec([], kind) for kind in PHOTO_KINDS]
    mutex = tf.raw_ops.MutexV2(shared_name="one large photo at a time")

    called = {"_noinline": True}

    @tf.function(input_signature=specs[:-1], autograph=False, experimental_attributes=called)
    def decode(contents: Any, first: Any, variations: Any, orientation: Any) -> Any:
        rows = tf.reshape(tf.io.decode_raw(variations, tf.float32), [-1, len(PLAIN)])
        numbers = first + tf.range(tf.shape(rows, tf.int64)[0])
        with tf.device(_PROCESSOR):
            return numbers, pixels.variations(contents, image_size, rows, orientation)

    def decode_alone(*photo: Any) -> Any:
        lock = tf.raw_ops.MutexLock(mutex=mutex)
        with tf.control_dependencies([lock]):
            numbers, pictures = decode(*map(tf.identity, photo))
        with tf.control_dependencies([tf.identity(pictures)]):
            released = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
        with tf.control_dependencies([released]):
            return numbers, tf.identity(pictures)

    @tf.function(input_signature=specs, autograph=False)
    def decode_in_turn(*photo_and_alone: Any) -> Any:
        *photo, alone = photo_and_alone
        return tf.cond(alone, lambda: decode_alone(*photo), lambda: decode(*photo))

    return decode_in_turn
