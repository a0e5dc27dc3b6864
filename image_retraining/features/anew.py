"""Photos that are known → their feature vectors as they would be computed today."""

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TypeAlias

from image_retraining.features.engines.engine import BATCH_SIZE, Engine, computed
from image_retraining.foundation.records import Floats
from image_retraining.photos import reading
from image_retraining.photos.batches import PhotoBatch, photo_batches
from image_retraining.photos.distortions import PLAIN
from image_retraining.photos.feed import Photo
from image_retraining.photos.preparation import Preparation, prepared

# A file, and what tells its photo from others, as FeatureSet.digests.
_Known: TypeAlias = tuple[str, bytes]


def computed_anew(
    paths: Sequence[str],
    image_size: tuple[int, int],
    make_engine: Callable[[], Engine],
    *,
    upright: bool,
) -> Mapping[str, tuple[bytes, Floats]]:
    """Returns path → digest and feature vector float32 [D], of what can be read at present.

    Args:
        paths: the photos; few, for all vectors are held.
        image_size: (H, W) of the engine.
        make_engine: makes it, if there is a photo.
        upright: whether photos are turned as their EXIF orientation says.
    """
    found: dict[str, tuple[bytes, Floats]] = {}
    with contextlib.closing(_batches(paths, image_size, upright=upright)) as batches:
        for keys, vectors in computed(batches, make_engine):
            found |= {path: (digest, vectors[row]) for row, (path, digest) in enumerate(keys)}
    return found


def _batches(
    paths: Sequence[str], image_size: tuple[int, int], *, upright: bool
) -> Generator[PhotoBatch[_Known], None, None]:
    photos = _photos(paths, upright=upright)
    for batch in photo_batches(photos, image_size, batch_size=BATCH_SIZE):
        if batch.images is not None:
            yield batch


def _photos(paths: Sequence[str], *, upright: bool) -> Iterator[Photo[_Known]]:
    for path in paths:
        # Who asks sees what is missing.
        with contextlib.suppress(OSError):
            contents = reading.read(path)
            preparation = Preparation.of(contents).wanted(upright=upright)
            ready = prepared(contents, preparation)
            digest = preparation.digest(hashlib.sha256(contents).digest())
            yield Photo(ready.contents, {(path, digest): PLAIN}, ready.orientation)
