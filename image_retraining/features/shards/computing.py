"""A shard → its file: the local way from photos to vectors, on a few photos, in some process.

It knows no engine that has it called: with a shard that can be sent, a folder that can be reached
and a process to call it in, any will do.
"""

import functools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from image_retraining import __version__
from image_retraining.backbone.loading import Backbone
from image_retraining.cache.damaged_photos import DamagedPhotos
from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.cache.known_files import PhotoFile, present
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import Engine
from image_retraining.features.shards import module_file, places, shard_file
from image_retraining.features.shards.shard import Shard, Terms
from image_retraining.features.shards.shard_file import Computed, DamagedShardError
from image_retraining.features.table import FeatureTable
from image_retraining.features.work import Computation, Work
from image_retraining.foundation.errors import ClusterError
from image_retraining.foundation.records import Catalog, Extraction, Floats, ImageRecord, Split

# So many photos that are not there were not taken away: the process sees another folder.
_TELLING = 16
# A process computes one after the other, with all its processors.
_one_shard = threading.Lock()


def terms_of(computation: Computation) -> Terms:
    """Returns the terms on which others compute what would be computed here."""
    return Terms(
        computation.recipe,
        computation.views,
        computation.engine.name,
        computation.engine.precision,
        _versions(),
    )


def compute(shard: Shard) -> str:
    """Computes the vectors of a shard's photos, unless that is done; returns the file's name.

    What is wrong with a photo is told in the file.

    Args:
        shard: the photos, and what decides their vectors.

    Raises:
        ClusterError: this process is not one to compute it: it has other versions, or reaches
            neither the module nor any of the photos.
        EngineError: it has not the engine.
        OutputError: the file cannot be written.
    """
    terms = shard.terms
    if terms.computed_by != _versions():
        raise ClusterError(
            "Workers must compute as this machine does, to the last bit. "
            f"Got {_versions()} there, and {terms.computed_by} here. Install the same."
        )
    with _one_shard:
        backbone = _backbone(shard.folder, shard.module)
        if not _is_whole(shard, backbone):
            computed = _computed(shard, backbone)
            places.write(shard.place, shard_file.contents_of(terms.text, computed))
    return shard.file_name


def _is_whole(shard: Shard, backbone: Backbone) -> bool:
    try:
        contents = places.read(shard.place)
        shard_file.photos_in(contents, shard.terms.text, backbone.feature_size)
    except (OSError, DamagedShardError):
        return False
    return True


def _computed(shard: Shard, backbone: Backbone) -> list[Computed]:
    """Returns what comes of each photo, in their order."""
    terms = shard.terms
    splits = {True: Split.TRAINING, False: Split.TESTING}
    records = tuple(ImageRecord(one.path, 0, splits[one.has_views]) for one in shard.photos)
    engine = _KeptEngine(terms.engine, terms.precision)
    files = _ReadFiles()
    with BottleneckCache(None) as cache:
        table = FeatureTable(
            records,
            backbone.feature_size,
            view_count=terms.views.count,
            fail_on_bad_image=False,
        )
        catalog = Catalog((), records, "")
        work = Work(catalog, table, cache, Computation(backbone, engine, terms.views), files=files)
        work.fill_table(is_told=False)
        damages = DamagedPhotos(cache.file).all()
        extraction = table.extraction()
    vectors, errors = _vectors(extraction), {one.path: one.reason for one in extraction.unreadable}
    is_telling = len(shard.photos) >= _TELLING and not files.by_path
    if is_telling and not any(present(one.path) for one in shard.photos):
        raise ClusterError(
            "Every worker must reach the photos by the same names. Of the "
            f"{len(shard.photos)} of a shard there is none, as {shard.photos[0].path}. Let all "
            "machines share their folder, or name it by an address."
        )
    found = []
    for photo in shard.photos:
        file = files.by_path.get(photo.path)
        digest = file.digest if file else b""
        warning, missing = damages.get(digest, ("", 0.0))
        found.append(
            Computed(
                photo.path,
                photo.state,
                digest,
                file.preparation if file else "",
                warning,
                missing,
                errors.get(photo.path, ""),
                vectors.get(photo.path),
            )
        )
    return found


def _vectors(extraction: Extraction) -> dict[str, Floats]:
    """Returns path → float32 [V, D] of the photos that have vectors."""
    found = {}
    for photos in extraction.sets.values():
        for row, path in enumerate(photos.paths):
            parts = [photos.features[row : row + 1]]
            if photos.views is not None:
                parts.append(photos.views[row])
            found[path] = np.concatenate(parts)
    return found


class _ReadFiles:
    """The files of one shard, each of which is read once."""

    def __init__(self) -> None:
        self.by_path: dict[str, PhotoFile] = {}

    def known(self, paths: Sequence[str]) -> dict[str, tuple[bytes, str]]:  # noqa: ARG002 - none is
        """Returns nothing."""
        return {}

    def remember(self, files: Iterable[PhotoFile]) -> None:
        """Keeps what was read, without the contents."""
        self.by_path |= {file.path: replace(file, contents=b"") for file in files}


class _KeptEngine(EngineChoice):
    """An engine that is made once a process, and not for each shard."""

    def make(self, frozen: FrozenModule) -> Engine:
        """Returns it, ready to compute."""
        return _made(self.name, self.precision, frozen)


@functools.lru_cache(maxsize=1)
def _made(name: str, precision: str, frozen: FrozenModule) -> Engine:
    return EngineChoice(name, precision).make(frozen)


@functools.lru_cache(maxsize=1)
def _backbone(folder: str, name: str) -> Backbone:
    return module_file.get(folder, name)


def _versions() -> str:
    """Returns of what has a say in the bits of a vector which version this process has."""
    return f"TensorFlow {tf.__version__}, image-retraining {__version__}"
