"""The stage that compares modules on the person's photos, before one of them is trained on."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from absl import logging

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation.comparison import (
    Comparison,
    Contender,
    Costs,
    Failure,
    compare,
)
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.exports.facts import ModelFacts
from image_retraining.exports.formats import open_classifier
from image_retraining.exports.speed import milliseconds_a_photo
from image_retraining.features.engines.choice import choose_engine
from image_retraining.features.readable import of_readable
from image_retraining.features.speed import photos_per_second
from image_retraining.foundation.errors import (
    EngineError,
    ExportError,
    GraphError,
    ModuleError,
    PhotoError,
    SettingError,
)
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Catalog, FeatureSet, Head, Split, Unreadable
from image_retraining.foundation.settings import part_of
from image_retraining.head.sampling import evenly
from image_retraining.reports.findings import Calibrated
from image_retraining.retraining import (
    cross_validating,
    evaluating,
    exporting,
    extracting,
    training,
    training_task,
)
from image_retraining.retraining.config import RetrainConfig

Sets = Mapping[Split, FeatureSet]

_GRAPH, _TFLITE = "output_graph", "tflite_output_file"
# Photos whose way to vectors is timed.
_TIMED = 64
_MEGABYTE = 1e6
# What a module itself may be the reason of.
_FAILURES = (EngineError, ExportError, GraphError, ModuleError)


def compare_modules(config: RetrainConfig, catalog: Catalog, cache: BottleneckCache) -> Comparison:
    """Returns how the modules of --compare_modules do on the photos.

    Args:
        config: the settings, `placed`.
        catalog: the photos.
        cache: where their vectors are looked up and stored.

    Raises:
        ModuleError: none of the modules can be used.
        PhotoError: the photos cannot be used, whatever the module.
    """
    names = config.modules_to_compare
    contenders, failures = [], []
    unreadable: tuple[Unreadable, ...] = ()
    for place, name in enumerate(names):
        raise_if_interrupted()
        notice("Comparing modules, %d of %d: %s", place + 1, len(names), name)
        try:
            contender, unreadable = _contender(_fitting(config, name), catalog, cache)
            contenders.append(contender)
        except _FAILURES as error:
            logging.warning("WARNING: %s cannot be compared: %s", name, error)
            failures.append(Failure(name, str(error)))
    if not contenders:
        raise ModuleError(
            "--compare_modules must name a module that can be used here. Of "
            f"{len(names)} none can; {failures[0].module}: {failures[0].reason}"
        )
    return compare(contenders, failures, unreadable)


def _fitting(config: RetrainConfig, name: str) -> RetrainConfig:
    """Returns the settings with a module.

    Raises:
        ModuleError: it does not take some of them.
    """
    try:
        return config.with_module(name)
    except SettingError as error:
        raise ModuleError(str(error)) from error


def _contender(
    config: RetrainConfig, catalog: Catalog, cache: BottleneckCache
) -> tuple[Contender, tuple[Unreadable, ...]]:
    """Returns what there is to say of one module, that of the settings; and what it cannot read."""
    backbone = extracting.load(cache, part_of(config, extracting.ModuleSettings))
    how = part_of(config, extracting.ExtractionSettings)
    extraction = extracting.extract(catalog, backbone, cache, how)
    if extraction.unreadable:
        catalog, extraction = of_readable(catalog, extraction)
    labels, judging = catalog.labels, part_of(config, evaluating.JudgingSettings)
    # Nothing of it is written into the head, for nobody is to use it.
    judging = replace(judging, calibrate=False)
    # All modules are judged by the same photos, where each has near copies of its own; those of one
    # moment are in one fold.
    sets = extraction.sets
    evaluating.check_learnt(sets, labels)
    head = _solved(config, sets, labels, backbone)
    judged = evaluating.judge(head, sets, labels, judging)
    calibrated = evaluating.look_how_sure(head, sets, judging)
    wishes = part_of(config, exporting.ExportSettings)
    facts = exporting.facts(catalog, backbone, judged, calibrated, wishes)
    photos_per_second = _extracted_per_second(config, catalog, backbone)
    contender = Contender(
        module=config.tfhub_module,
        image_size=backbone.image_size,
        feature_size=backbone.feature_size,
        crossed=_crossed(config, sets, labels),
        tested=judged.metrics,
        costs=_costs(calibrated, backbone, sets, facts, wishes, photos_per_second),
    )
    return contender, extraction.unreadable


def _solved(config: RetrainConfig, sets: Sets, labels: tuple[str, ...], backbone: Backbone) -> Head:
    """Returns the solved head of the training photos, and of their views."""
    settings = replace(
        part_of(config, training_task.TrainingSettings),
        optimizer="lbfgs",
        # Steps do without, a solved head does not.
        l2=config.l2 or -1.0,
        export="best",
    )
    return training.fit(sets, labels, backbone, settings, lambda _: None).head


def _crossed(config: RetrainConfig, sets: Sets, labels: tuple[str, ...]) -> CrossValidation:
    settings = part_of(config, cross_validating.CrossValidationSettings)
    logging.info("Cross-validating")
    found = cross_validating.of_all(sets, labels, settings)
    if found is None:
        raise PhotoError(
            "--compare_modules needs at least 2 classes of 2 photos each, those of one moment or "
            "object counting as one. Add photos."
        )
    return found


def _extracted_per_second(config: RetrainConfig, catalog: Catalog, backbone: Backbone) -> float:
    label_ids = np.array([record.label_id for record in catalog.records], np.int32)
    return photos_per_second(
        [catalog.records[row].path for row in evenly(label_ids, _TIMED)],
        backbone,
        choose_engine(config.bottleneck_engine, config.bottleneck_precision),
        upright=config.views.upright,
    )


def _costs(
    calibrated: Calibrated,
    backbone: Backbone,
    sets: Sets,
    facts: ModelFacts,
    settings: exporting.ExportSettings,
    photos_per_second: float,
) -> Costs:
    """Returns what a module costs: the exports are written for it, and not kept."""
    is_in_integers = settings.export_places[_TFLITE] and settings.tflite_quantize == "int8"
    with tempfile.TemporaryDirectory() as folder:
        graph, tflite = os.path.join(folder, "model.pb"), os.path.join(folder, "model.tflite")
        settings = replace(
            settings,
            export_places={
                **dict.fromkeys(settings.export_places, ""),
                _GRAPH: graph,
                _TFLITE: tflite if is_in_integers else "",
            },
            output_labels=os.path.join(folder, "labels.txt"),
            # The one that is trained on is proven.
            verify_images=0,
        )
        with contextlib.ExitStack() as results:
            exporting.export(calibrated, backbone, sets, facts, settings, results)
        return Costs(
            photos_per_second=photos_per_second,
            milliseconds=milliseconds_a_photo(open_classifier(graph), facts.image_size),
            megabytes=os.path.getsize(graph) / _MEGABYTE,
            int8_megabytes=os.path.getsize(tflite) / _MEGABYTE if is_in_integers else None,
        )
