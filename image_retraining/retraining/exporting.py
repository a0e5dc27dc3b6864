"""The last stages of retrain.py, from the head on: what each makes of the settings, and says."""

import shlex
from dataclasses import dataclass
from typing import Any

from absl import logging

from image_retraining import __version__
from image_retraining.backbone.loading import Backbone
from image_retraining.evaluation.calibration import Calibration
from image_retraining.evaluation.metrics import Metrics
from image_retraining.exports.facts import ModelFacts, write_facts
from image_retraining.exports.frozen_graph import writer as frozen_graph
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.predictions import Classifier
from image_retraining.exports.saved_model import SavedModel, writing_saved_model
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import (
    Enclosed,
    Quantization,
    calibration_photos,
    write_tflite,
)
from image_retraining.exports.verification import Verification, verify
from image_retraining.exports.versions import version_folder
from image_retraining.foundation.files import replacing
from image_retraining.foundation.records import (
    JUDGING_ORDER,
    Catalog,
    Extraction,
    Head,
    Split,
)
from image_retraining.foundation.text import shown
from image_retraining.retraining.config import RetrainConfig


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


@dataclass(frozen=True, slots=True)
class Exporter:
    """Writes the exports of a training, each proven on photos before it takes its place.

    Attributes:
        config: where to, and which.
        backbone: with the head, what is exported.
        head: what the training ended with.
        extraction: the photos to prove it on.
        facts: what the exports are.
    """

    config: RetrainConfig
    backbone: Backbone
    head: Head
    extraction: Extraction
    facts: ModelFacts

    def export(self) -> None:
        """Writes the graph, the labels, and what else the settings ask for.

        Raises:
            ExportError: TensorFlow Lite does not take the graph.
            GraphError: what is written cannot run.
            OutputError: something cannot be written.
            PhotoError: a photo cannot be read any more.
            VerificationError: an export does not answer as the training did.
        """
        config, layer = self.config, self.config.final_tensor_name
        graph_def = frozen_graph.build(self.backbone, self.head, final_tensor_name=layer)
        with replacing(config.output_graph) as temporary:
            frozen_graph.write(temporary, graph_def)
            if config.verify_images:
                self._verify(FrozenGraph(temporary, output_layer=layer), "graph")
        write_facts(config.output_graph, self.facts)
        logging.info("Save final result to : %s", config.output_graph)
        with replacing(config.output_labels) as temporary:
            frozen_graph.write_labels(temporary, self.facts.labels)
        if config.tflite_output_file:
            self._export_tflite(graph_def)
        if config.saved_model_dir:
            self._export_saved_model(graph_def)

    def _export_saved_model(self, graph_def: Any) -> None:
        folder = version_folder(self.config.saved_model_dir)
        with writing_saved_model(
            folder,
            graph_def,
            output_layer=self.config.final_tensor_name,
            image_size=self.backbone.image_size,
            labels=self.facts.labels,
            facts=self.facts.as_json(),
        ) as temporary:
            if self.config.verify_images:
                self._verify(SavedModel(temporary), "SavedModel")
        logging.info("Save SavedModel to : %s", folder)

    def _export_tflite(self, graph_def: Any) -> None:
        kind = self.config.tflite_quantize
        photos = calibration_photos(self.extraction.sets[Split.TRAINING], self.backbone.image_size)
        with replacing(self.config.tflite_output_file) as temporary:
            write_tflite(
                temporary,
                graph_def,
                output_layer=self.config.final_tensor_name,
                quantization=Quantization(kind, photos if kind == "int8" else ()),
                enclosed=Enclosed(self.facts.labels, self.facts.as_json().encode()),
            )
            # TensorFlow Lite writes files that it cannot run: one photo at least.
            proof, split = self._proof(
                TFLiteModel(temporary),
                exact=kind == "none",
                at_most=self.config.verify_images or 1,
            )
        _log_tflite(self.config, proof, split)
        logging.info("Save TensorFlow Lite file to : %s", self.config.tflite_output_file)

    def _verify(self, model: Classifier, name: str) -> None:
        """Proves that an export answers as the head does, and logs it."""
        proof, split = self._proof(model, exact=True, at_most=self.config.verify_images)
        logging.info(
            "Verified the written %s on %d %s photos: same answers, probabilities differ by at "
            "most %.1e",
            name,
            proof.photo_count,
            split.value,
            proof.largest_difference,
        )

    def _proof(self, model: Classifier, *, exact: bool, at_most: int) -> tuple[Verification, Split]:
        """Returns how an export does on test photos, or others if there are none; and on which."""
        split = next(split for split in JUDGING_ORDER if len(self.extraction.sets[split]))
        proof = verify(
            model,
            self.head,
            self.extraction.sets[split],
            image_size=self.backbone.image_size,
            exact=exact,
            at_most=at_most,
        )
        return proof, split


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
