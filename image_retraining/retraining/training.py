"""The stage from feature vectors to the head."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from absl import logging

from image_retraining.backbone.loading import Backbone
from image_retraining.exports.frozen_graph.writer import write_graph
from image_retraining.foundation.errors import CheckpointError, SettingError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import (
    FeatureSet,
    Head,
    Split,
    TrainingReport,
)
from image_retraining.head import descent
from image_retraining.head.batches import TrainingBatches
from image_retraining.head.best_head import HeadChoice, chosen
from image_retraining.head.checkpoint import Checkpoint, CheckpointFile
from image_retraining.head.class_weights import BALANCED, class_weights
from image_retraining.head.regularization_path import STRENGTHS, regularization_path
from image_retraining.reports.findings import Trained, TrainingStarted
from image_retraining.retraining.training_task import (
    Task,
    TrainingSettings,
    descent_settings,
    inputs,
)

# Whom a stage tells what it finds on its way.
Tell = Callable[[Any], Any]


def fit(
    sets: Mapping[Split, FeatureSet],
    labels: tuple[str, ...],
    backbone: Backbone,
    settings: TrainingSettings,
    tell: Tell,
) -> Trained:
    """Returns the trained head.

    Args:
        sets: the photos.
        labels: C class names.
        backbone: what gave their feature vectors.
        settings: how to train.
        tell: is told of the start, and of what happens on the way.

    Raises:
        CheckpointError: what is to be resumed was another training.
        OutputError: a file cannot be written.
        SettingError: the file of class weights cannot be used.
    """
    training, validation = sets[Split.TRAINING], sets[Split.VALIDATION]
    # The head is chosen by what it was trained for: where all classes are to count alike, by a
    # validation loss in which they do, too.
    weights, validation_weights = (
        class_weights(settings.class_weight, labels, photos.label_ids)
        for photos in (training, validation)
    )
    task = Task(training, validation, labels, weights, validation_weights, backbone, settings)
    ended = _solve(task, tell) if settings.optimizer == "lbfgs" else _train(task, tell)
    kept = ended.choice if settings.export == "best" else None
    return Trained(
        head=kept.head if kept else ended.head,
        kept=kept,
        validation_count=ended.judged_by,
        validation_total=len(validation),
        last_step=ended.last_step,
        stopped_early=ended.stopped_early,
        waited=ended.choice.waited if ended.choice else 0,
    )


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last head, the best one, the last step, and how many photos said which is the best."""

    head: Head
    choice: HeadChoice | None
    last_step: int
    judged_by: int
    stopped_early: bool = False


def _solve(task: Task, tell: Tell) -> _Ended:
    """Returns the last and the best head of those that solve the problem."""
    l2 = None if task.settings.l2 == -1 else task.settings.l2
    if l2 is None and not len(task.validation):
        logging.warning(
            "WARNING: there is no validation photo to choose --l2 by; 1 / %d is taken, one over "
            "the number of training photos.",
            len(task.training),
        )
    choice = None
    for point in regularization_path(
        task.training,
        task.validation,
        l2=l2,
        label_smoothing=task.settings.label_smoothing,
        class_weights=task.weights,
        validation_weights=task.validation_weights,
    ):
        head, choice = point.report.head, chosen(choice, point.report)
        if point.report.steps[0] == 0:
            tell(_started(task, head, len(STRENGTHS)))
        tell(point)
        tell(point.report)
    return _Ended(head, choice, point.report.steps[-1], len(task.validation))


def _train(task: Task, tell: Tell) -> _Ended:
    """Returns the last and the best head of a training step by step."""
    settings = task.settings
    checkpoints = CheckpointFile(settings.checkpoint_path, inputs(task))
    start = _start(checkpoints, task)
    head = settings.layers.head(start.state.values, start.state.running)
    choice, step = start.choice, start.state.step - 1
    judging = descent.judging_sample(task.validation, seed=settings.seed)
    judged_by = len(judging)
    batches = TrainingBatches(
        task.training,
        batch_size=settings.train_batch_size,
        seed=settings.seed,
        # Drawing the classes evenly is what balances them.
        class_weights=None if settings.class_weight == BALANCED else task.weights,
    )
    # Of weights that grow beyond all numbers it is told in words.
    with checkpoints, np.errstate(over="ignore", invalid="ignore"):
        tell(_started(task, head, settings.how_many_training_steps, goes_on=start.state.step > 0))
        if _has_waited(choice, settings):
            # What was interrupted had ended already, but for its exports.
            return _Ended(head, choice, step, judged_by, stopped_early=True)
        for report, state in descent.train(
            batches,
            judging,
            descent_settings(settings),
            start=start.state,
            validation_weights=task.validation_weights,
        ):
            if not report.head.is_finite:
                return _astray(choice, judged_by, step, settings)
            head, choice, step = report.head, chosen(choice, report), report.steps[-1]
            tell(report)
            checkpoints.update(Checkpoint(state, choice))
            _store_intermediate(task, report)
            if _has_waited(choice, settings):
                return _Ended(head, choice, step, judged_by, stopped_early=True)
    return _Ended(head, choice, step, judged_by)


def _astray(
    choice: HeadChoice | None, judged_by: int, step: int, settings: TrainingSettings
) -> _Ended:
    """Returns the best head so far of a training whose weights are no numbers any more.

    Raises:
        SettingError: there is none, or the last one is wanted.
    """
    if choice is None or settings.export != "best" or math.isnan(choice.cross_entropy):
        raise SettingError(
            f"--learning_rate must let the training come to something. Got "
            f"{settings.learning_rate:g}, by which its weights are no numbers any more. Take a "
            "lower one."
        )
    logging.warning(
        "WARNING: the training ends after step %d, for by the next its weights are no numbers any "
        "more. Take a lower --learning_rate than %g.",
        step,
        settings.learning_rate,
    )
    return _Ended(choice.head, choice, step, judged_by)


def _started(task: Task, head: Head, steps: int, *, goes_on: bool = False) -> TrainingStarted:
    return TrainingStarted(graph_def=task.graph(head), step_count=steps, goes_on=goes_on)


def _has_waited(choice: HeadChoice | None, settings: TrainingSettings) -> bool:
    """Whether a training that gets no better has waited long enough."""
    return choice is not None and 0 < settings.early_stopping_patience <= choice.waited


def _start(checkpoints: CheckpointFile, task: Task) -> Checkpoint:
    """Returns where the training begins: anew, or where an interrupted one stopped."""
    settings = task.settings
    resumed = checkpoints.load() if settings.resume else None
    if resumed:
        if resumed.state.step > settings.how_many_training_steps:
            raise CheckpointError(
                "--how_many_training_steps must be at least what --resume finds done, which cannot "
                f"be undone. Got {settings.how_many_training_steps}, and {resumed.state.step} "
                f"steps in {settings.checkpoint_path}. Ask for as many, or run without --resume."
            )
        step = resumed.state.step - 1
        notice("Going on after step %d of %s", step, settings.checkpoint_path)
        return resumed
    if settings.resume:
        notice("There is no %s to resume; starting anew.", settings.checkpoint_path)
    size, count = task.backbone.feature_size, len(task.labels)
    return Checkpoint(descent.initial_state(settings.layers, size, count, seed=settings.seed))


def _store_intermediate(task: Task, report: TrainingReport) -> None:
    """Writes the graph of a step that --intermediate_store_frequency asks for."""
    step = report.steps[-1]
    frequency = task.settings.intermediate_store_frequency
    if not frequency or step == 0 or step % frequency:
        return
    folder = task.settings.intermediate_output_graphs_dir
    path = os.path.join(folder, f"intermediate_{step}.pb")
    logging.info("Save intermediate result to : %s", path)
    with replacing(path) as temporary:
        write_graph(temporary, task.graph(report.head))
