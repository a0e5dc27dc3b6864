"""The first stages: module → backbone, photos → feature vectors."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from absl import logging

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.frozen_modules import FrozenModules
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice, choose_engine
from image_retraining.features.extraction import gather
from image_retraining.features.shards.dask_crew import DaskCrew
from image_retraining.features.shards.distribution import Distribution
from image_retraining.features.work import Computation, Workers
from image_retraining.foundation.records import (
    JUDGING_ORDER,
    Catalog,
    Doubtful,
    Extraction,
    Split,
    Unreadable,
)
from image_retraining.photos.distortions import Views

_BYTES_OF_A_FEATURE = 4
# Folder in that of the cache for what workers have computed.
_SHARDS = "shards"
# Features of a module whose vectors are long: no pretrained network has so many without a map.
_LONG = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSettings:
    """Which module to load; each field as the setting of that name.

    Attributes:
        tfhub_module: as a person names it.
        open_image_size: (H, W) for a module that leaves them open, else None.
        module_is_default: nobody chose this module.
        pooling: what becomes of the last map of a Keras model.
        feature_layer: of a Keras model; '' for the usual one.
    """

    tfhub_module: str
    open_image_size: tuple[int, int] | None
    module_is_default: bool
    pooling: str
    feature_layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionSettings:
    """How to get feature vectors; each field as the setting of that name.

    Attributes:
        bottleneck_engine: "auto", or an engine's name.
        bottleneck_precision: "float32" or "bfloat16".
        on_bad_image: "skip" or "fail".
        views: the distorted views that each training photo gets.
        dask_scheduler: whose workers compute; '' for this process alone.
        shard_dir: what the workers and this process reach by the same name; '' for a folder beside
            the cache.
    """

    bottleneck_engine: str
    bottleneck_precision: str
    on_bad_image: str
    views: Views
    dask_scheduler: str = ""
    shard_dir: str = ""


def load(cache: BottleneckCache, settings: ModuleSettings) -> Backbone:
    """Returns the backbone; the built-in one if the default module cannot be downloaded."""
    backbone = load_backbone(
        settings.tfhub_module,
        image_size=settings.open_image_size,
        is_default=settings.module_is_default,
        pooling=settings.pooling,
        feature_layer=settings.feature_layer,
        kept=FrozenModules(cache.file),
    )
    logging.info(
        "Module %s: photos of %d x %d pixels, %d features",
        backbone.handle,
        *backbone.image_size,
        backbone.feature_size,
    )
    if backbone.feature_size > _LONG:
        logging.info(
            "Such vectors take %.0f MB of the cache, and of memory, for each 1000 photos",
            backbone.feature_size * _BYTES_OF_A_FEATURE / 1000,
        )
    return backbone


def extract(
    catalog: Catalog, backbone: Backbone, cache: BottleneckCache, settings: ExtractionSettings
) -> Extraction:
    """Returns the feature vectors of all photos that can be read.

    Raises:
        PhotoError: one cannot, and that is to stop the run.
        EngineError: the engine is missing, or does not take the module.
    """
    engine = choose_engine(settings.bottleneck_engine, settings.bottleneck_precision)
    exactly = choose_engine(settings.bottleneck_engine, "float32")

    def extracted(chosen: EngineChoice, splits: set[Split]) -> Extraction:
        has_views = Split.TRAINING in splits
        views = settings.views if has_views else replace(settings.views, count=0)
        return gather(
            replace(catalog, records=tuple(r for r in catalog.records if r.split in splits)),
            cache,
            Computation(backbone, chosen, views),
            workers=_workers(settings, cache),
            fail_on_bad_image=settings.on_bad_image == "fail",
        )

    if engine == exactly:
        return extracted(engine, set(Split))
    # The written graph computes in float32. So do the photos that it is judged by and proven on,
    # whatever the precision of the others: of the first split that has any that can be read.
    present = {record.split for record in catalog.records}
    order = [split for split in JUDGING_ORDER if split in present]
    extractions = []
    for judged in order:
        extractions.append(extracted(exactly, {judged}))
        present.remove(judged)
        if len(extractions[-1].sets[judged]):
            logging.info(
                "In %s but the %s photos, which are in float32, as the written graph will compute.",
                engine.precision,
                judged.value,
            )
            break
    if present:
        extractions.append(extracted(engine, present))
    return _joined(catalog, extractions)


def _workers(settings: ExtractionSettings, cache: BottleneckCache) -> Workers | None:
    """Returns the processes that are to compute; None for this one alone."""
    if not settings.dask_scheduler:
        return None
    beside = os.path.join(cache.folder or "", _SHARDS)
    folder = settings.shard_dir or os.path.abspath(beside)
    return Distribution(folder, partial(DaskCrew, settings.dask_scheduler))


def _joined(catalog: Catalog, extractions: Iterable[Extraction]) -> Extraction:
    """Returns extractions of different splits as one."""
    extractions = list(extractions)
    sets = {}
    unreadable: list[Unreadable] = []
    doubtful: list[Doubtful] = []
    for extraction in extractions:
        for split, photos in extraction.sets.items():
            if len(photos) or split not in sets:
                sets[split] = photos
        unreadable += extraction.unreadable
        doubtful += extraction.doubtful
    if unreadable or doubtful:
        places = {record.path: place for place, record in enumerate(catalog.records)}
        unreadable.sort(key=lambda photo: places[photo.path])
        doubtful.sort(key=lambda photo: places[photo.path])
    return Extraction(
        sets,
        tuple(unreadable),
        tuple(doubtful),
        turned_count=sum(one.turned_count for one in extractions),
        flattened_count=sum(one.flattened_count for one in extractions),
        converted_count=sum(one.converted_count for one in extractions),
    )
