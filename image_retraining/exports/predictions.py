"""Photo files + frozen graph → what the graph says of each."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from image_retraining.exports.classifier import ZERO_TO_ONE, PixelRange, Scorer
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import Floats, Prediction
from image_retraining.photos import pixels, reading
from image_retraining.photos.batches import PhotoBatch, photo_batches, plain_photos
from image_retraining.photos.damage import Damage
from image_retraining.photos.decoder_warnings import listened
from image_retraining.photos.decoding_room import check_room_for

_BATCH_SIZE = 32


def predict(
    graph: Scorer,
    paths: Sequence[str],
    *,
    image_size: tuple[int, int],
    upright: bool,
    taken: PixelRange = ZERO_TO_ONE,
) -> Iterator[Prediction]:
    """Yields a prediction for each photo, in their order; unreadable ones with the reason.

    Args:
        graph: takes float32 [N, H, W, 3].
        paths: photo files.
        image_size: (H, W).
        upright: whether photos are turned as their EXIF orientation says.
        taken: how the graph takes pixels.
    """
    unreadable: dict[int, str] = {}
    # Black photos that fill a batch take time, too; it is all there is of a few photos.
    size = min(_BATCH_SIZE, len(paths))

    def rows_of(batch: PhotoBatch[int]) -> Sequence[Floats]:
        if batch.images is None:
            return ()
        fed = in_range(batch.padded(size), taken)
        return list(graph.scores(fed)[: len(batch.keys)])

    photos = plain_photos(paths, upright=upright, note_unreadable=unreadable.__setitem__)
    batches = photo_batches(photos, image_size, batch_size=_BATCH_SIZE)
    next_position = 0
    for batch, rows in overlapped(rows_of, batches, streams=graph.streams):
        for position in batch.undecodable:
            unreadable[position] = reading.why_left_out(paths[position])
        suspects = batch.keys if batch.is_suspect else ()
        damages = {position: reading.damage_in(paths[position]) for position in suspects}
        scores = dict(zip(batch.keys, rows, strict=True))
        while scores:
            path, position, next_position = paths[next_position], next_position, next_position + 1
            if position in scores:
                yield _prediction(path, scores.pop(position), damages.get(position))
            else:
                yield Prediction(path, None, unreadable.pop(position))
    for position in range(next_position, len(paths)):
        yield Prediction(paths[position], None, unreadable[position])


def predict_files(
    scores_of_file: Callable[[bytes], Floats],
    paths: Sequence[str],
    *,
    upright: bool,
    streams: int,
) -> Iterator[Prediction]:
    """Yields the same from a graph that takes the bytes of photo files.

    Args:
        scores_of_file: gives float32 [C], or raises PhotoError.
        paths: photo files.
        upright: whether they are turned as their EXIF orientation says.
        streams: how many photos are best scored at a time.
    """

    def prediction(path: str) -> Prediction:
        try:
            scores = scores_of_file(_file_of(path, upright=upright))
            # Where the graph decodes, nobody hears which photos make the decoder warn.
            return _prediction(path, scores, reading.damage_in(path))
        except OSError as error:
            return Prediction(path, None, error.strerror or str(error))
        except PhotoError as error:
            return Prediction(path, None, str(error))

    with listened():
        for _, answer in overlapped(prediction, iter(paths), streams=streams):
            yield answer


def _prediction(path: str, scores: Floats, damage: Damage | None) -> Prediction:
    """Returns what is said of a photo that was decoded."""
    if damage is None:
        return Prediction(path, scores)
    if damage.is_mostly_missing:
        return Prediction(path, None, str(damage))
    return Prediction(path, scores, damage=str(damage))


def _file_of(path: str, *, upright: bool) -> bytes:
    """Returns the bytes of a photo, for a graph that decodes them as they are.

    Raises:
        OSError: it cannot be read.
    """
    photo = reading.read_prepared(path, upright=upright)
    check_room_for(photo.contents)
    if photo.orientation == 1:
        return photo.contents
    try:
        return pixels.as_png(pixels.in_full(photo.contents, photo.orientation))
    except tf.errors.InvalidArgumentError:
        # The graph says so in its own words.
        return photo.contents


def in_range(photos: Floats, taken: PixelRange) -> Floats:
    """Returns float32 [N, H, W, 3] of 0 to 1 as a graph takes them."""
    if taken == ZERO_TO_ONE:
        return photos
    mean, std = np.array(taken.mean, np.float32), np.array(taken.std, np.float32)
    return (photos * np.float32(255.0) - mean) / std


def top(scores: Floats, count: int) -> list[int]:
    """Returns the label_ids of the highest scores, best first; of equal ones the lower id first."""
    order = np.argsort(-scores, kind="stable")
    return [int(label_id) for label_id in order[:count]]
