"""One pass over photos → the rows of a feature table: cached, or computed and stored."""

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import tensorflow as tf

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.known_files import KnownFiles
from image_retraining.cache.lock import computing_alone
from image_retraining.cache.vectors import FINE_TUNED, BottleneckCache, Recipe, imported_recipe
from image_retraining.features.anew import computed_anew
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE, computed
from image_retraining.features.row_cache import ReadPhoto, Row, RowCache, Wanted
from image_retraining.features.table import FeatureTable
from image_retraining.features.trust import Trust
from image_retraining.foundation.interruption import held_back, raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Catalog
from image_retraining.photos import pixels, reading
from image_retraining.photos.batches import PhotoBatch, photo_batches
from image_retraining.photos.distortions import Views
from image_retraining.photos.feed import Photo


@dataclass(frozen=True, slots=True)
class Computation:
    """What computes vectors, and so decides them.

    Attributes:
        backbone: the module.
        engine: computes it.
        views: the distorted views that each training photo gets, and whether all are upright.
    """

    backbone: Backbone
    engine: EngineChoice
    views: Views

    @property
    def recipe(self) -> Recipe:
        """What decides the vectors of photos themselves."""
        size, version = self.backbone.image_size, pixels.PIPELINE_VERSION
        precision = self.engine.recipe_precision + FINE_TUNED * bool(self.backbone.tuned_above)
        return Recipe(self.backbone.fingerprint, *size, pixels=version, precision=precision)

    @property
    def what(self) -> str:
        """What the vectors are called."""
        return "activations" if self.engine.in_halves else "bottlenecks"

    @property
    def unit(self) -> str:
        """What they are of, in the plural."""
        return "photos and views" if self.views.count else "photos"


class Workers(Protocol):
    """Other processes that compute."""

    def compute(
        self, computation: Computation, table: FeatureTable, cached: RowCache, progress: Progress
    ) -> None:
        """Computes and stores what is missing, as far as they can."""

    def tidy(self, computation: Computation, table: FeatureTable, cached: RowCache) -> None:
        """Removes what earlier runs have left of what is stored."""


class Work:
    """One pass over the photos; a row is a vector of one of them, as the table numbers them."""

    def __init__(
        self,
        catalog: Catalog,
        table: FeatureTable,
        cache: BottleneckCache,
        computation: Computation,
        *,
        files: KnownFiles | None = None,
    ) -> None:
        """Begins with what the table has.

        Args:
            catalog: the photos.
            table: the rows, filled from here.
            cache: where vectors are looked up and stored.
            computation: what computes the others.
            files: which files are known; None for those that the cache knows.
        """
        self._table = table
        self._computation = computation
        self._backbone = backbone = computation.backbone
        self._engine = engine = computation.engine
        self._views = views = computation.views
        recipe = computation.recipe
        imported = imported_recipe(backbone.fingerprint, backbone.image_size)
        stand_in = imported if engine.recipe_precision == "float32" else None
        anew = partial(
            computed_anew,
            image_size=backbone.image_size,
            make_engine=partial(engine.make, backbone),
            upright=views.upright,
        )
        trust = Trust(cache, recipe, computed_by=f"TensorFlow {tf.__version__}", anew=anew)
        self._cache = RowCache(
            cache, table, Wanted(recipe, views, stand_in), trust=trust, files=files
        )
        self._alone = partial(computing_alone, cache.folder, catalog.image_dir, recipe)

    def fill_table(self, workers: Workers | None = None, *, is_told: bool = True) -> None:
        """Looks up all vectors; computes and stores what is missing, if no other run does.

        Args:
            workers: compute what they can before this process computes the rest.
            is_told: whether the progress is shown.
        """
        self._cache.look_up()
        count = self._table.missing_count
        if not count:
            if workers is not None:
                workers.tidy(self._computation, self._table, self._cache)
            return
        title = f"Computing {self._computation.what}"
        with Progress(title, count, unit=self._computation.unit, shown=is_told) as progress:
            if workers is not None:
                with self._alone():
                    self._cache.look_up()
                    workers.compute(self._computation, self._table, self._cache, progress)
            groups = self._groups(progress)
            for group in groups:
                if self._must_compute(group):
                    with self._alone():
                        self._cache.look_up()
                        self._compute(itertools.chain([group], groups), progress)
        self._table.share_with_copies()

    def _groups(self, progress: Progress) -> Iterator[list[ReadPhoto]]:
        for group in self._cache.read_groups(BATCH_SIZE):
            yield group
            # Whoever has the list still is not to keep the contents of its photos.
            group.clear()
            progress.has_left(self._table.missing_count)

    def _must_compute(self, group: list[ReadPhoto]) -> bool:
        """Returns whether a photo that is not cached can be decoded; notes those that cannot.

        So a run that has nothing to compute waits for no other, even where files have moved or are
        no photos.
        """
        raise_if_interrupted()
        for photo in self._cache.uncached(group):
            reason = _why_unreadable(photo)
            if not reason:
                return True
            self._table.note_unreadable(photo.rows[0].number, reason)
        return False

    def _compute(self, groups: Iterable[list[ReadPhoto]], progress: Progress) -> None:
        with contextlib.closing(self._batches(groups)) as batches:
            for rows, vectors in computed(batches, lambda: self._engine.make(self._backbone)):
                # What is kept is told of: an interruption is not to come between.
                with held_back():
                    self._cache.store(rows, vectors)
                    self._table.take_computed([row.number for row in rows], vectors)
                progress.has_left(self._table.missing_count)

    def _batches(self, groups: Iterable[list[ReadPhoto]]) -> Generator[PhotoBatch[Row], None, None]:
        """Yields what is to be computed, decoded; notes what cannot be."""
        photos = self._photos(groups)
        for batch in photo_batches(photos, self._backbone.image_size, batch_size=BATCH_SIZE):
            # Of one photo there may be several pictures.
            undecodable = {self._table.path(row.number): row.number for row in batch.undecodable}
            for path, row in undecodable.items():
                self._table.note_unreadable(row, reading.why_left_out(path))
            if batch.is_suspect:
                batch = self._without_damaged(batch)  # noqa: PLW2901 - the same, less some
            if batch.images is not None:
                yield batch

    def _without_damaged(self, batch: PhotoBatch[Row]) -> PhotoBatch[Row]:
        """Returns a batch without what is mostly missing; notes all that is damaged."""
        rows = {self._table.path(row.number): row.number for row in batch.keys}
        left_out = {path for path, row in rows.items() if not self._cache.examine(row)}
        return batch.without(
            [row for row in batch.keys if self._table.path(row.number) in left_out]
        )

    def _photos(self, groups: Iterable[list[ReadPhoto]]) -> Iterator[Photo[Row]]:
        """Yields the photos to compute rows of, but for copies; runs in a thread of tf.data."""
        for photo in itertools.chain.from_iterable(map(self._cache.uncached, groups)):
            pictures = {
                row: self._views.variation(self._table.view(row.number), row.digest)
                for row in photo.rows
                if not self._table.defer_copy(row.number, row.digest, self._cache.view(row))
            }
            if not pictures:
                continue
            try:
                ready = photo.prepared()
            except OSError as error:
                self._table.note_unreadable(photo.rows[0].number, str(error))
            else:
                yield Photo(ready.contents, pictures, ready.orientation)


def _why_unreadable(photo: ReadPhoto) -> str:
    """Returns why a photo cannot be decoded, '' if it can."""
    try:
        return pixels.why_unreadable(photo.prepared().contents)
    except OSError as error:
        return str(error)
