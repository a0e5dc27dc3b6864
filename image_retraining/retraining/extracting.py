"""The first stages of retrain.py, up to the vectors: what each makes of the settings, and says."""

from collections.abc import Iterable
from dataclasses import replace

from absl import logging

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.frozen_modules import KeptModules
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation import copies
from image_retraining.features.engines import EngineChoice, choose_engine
from image_retraining.features.extraction import extract as extract_features
from image_retraining.features.table import check_any
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import (
    JUDGING_ORDER,
    Catalog,
    Extraction,
    Split,
    Unreadable,
)
from image_retraining.photos.distortions import NO_VIEWS
from image_retraining.retraining.config import RetrainConfig


def load(config: RetrainConfig, cache: BottleneckCache) -> Backbone:
    """Returns the backbone; the built-in one if the default module cannot be downloaded."""
    backbone = load_backbone(
        config.tfhub_module,
        image_size=config.open_image_size,
        is_default="tfhub_module" not in config.named,
        kept=KeptModules(cache.file),
    )
    logging.info(
        "Module %s: photos of %d x %d pixels, %d features",
        backbone.handle,
        *backbone.image_size,
        backbone.feature_size,
    )
    return backbone


def extract(
    config: RetrainConfig, catalog: Catalog, backbone: Backbone, cache: BottleneckCache
) -> Extraction:
    """Returns the feature vectors of all photos, after checking that there is what to learn."""
    engine = choose_engine(config.bottleneck_engine, config.bottleneck_precision)
    exactly = choose_engine(config.bottleneck_engine, "float32")
    extractions = [
        extract_features(
            replace(catalog, records=tuple(r for r in catalog.records if r.split in splits)),
            backbone,
            cache,
            engine=chosen,
            views=config.views if Split.TRAINING in splits else NO_VIEWS,
            fail_on_bad_image=config.on_bad_image == "fail",
        )
        for chosen, splits in _parts(catalog, engine, exactly)
    ]
    extraction = _joined(catalog, extractions)
    check_any(extraction)
    extraction = _without_copies(config, catalog, extraction)
    learnt = set(extraction.sets[Split.TRAINING].label_ids.tolist())
    if len(learnt) < 2:
        raise PhotoError(
            "At least 2 classes must have training photos. "
            f"Got {len(learnt)} of {len(catalog.labels)}. Add photos, or lower "
            "--testing_percentage and --validation_percentage."
        )
    return extraction


def _without_copies(config: RetrainConfig, catalog: Catalog, extraction: Extraction) -> Extraction:
    """Logs which photos are one and the same; leaves the copies out if asked to."""
    found = copies.find(extraction.sets, cosine=config.duplicate_cosine)
    for line in copies.report(found, catalog.labels, dropped=config.drop_duplicates):
        logging.warning("%s", line)
    if not config.drop_duplicates:
        return extraction
    return replace(extraction, sets=copies.without_copies(extraction.sets, found))


def _parts(
    catalog: Catalog, engine: EngineChoice, exactly: EngineChoice
) -> list[tuple[EngineChoice, set[Split]]]:
    """Returns which engine computes which splits.

    The written graph computes in float32. So do the photos that it is judged by and proven on,
    whatever the precision of the others.
    """
    if engine == exactly:
        return [(engine, set(Split))]
    present = {record.split for record in catalog.records}
    judged = next(split for split in JUDGING_ORDER if split in present)
    logging.info(
        "In %s but the %s photos, which are in float32, as the written graph will compute.",
        engine.precision,
        judged.value,
    )
    parts = [(engine, present - {judged}), (exactly, {judged})]
    return [(chosen, splits) for chosen, splits in parts if splits]


def _joined(catalog: Catalog, extractions: Iterable[Extraction]) -> Extraction:
    """Returns extractions of different splits as one."""
    sets = {}
    unreadable: list[Unreadable] = []
    for extraction in extractions:
        for split, photos in extraction.sets.items():
            if len(photos) or split not in sets:
                sets[split] = photos
        unreadable += extraction.unreadable
    if unreadable:
        places = {record.path: place for place, record in enumerate(catalog.records)}
        unreadable.sort(key=lambda photo: places[photo.path])
    return Extraction(sets, tuple(unreadable))
