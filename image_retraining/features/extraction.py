"""Catalog → feature vectors: those that the cache has, and the rest computed and stored."""

import contextlib
import itertools
import time
from collections.abc import Generator, Iterable, Iterator
from functools import partial

import tensorflow as tf

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.lock import computing_alone
from image_retraining.cache.vectors import FINE_TUNED, BottleneckCache, Recipe, imported_recipe
from image_retraining.features.anew import computed_anew
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE, computed
from image_retraining.features.row_cache import ReadPhoto, Row, RowCache
from image_retraining.features.table import FeatureTable
from image_retraining.features.trust import Trust
from image_retraining.foundation.interruption import held_back, raise_if_interrupted
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Catalog, Extraction
from image_retraining.photos import pixels, reading
from image_retraining.photos.batches import PhotoBatch, photo_batches
from image_retraining.photos.distortions import NO_VIEWS, Views
from image_retraining.photos.feed import Photo


def extract(
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
    *,
    engine: EngineChoice,
    views: Views = NO_VIEWS,
    fail_on_bad_image: bool,
) -> Extraction:
    """Returns the feature vectors of all photos that can be read, and of views of training photos.

    Each batch is stored as soon as it is computed, so that after an interruption the next run goes
    on from there. Of runs that lack vectors of one image folder at the same time, one computes.

    Args:
        catalog: the photos.
        backbone: the module.
        cache: where vectors are looked up and stored.
        engine: computes those that are not cached; where it keeps them in halves, what is returned
            has none.
        views: the distorted views that each training photo gets, and whether all are upright.
        fail_on_bad_image: stop at the first photo that cannot be read, instead of leaving it out.

    Raises:
        PhotoError: a photo cannot be read, and that is to stop the run.
        EngineError: the engine does not take the module.
    """
    table = FeatureTable(
        catalog.records,
        backbone.feature_size,
        view_count=views.count,
        fail_on_bad_image=fail_on_bad_image,
        holds_vectors=not engine.in_halves,
        folder=cache.folder,
    )
    work = _Work(catalog, table, cache, backbone, engine, views)
    what = "activations" if engine.in_halves else "bottlenecks"
    started = time.monotonic()
    try:
        work.fill_table(what)
    except KeyboardInterrupt:
        notice(
            "The %s of %d of %d %s are kept; the same command goes on from there.",
            what,
            table.done_count,
            len(table.positions),
            _unit(views),
        )
        raise
    notice(
        "%s of %d %s: %d computed, %d copies of others, %d from the cache, in %.1f s",
        what.capitalize(),
        table.done_count,
        _unit(views),
        table.computed_count,
        table.copied_count,
        table.done_count - table.computed_count - table.copied_count,
        time.monotonic() - started,
    )
    return table.extraction()


def recipe_of(backbone: Backbone, engine: EngineChoice) -> Recipe:
    """Returns what decides the vectors of photos themselves."""
    size, version = backbone.image_size, pixels.PIPELINE_VERSION
    precision = engine.recipe_precision + FINE_TUNED * bool(backbone.tuned_above)
    return Recipe(backbone.fingerprint, *size, pixels=version, precision=precision)


def _unit(views: Views) -> str:
    return "photos and views" if views.count else "photos"


class _Work:
    """One pass over the photos; a row is a vector of one of them, as the table numbers them."""

    def __init__(
        self,
        catalog: Catalog,
        table: FeatureTable,
        cache: BottleneckCache,
        backbone: Backbone,
        engine: EngineChoice,
        views: Views,
    ) -> None:
        self._table = table
        self._backbone = backbone
        self._engine = engine
        self._views = views
        recipe = recipe_of(backbone, engine)
        imported = imported_recipe(backbone.fingerprint, backbone.image_size)
        stand_in = imported if engine.recipe_precision == "float32" else None
        anew = partial(
            computed_anew,
            image_size=backbone.image_size,
            make_engine=partial(engine.make, backbone),
            upright=views.upright,
        )
        trust = Trust(cache, recipe, computed_by=f"TensorFlow {tf.__version__}", anew=anew)
        self._cache = RowCache(cache, table, recipe, views=views, stand_in=stand_in, trust=trust)
        self._alone = computing_alone(cache.folder, catalog.image_dir, recipe)

    def fill_table(self, what: str) -> None:
        """Looks up all vectors; computes and stores what is missing, if no other run does."""
        self._cache.look_up()
        count = self._table.missing_count
        if not count:
            return
        with Progress(f"Computing {what}", count, unit=_unit(self._views)) as progress:
            groups = self._groups(progress)
            for group in groups:
                if self._must_compute(group):
                    with self._alone:
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
