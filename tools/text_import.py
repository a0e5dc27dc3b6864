"""Text bottlenecks → the cache, after a test of some of them."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from absl import logging
from text_bottlenecks import TextBottlenecks, module_part, modules_named, read_text_bottlenecks

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.known_files import PhotoFile, PhotoFiles
from image_retraining.cache.vectors import BottleneckCache, imported_recipe
from image_retraining.features.engines.engine import BATCH_SIZE, Engine
from image_retraining.foundation.errors import RetrainError
from image_retraining.foundation.records import Catalog, Floats
from image_retraining.photos import reading
from image_retraining.photos.batches import photo_batches, plain_photos
from image_retraining.photos.preparation import Preparation

# Other releases of TensorFlow decode photos a little differently; other photos or modules differ
# by far more. Relative to the largest number of a vector.
_TOLERANCE = 0.01
_NAMED_AT_MOST = 5
_STORED_AT_ONCE = 500


class ImportedError(RetrainError):
    """Text bottlenecks cannot be taken in."""


def import_bottlenecks(
    folder: str, catalog: Catalog, backbone: Backbone, cache: BottleneckCache, engine: Engine
) -> None:
    """Takes the text bottlenecks of a catalog's photos into the cache, and logs how many.

    Args:
        folder: the example's --bottleneck_dir.
        catalog: the photos.
        backbone: the module, named as it was then.
        cache: where they go.
        engine: computes a batch of them anew, to test them.

    Raises:
        ImportedError: there are none of this module, or they are not what the module gives.
    """
    texts = read_text_bottlenecks(
        folder, catalog, backbone.handle, feature_size=backbone.feature_size
    )
    if not texts.vectors:
        _refuse_none(folder, catalog, backbone, texts)
    _test(texts, catalog, engine)
    positions = sorted(texts.vectors)
    for start in range(0, len(positions), _STORED_AT_ONCE):
        _store(positions[start : start + _STORED_AT_ONCE], texts, catalog, backbone, cache)
    logging.info(
        "Imported the bottlenecks of %d photos; %d photos have no text file, %d have changed "
        "since, %d text files are unusable.",
        len(texts.vectors),
        texts.without,
        texts.outdated,
        len(texts.unusable),
    )
    for path, reason in list(texts.unusable.items())[:_NAMED_AT_MOST]:
        logging.warning("WARNING: %s is left out: %s", path, reason)


def _refuse_none(folder: str, catalog: Catalog, backbone: Backbone, texts: TextBottlenecks) -> None:
    others = modules_named(folder, catalog.labels)
    found = "; ".join(f"{count} of {module}" for module, count in others.items())
    path, reason = next(iter(texts.unusable.items()), ("", ""))
    details = [
        f"{texts.outdated} are older than their photo" if texts.outdated else "",
        f"{len(texts.unusable)} are unusable, such as {path}: {reason}" if path else "",
        f"the files' names tell of {found}" if found else "",
    ]
    raise ImportedError(
        "--text_dir must be a folder of files <class>/<photo>_<module>.txt for the photos in "
        f"--image_dir, <module> being {module_part(backbone.handle)} for this "
        f"--tfhub_module. Got {folder}, which has none that can be used"
        f"{''.join(f'; {detail}' for detail in details if detail)}."
    )


def _test(texts: TextBottlenecks, catalog: Catalog, engine: Engine) -> None:
    """Computes a batch of the vectors, taken from all over the catalog, and compares."""
    positions = sorted(texts.vectors)
    tested = 0
    some = positions[:: -(-len(positions) // BATCH_SIZE)]
    for position, vector in _computed(some, catalog, engine):
        tested += 1
        difference = _difference(texts.vectors[position], vector)
        if difference > _TOLERANCE:
            raise ImportedError(
                "--text_dir must hold feature vectors of --tfhub_module and of the photos in "
                f"--image_dir. For {catalog.records[position].path} the file is off by "
                f"{difference:.2g} of the largest number; nothing was imported. Was it another "
                "version of the module, or another photo of that name?"
            )
    if not tested:
        raise ImportedError(
            "--text_dir must belong to photos that can be read, for some are computed anew as a "
            f"test. Of {len(some)} photos that were chosen for it none can be."
        )


def _store(
    positions: list[int],
    texts: TextBottlenecks,
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
) -> None:
    vectors: dict[bytes, Floats] = {}
    files: list[PhotoFile] = []
    for position in positions:
        # A photo that cannot be read is left out later, as always.
        with contextlib.suppress(OSError):
            file = PhotoFile.read(catalog.records[position].path, reading.read, _preparation)
            files.append(replace(file, contents=b""))
            vectors[file.digest] = texts.vectors[position]
    cache.store(imported_recipe(backbone.fingerprint, backbone.image_size), vectors)
    PhotoFiles(cache.file).remember(files)


def _computed(
    positions: list[int], catalog: Catalog, engine: Engine
) -> Iterator[tuple[int, Floats]]:
    """Yields the positions of those photos that can be read, and their vectors."""
    # As the program did that computed the vectors.
    photos = plain_photos((catalog.records[n].path for n in positions), upright=False)
    for batch in photo_batches(photos, engine.image_size, batch_size=BATCH_SIZE):
        if batch.keys:
            vectors = engine(batch.padded(BATCH_SIZE))
            # The last ones are of what filled the batch up.
            yield from zip((positions[key] for key in batch.keys), vectors, strict=False)


def _preparation(contents: bytes) -> str:
    return Preparation.of(contents).name


def _difference(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny))
