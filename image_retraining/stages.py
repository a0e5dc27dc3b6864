"""The last stages of retrain.py, from the head on: what each makes of the settings, and says."""

import shlex
from typing import Any

from absl import logging

from image_retraining import __version__, frozen_graph
from image_retraining.backbone import Backbone
from image_retraining.calibration import Calibration
from image_retraining.config import RetrainConfig
from image_retraining.graph_model import FrozenGraph
from image_retraining.metrics import Metrics
from image_retraining.model_facts import ModelFacts, write_facts
from image_retraining.model_versions import version_folder
from image_retraining.plain_text import shown
from image_retraining.predictions import Classifier
from image_retraining.records import (
    JUDGING_ORDER,
    Catalog,
    Extraction,
    Head,
    Split,
)
from image_retraining.saved_model import SavedModel, writing_saved_model
from image_retraining.tflite_export import (
    Enclosed,
    Quantization,
    calibration_photos,
    write_tflite,
)
from image_retraining.tflite_model import TFLiteModel
from image_retraining.verification import Verification, verify
from image_retraining.whole_files import replacing


def facts(
    config: RetrainConfig,
    catalog: Catalog,
    backbone: Backbone,
    metrics: Metrics | None,
    calibration: Calibration | None,
) -> ModelFacts:
    """Returns what the exports are."""
    return ModelFacts(
        labels=catalog.labels,
        image_size=backbone.image_size,
        input_range=(0.0, 1.0),
        input_layer=frozen_graph.PHOTOS_NAME,
        output_layer=config.final_tensor_name,
        module=backbone.handle,
        module_fingerprint=backbone.fingerprint,
        testing_percentage=config.testing_percentage,
        validation_percentage=config.validation_percentage,
        test_accuracy=metrics.accuracy if metrics else None,
        test_count=metrics.count if metrics else 0,
        tool_version=__version__,
        calibration=calibration,
        temperature_in_graph=config.calibrate and calibration is not None,
    )


def export(
    config: RetrainConfig,
    catalog: Catalog,
    backbone: Backbone,
    head: Head,
    extraction: Extraction,
    facts: ModelFacts,
) -> None:
    """Writes the exports, each proven on photos before it takes its place, and what they are."""
    graph_def = frozen_graph.build(backbone, head, final_tensor_name=config.final_tensor_name)
    with replacing(config.output_graph) as temporary:
        frozen_graph.write(temporary, graph_def)
        if config.verify_images:
            graph = FrozenGraph(temporary, output_layer=config.final_tensor_name)
            _log_verification(config, backbone, head, extraction, graph, "graph")
    write_facts(config.output_graph, facts)
    logging.info("Save final result to : %s", config.output_graph)
    with replacing(config.output_labels) as temporary:
        frozen_graph.write_labels(temporary, catalog.labels)
    if config.tflite_output_file:
        _export_tflite(config, backbone, head, extraction, facts, graph_def)
    if config.saved_model_dir:
        _export_saved_model(config, backbone, head, extraction, facts, graph_def)


def conclude(config: RetrainConfig, catalog: Catalog, extraction: Extraction) -> None:
    """Logs what was left out and what to do next."""
    if extraction.unreadable:
        logging.warning(
            "WARNING: %d of %d photos could not be read and were left out:",
            len(extraction.unreadable),
            len(catalog.records),
        )
        for photo in extraction.unreadable:
            logging.warning("  %s: %s", shown(photo.path), photo.reason)
    photos = extraction.sets[Split.TESTING]
    some_photo = photos.paths[0] if len(photos) else "X.jpg"
    command = ["python", "label_image.py", f"--graph={config.output_graph}"]
    command += [f"--labels={config.output_labels}", f"--image={some_photo}"]
    logging.info("Curves of the training: tensorboard --logdir %s", config.summaries_dir)
    logging.info("Try it: %s", shlex.join(command))


def _export_saved_model(
    config: RetrainConfig,
    backbone: Backbone,
    head: Head,
    extraction: Extraction,
    facts: ModelFacts,
    graph_def: Any,
) -> None:
    folder = version_folder(config.saved_model_dir)
    with writing_saved_model(
        folder,
        graph_def,
        output_layer=config.final_tensor_name,
        image_size=backbone.image_size,
        labels=facts.labels,
        facts=facts.as_json(),
    ) as temporary:
        if config.verify_images:
            model = SavedModel(temporary)
            _log_verification(config, backbone, head, extraction, model, "SavedModel")
    logging.info("Save SavedModel to : %s", folder)


def _export_tflite(
    config: RetrainConfig,
    backbone: Backbone,
    head: Head,
    extraction: Extraction,
    facts: ModelFacts,
    graph_def: Any,
) -> None:
    kind = config.tflite_quantize
    photos = calibration_photos(extraction.sets[Split.TRAINING], backbone.image_size)
    with replacing(config.tflite_output_file) as temporary:
        write_tflite(
            temporary,
            graph_def,
            output_layer=config.final_tensor_name,
            quantization=Quantization(kind, photos if kind == "int8" else ()),
            enclosed=Enclosed(facts.labels, facts.as_json().encode()),
        )
        # TensorFlow Lite writes files that it cannot run: one photo at least.
        proof, split = _proof(
            backbone,
            head,
            extraction,
            TFLiteModel(temporary),
            exact=kind == "none",
            at_most=config.verify_images or 1,
        )
    _log_tflite(config, proof, split)
    logging.info("Save TensorFlow Lite file to : %s", config.tflite_output_file)


def _log_tflite(config: RetrainConfig, proof: Verification, split: Split) -> None:
    """Logs how a TensorFlow Lite file did, and warns if it did badly."""
    logging.info(
        "Verified the written TensorFlow Lite file (%s) on %d %s photos: %d same answers, "
        "probabilities differ by at most %.1e, accuracy %.1f%% where the head's is %.1f%%",
        config.tflite_quantize,
        proof.photo_count,
        split.value,
        proof.same_answers,
        proof.largest_difference,
        proof.accuracy * 100,
        proof.head_accuracy * 100,
    )
    drop = (proof.head_accuracy - proof.accuracy) * 100
    if drop > config.max_accuracy_drop:
        logging.warning(
            "WARNING: the TensorFlow Lite file is less accurate by %.1f points, more than "
            "--max_accuracy_drop=%g. Try --tflite_quantize=float16.",
            drop,
            config.max_accuracy_drop,
        )


def _log_verification(
    config: RetrainConfig,
    backbone: Backbone,
    head: Head,
    extraction: Extraction,
    model: Classifier,
    name: str,
) -> None:
    """Proves that an export answers as the head does, and logs it."""
    proof, split = _proof(
        backbone, head, extraction, model, exact=True, at_most=config.verify_images
    )
    logging.info(
        "Verified the written %s on %d %s photos: same answers, probabilities differ by at "
        "most %.1e",
        name,
        proof.photo_count,
        split.value,
        proof.largest_difference,
    )


def _proof(
    backbone: Backbone,
    head: Head,
    extraction: Extraction,
    model: Classifier,
    *,
    exact: bool,
    at_most: int,
) -> tuple[Verification, Split]:
    """Returns how an export does on test photos, or on others when there are none; and on which."""
    split = next(split for split in JUDGING_ORDER if len(extraction.sets[split]))
    proof = verify(
        model,
        head,
        extraction.sets[split],
        image_size=backbone.image_size,
        exact=exact,
        at_most=at_most,
    )
    return proof, split
