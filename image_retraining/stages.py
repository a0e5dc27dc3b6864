"""The stages of retrain.py from the training on: what each makes of the settings, and says."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from image_retraining import frozen_graph, saved_model, training
from image_retraining.backbone import Backbone
from image_retraining.checkpoint import Checkpoint, CheckpointFile, photos_digest
from image_retraining.config import RetrainConfig
from image_retraining.distorted_photos import DistortedPhotos
from image_retraining.engines import choose_engine
from image_retraining.evaluation import evaluate
from image_retraining.progress import Progress
from image_retraining.records import (
    Catalog,
    Extraction,
    FeatureSet,
    Head,
    Split,
    TrainingReport,
)
from image_retraining.sampling import Sampler
from image_retraining.summaries import TensorBoardWriter, log_report
from image_retraining.variations import Distortion
from image_retraining.verification import verify
from image_retraining.whole_files import replacing

_TEST_DRAWS = 2


def train(
    config: RetrainConfig, catalog: Catalog, backbone: Backbone, extraction: Extraction
) -> Head:
    """Returns the trained head; logs, TensorBoard files and graphs are written on the way."""
    training_set = extraction.sets[Split.TRAINING]
    start = Checkpoint(
        training.initial_head(backbone.feature_size, len(catalog.labels), seed=config.seed), 0
    )
    checkpoints = CheckpointFile(
        config.checkpoint_path, _training_inputs(config, catalog, training_set)
    )
    resumed = checkpoints.load() if config.resume else None
    if resumed:
        logging.info("Going on after step %d of %s", resumed.step - 1, config.checkpoint_path)
        start = resumed
    elif config.resume:
        logging.info("There is no %s to resume; starting anew.", config.checkpoint_path)
    head = start.head
    with (
        checkpoints,
        TensorBoardWriter(config.summaries_dir, keep_earlier=resumed is not None) as tensorboard,
        _batch_source(config, training_set, backbone, first_step=start.step) as source,
    ):
        tensorboard.write_graph(
            frozen_graph.build(backbone, head, final_tensor_name=config.final_tensor_name)
        )
        for report in training.train(
            source,
            extraction.sets[Split.VALIDATION],
            _training_settings(config),
            head=head,
            first_step=start.step,
        ):
            head = report.head
            log_report(report)
            tensorboard.write(report)
            checkpoints.update(Checkpoint(head, report.steps[-1] + 1))
            _store_intermediate(config, backbone, report)
    return head


def test(config: RetrainConfig, catalog: Catalog, head: Head, extraction: Extraction) -> None:
    """Logs how the head does on the test photos, which it has never met."""
    photos = extraction.sets[Split.TESTING]
    if not len(photos):
        logging.warning(
            "WARNING: there is no test photo, so nobody knows how good this is. Add photos, or "
            "raise --testing_percentage."
        )
        return
    chosen = np.arange(len(photos))
    if config.test_batch_size != -1:
        sampler = Sampler(photos.label_ids, seed=config.seed, purpose=_TEST_DRAWS)
        chosen = sampler.draw(0, config.test_batch_size)
    result = evaluate(head, photos.features[chosen], photos.label_ids[chosen])
    logging.info("Final test accuracy = %.1f%% (N=%d)", result.accuracy * 100, len(chosen))
    if config.print_misclassified_test_images:
        logging.info("=== MISCLASSIFIED TEST IMAGES ===")
        for index, predicted, true in zip(
            chosen, result.predicted_ids, result.label_ids, strict=True
        ):
            if predicted != true:
                logging.info("%70s  %s", photos.paths[index], catalog.labels[predicted])


def export(
    config: RetrainConfig, catalog: Catalog, backbone: Backbone, head: Head, extraction: Extraction
) -> None:
    """Writes the graph, proven on photos before it takes its place, the labels, a SavedModel."""
    graph_def = frozen_graph.build(backbone, head, final_tensor_name=config.final_tensor_name)
    with replacing(config.output_graph) as temporary:
        frozen_graph.write(temporary, graph_def)
        if config.verify_images:
            _log_verification(config, backbone, head, extraction, temporary)
    logging.info("Save final result to : %s", config.output_graph)
    with replacing(config.output_labels) as temporary:
        frozen_graph.write_labels(temporary, catalog.labels)
    if config.saved_model_dir:
        saved_model.write_saved_model(
            config.saved_model_dir, graph_def, output_layer=config.final_tensor_name
        )
        logging.info("Save SavedModel to : %s", config.saved_model_dir)


def conclude(config: RetrainConfig, catalog: Catalog, extraction: Extraction) -> None:
    """Logs what was left out and what to do next."""
    if extraction.unreadable:
        logging.warning(
            "WARNING: %d of %d photos could not be read and were left out:",
            len(extraction.unreadable),
            len(catalog.records),
        )
        for photo in extraction.unreadable:
            logging.warning("  %s: %s", photo.path, photo.reason)
    photos = extraction.sets[Split.TESTING]
    some_photo = photos.paths[0] if len(photos) else "X.jpg"
    command = ["python", "label_image.py", f"--graph={config.output_graph}"]
    command += [f"--labels={config.output_labels}", f"--image={some_photo}"]
    logging.info("Curves of the training: tensorboard --logdir %s", config.summaries_dir)
    logging.info("Try it: %s", shlex.join(command))


def _training_inputs(
    config: RetrainConfig, catalog: Catalog, training_set: FeatureSet
) -> dict[str, Any]:
    """Returns what a training must have in common with the one that it goes on from."""
    return {
        "photos and labels": photos_digest(catalog.labels, training_set),
        "--learning_rate": config.learning_rate,
        "--train_batch_size": config.train_batch_size,
        "--seed": config.seed,
        "distortions": str(_distortion(config)),
    }


def _training_settings(config: RetrainConfig) -> training.TrainingSettings:
    return training.TrainingSettings(
        steps=config.how_many_training_steps,
        learning_rate=config.learning_rate,
        validation_batch_size=config.validation_batch_size,
        eval_step_interval=config.eval_step_interval,
        report_step_interval=config.intermediate_store_frequency,
        seed=config.seed,
    )


def _distortion(config: RetrainConfig) -> Distortion:
    return Distortion(
        flip_left_right=config.flip_left_right,
        random_crop=config.random_crop,
        random_scale=config.random_scale,
        random_brightness=config.random_brightness,
    )


@contextmanager
def _batch_source(
    config: RetrainConfig, training_set: FeatureSet, backbone: Backbone, *, first_step: int
) -> Iterator[training.BatchSource]:
    """Gives what the training draws its batches from."""
    batch_size, seed = config.train_batch_size, config.seed
    if not config.distorts:
        yield training.StoredVectors(training_set, batch_size=batch_size, seed=seed)
        return
    photo_count = (config.how_many_training_steps - first_step) * batch_size
    logging.info("Distorted photos are not cached: %d photos go through the module.", photo_count)
    with Progress("Training on distorted photos", photo_count) as progress:
        yield DistortedPhotos(
            training_set,
            choose_engine(config.bottleneck_engine, config.bottleneck_precision).make(backbone),
            _distortion(config),
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )


def _store_intermediate(config: RetrainConfig, backbone: Backbone, report: TrainingReport) -> None:
    """Writes the graph of a step that --intermediate_store_frequency asks for."""
    step = report.steps[-1]
    frequency = config.intermediate_store_frequency
    if not frequency or step == 0 or step % frequency:
        return
    path = os.path.join(config.intermediate_output_graphs_dir, f"intermediate_{step}.pb")
    logging.info("Save intermediate result to : %s", path)
    graph_def = frozen_graph.build(
        backbone, report.head, final_tensor_name=config.final_tensor_name
    )
    with replacing(path) as temporary:
        frozen_graph.write(temporary, graph_def)


def _log_verification(
    config: RetrainConfig, backbone: Backbone, head: Head, extraction: Extraction, path: Path
) -> None:
    """Proves a written graph on test photos, or on others when there are none."""
    split = next(
        split
        for split in (Split.TESTING, Split.VALIDATION, Split.TRAINING)
        if len(extraction.sets[split])
    )
    proof = verify(
        path,
        head,
        extraction.sets[split],
        image_size=backbone.image_size,
        output_layer=config.final_tensor_name,
        at_most=config.verify_images,
    )
    logging.info(
        "Verified the written graph on %d %s photos: same answers, probabilities differ by at "
        "most %.1e",
        proof.photo_count,
        split.value,
        proof.largest_difference,
    )
