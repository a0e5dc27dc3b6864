"""The stage of retrain.py from vectors to the head: what it makes of the settings, and says."""

import os
from typing import Any

from absl import logging

from image_retraining.backbone.loading import Backbone
from image_retraining.exports.frozen_graph import writer as frozen_graph
from image_retraining.foundation.files import replacing
from image_retraining.foundation.records import (
    Catalog,
    Extraction,
    FeatureSet,
    Floats,
    Head,
    Split,
    TrainingReport,
    TrainingState,
)
from image_retraining.head import descent
from image_retraining.head.best_head import HeadChoice, chosen
from image_retraining.head.checkpoint import Checkpoint, CheckpointFile, photos_digest
from image_retraining.head.class_weights import BALANCED, class_weights
from image_retraining.head.regularization_path import PathPoint, regularization_path
from image_retraining.reports.tensorboard import TensorBoardWriter, log_report
from image_retraining.retraining.config import RetrainConfig


def fit(
    config: RetrainConfig, catalog: Catalog, backbone: Backbone, extraction: Extraction
) -> Head:
    """Returns the trained head; logs, TensorBoard files and graphs are written on the way."""
    weights = class_weights(
        config.class_weight, catalog.labels, extraction.sets[Split.TRAINING].label_ids
    )
    if config.optimizer == "lbfgs":
        head, choice = _solve(config, backbone, extraction, weights)
    else:
        head, choice = _train(config, catalog, backbone, extraction, weights)
    if choice is None or config.export == "last":
        return head
    logging.info(
        "Kept the head of step %d, whose cross entropy on all %d validation photos is the lowest: "
        "%f",
        choice.step,
        len(extraction.sets[Split.VALIDATION]),
        choice.cross_entropy,
    )
    return choice.head


def _solve(
    config: RetrainConfig, backbone: Backbone, extraction: Extraction, weights: Floats
) -> tuple[Head, HeadChoice | None]:
    """Returns the last and the best head of those that solve the problem."""
    training_set, validation = (extraction.sets[s] for s in (Split.TRAINING, Split.VALIDATION))
    l2 = None if config.l2 == -1 else config.l2
    if l2 is None and not len(validation):
        logging.warning(
            "WARNING: there is no validation photo to choose --l2 by; 1 / %d is taken, one over "
            "the number of training photos.",
            len(training_set),
        )
    choice = None
    with TensorBoardWriter(config.summaries_dir, keep_earlier=False) as tensorboard:
        for point in regularization_path(
            training_set,
            validation,
            l2=l2,
            label_smoothing=config.label_smoothing,
            class_weights=weights,
        ):
            head, choice = point.report.head, chosen(choice, point.report)
            if point.report.steps[0] == 0:
                tensorboard.write_graph(_graph(config, backbone, head))
            _log_point(point)
            log_report(point.report)
            tensorboard.write(point.report)
    return head, choice


def _log_point(point: PathPoint) -> None:
    logging.info(
        "Step %d: --l2=%.3g, %d iterations of L-BFGS",
        point.report.steps[0],
        point.l2,
        point.solution.iterations,
    )
    if not point.solution.has_converged:
        logging.warning("WARNING: these were not enough; the head is not the best of its kind yet.")


def _train(
    config: RetrainConfig,
    catalog: Catalog,
    backbone: Backbone,
    extraction: Extraction,
    weights: Floats,
) -> tuple[Head, HeadChoice | None]:
    """Returns the last and the best head of a training step by step."""
    inputs = _training_inputs(config, catalog, extraction, weights)
    checkpoints = CheckpointFile(config.checkpoint_path, inputs)
    resumed = checkpoints.load() if config.resume else None
    if resumed:
        logging.info("Going on after step %d of %s", resumed.state.step - 1, config.checkpoint_path)
    elif config.resume:
        logging.info("There is no %s to resume; starting anew.", config.checkpoint_path)
    start = resumed or Checkpoint(
        TrainingState(
            descent.initial_head(backbone.feature_size, len(catalog.labels), seed=config.seed)
        )
    )
    head, choice = start.state.head, start.choice
    training_set, validation = (extraction.sets[s] for s in (Split.TRAINING, Split.VALIDATION))
    batches = _training_batches(config, training_set, weights)
    with (
        checkpoints,
        TensorBoardWriter(config.summaries_dir, keep_earlier=resumed is not None) as tensorboard,
    ):
        tensorboard.write_graph(_graph(config, backbone, head))
        settings = _training_settings(config)
        for report, state in descent.train(batches, validation, settings, start=start.state):
            head, choice = report.head, chosen(choice, report)
            log_report(report)
            tensorboard.write(report)
            checkpoints.update(Checkpoint(state, choice))
            _store_intermediate(config, backbone, report)
            if choice and 0 < config.early_stopping_patience <= choice.waited:
                logging.info(
                    "Stopped after step %d: no evaluation was better in %d.",
                    report.steps[-1],
                    choice.waited,
                )
                break
    return head, choice


def _training_inputs(
    config: RetrainConfig, catalog: Catalog, extraction: Extraction, weights: Floats
) -> dict[str, Any]:
    """Returns what a training must have in common with the one that it goes on from."""
    sets = (extraction.sets[split] for split in (Split.TRAINING, Split.VALIDATION))
    names = ("learning_rate", "train_batch_size", "optimizer", "l2", "label_smoothing", "seed")
    return {
        "photos and labels": photos_digest(catalog.labels, *sets),
        **{f"--{name}": getattr(config, name) for name in names},
        "--class_weight": [float(weight) for weight in weights],
        "distortions": str(config.distortion),
        "--distortion_views": config.distortion_views,
    }


def _training_settings(config: RetrainConfig) -> descent.TrainingSettings:
    return descent.TrainingSettings(
        steps=config.how_many_training_steps,
        learning_rate=config.learning_rate,
        optimizer=config.optimizer,
        l2=max(config.l2, 0.0),
        label_smoothing=config.label_smoothing,
        validation_batch_size=config.validation_batch_size,
        eval_step_interval=config.eval_step_interval,
        report_step_interval=config.intermediate_store_frequency,
        seed=config.seed,
    )


def _training_batches(
    config: RetrainConfig, training_set: FeatureSet, weights: Floats
) -> descent.TrainingBatches:
    return descent.TrainingBatches(
        training_set,
        batch_size=config.train_batch_size,
        seed=config.seed,
        # Drawing the classes evenly is what balances them.
        class_weights=None if config.class_weight == BALANCED else weights,
    )


def _store_intermediate(config: RetrainConfig, backbone: Backbone, report: TrainingReport) -> None:
    """Writes the graph of a step that --intermediate_store_frequency asks for."""
    step = report.steps[-1]
    frequency = config.intermediate_store_frequency
    if not frequency or step == 0 or step % frequency:
        return
    path = os.path.join(config.intermediate_output_graphs_dir, f"intermediate_{step}.pb")
    logging.info("Save intermediate result to : %s", path)
    with replacing(path) as temporary:
        frozen_graph.write(temporary, _graph(config, backbone, report.head))


def _graph(config: RetrainConfig, backbone: Backbone, head: Head) -> Any:
    return frozen_graph.build(backbone, head, final_tensor_name=config.final_tensor_name)
