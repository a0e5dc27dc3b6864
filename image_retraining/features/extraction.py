"""Catalog → feature vectors: those that the cache has, and the rest computed and stored."""

import time

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.table import FeatureTable
from image_retraining.features.work import Computation, Work, Workers
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Catalog, Extraction
from image_retraining.photos.distortions import NO_VIEWS, Views


def extract(
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
    *,
    engine: EngineChoice,
    views: Views = NO_VIEWS,
    fail_on_bad_image: bool,
) -> Extraction:
    """Returns what `gather` does, all computed by this process.

    Args:
        catalog: the photos.
        backbone: the module.
        cache: as of `gather`.
        engine: computes it.
        views: the distorted views that each training photo gets, and whether all are upright.
        fail_on_bad_image: as of `gather`.
    """
    computation = Computation(backbone, engine, views)
    return gather(catalog, cache, computation, fail_on_bad_image=fail_on_bad_image)


def gather(
    catalog: Catalog,
    cache: BottleneckCache,
    computation: Computation,
    *,
    workers: Workers | None = None,
    fail_on_bad_image: bool,
) -> Extraction:
    """Returns the feature vectors of all photos that can be read, and of views of training photos.

    Each batch is stored as soon as it is computed, so that after an interruption the next run goes
    on from there. Of runs that lack vectors of one image folder at the same time, one computes.

    Args:
        catalog: the photos.
        cache: where vectors are looked up and stored.
        computation: computes those that are not cached; where its engine keeps them in halves, what
            is returned has none.
        workers: other processes that compute; None for this one alone.
        fail_on_bad_image: stop at the first photo that cannot be read, instead of leaving it out.

    Raises:
        PhotoError: a photo cannot be read, and that is to stop the run.
        EngineError: the engine does not take the module.
    """
    table = FeatureTable(
        catalog.records,
        computation.backbone.feature_size,
        view_count=computation.views.count,
        fail_on_bad_image=fail_on_bad_image,
        holds_vectors=not computation.engine.in_halves,
        folder=cache.folder,
    )
    work = Work(catalog, table, cache, computation)
    started = time.monotonic()
    try:
        work.fill_table(workers)
    except KeyboardInterrupt:
        notice(
            "The %s of %d of %d %s are kept; the same command goes on from there.",
            computation.what,
            table.done_count,
            len(table.positions),
            computation.unit,
        )
        raise
    notice(
        "%s of %d %s: %d computed, %d copies of others, %d from the cache, in %.1f s",
        computation.what.capitalize(),
        table.done_count,
        computation.unit,
        table.computed_count,
        table.copied_count,
        table.done_count - table.computed_count - table.copied_count,
        time.monotonic() - started,
    )
    return table.extraction()
