"""Findings → TensorBoard."""

import contextlib
from collections.abc import Iterator
from functools import singledispatchmethod

from absl import logging

from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.records import TrainingReport
from image_retraining.head.softmax import softmax
from image_retraining.reports import (
    activations_board,
    calibration_board,
    metrics_board,
    outcome_board,
    photos_board,
    pr_curves_board,
    tuning_board,
)
from image_retraining.reports.activations import Activations
from image_retraining.reports.event_files import CROSS_VALIDATION_RUN
from image_retraining.reports.findings import (
    Calibrated,
    CrossValidated,
    Ended,
    Judged,
    Trained,
    TrainingStarted,
)
from image_retraining.reports.html.choice import Illustrated
from image_retraining.reports.outcome_board import Asked
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.reports.training_board import TensorBoardWriter
from image_retraining.reports.tuning_findings import Tuned


class TensorBoard:
    """Tells findings to TensorBoard, in the runs of a folder: event_files.RUNS.

    What cannot be written costs a warning, and no training.
    """

    def __init__(self, summaries_dir: str, asked: Asked) -> None:
        """Takes what to tell besides findings; nothing is written yet.

        Args:
            summaries_dir: folder that `tensorboard --logdir` is given.
            asked: what was asked for.
        """
        self._summaries_dir, self._asked = summaries_dir, asked
        self._step = 0
        self._points: PhotoPoints | None = None
        self._writer: TensorBoardWriter | None = None
        self._has_warned = False

    def close(self) -> None:
        """Closes the event files of the training."""
        with self._a_warning_at_most():
            self._end_training()

    def tell(self, finding: object) -> None:
        """Writes a finding that TensorBoard has a place for."""
        with self._a_warning_at_most():
            self._write(finding)

    @contextlib.contextmanager
    def _a_warning_at_most(self) -> Iterator[None]:
        """Goes on without what cannot be written, and without the rest of the curves."""
        try:
            yield
        except OutputError as error:
            # One says enough: what follows mostly has the same reason.
            tell = logging.info if self._has_warned else logging.warning
            tell("WARNING: TensorBoard shows less: %s", error)
            self._has_warned = True
            # What it would say of the same is said.
            with contextlib.suppress(OutputError):
                self._end_training()

    def _end_training(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @singledispatchmethod
    def _write(self, finding: object) -> None:
        """Writes a finding; others are passed over."""

    @_write.register
    def _(self, finding: TrainingStarted) -> None:
        self._writer = TensorBoardWriter(
            self._summaries_dir, step_count=finding.step_count, keep_earlier=finding.goes_on
        )
        self._writer.write_graph(finding.graph_def)

    @_write.register
    def _(self, finding: TrainingReport) -> None:
        if self._writer is not None:
            self._writer.write(finding)

    @_write.register
    def _(self, finding: Trained) -> None:
        self._step = finding.last_step
        self._end_training()

    @_write.register
    def _(self, finding: Tuned) -> None:
        tuning_board.write_to_tensorboard(self._summaries_dir, finding)

    @_write.register
    def _(self, finding: Calibrated) -> None:
        if finding.calibration is not None and finding.evaluation is not None:
            calibration_board.write_to_tensorboard(
                self._summaries_dir, finding.calibration, finding.evaluation, step=self._step
            )

    @_write.register
    def _(self, finding: CrossValidated) -> None:
        found = finding.found
        curves = pr_curves_board.summaries(found.metrics, found.probabilities, found.label_ids)
        metrics_board.write_to_tensorboard(
            self._summaries_dir,
            found.metrics,
            run=CROSS_VALIDATION_RUN,
            step=self._step,
            curves=curves,
        )

    @_write.register
    def _(self, finding: LearningCurve) -> None:
        metrics_board.write_curve(self._summaries_dir, finding)

    @_write.register
    def _(self, finding: Judged) -> None:
        evaluation, metrics = finding.evaluation, finding.metrics
        if metrics is not None and evaluation is not None:
            probabilities = softmax(evaluation.logits)
            curves = pr_curves_board.summaries(metrics, probabilities, evaluation.label_ids)
            metrics_board.write_to_tensorboard(
                self._summaries_dir, metrics, step=self._step, curves=curves
            )

    @_write.register
    def _(self, finding: Illustrated) -> None:
        self._points = finding.points
        photos_board.write_to_tensorboard(self._summaries_dir, finding, step=self._step)

    @_write.register
    def _(self, finding: Activations) -> None:
        if finding.problem:
            logging.warning("WARNING: --summarize_activations shows no layers. %s", finding.problem)
        if self._points is not None:
            activations_board.write_to_tensorboard(
                self._summaries_dir, finding, self._points, step=self._step
            )

    @_write.register
    def _(self, finding: Ended) -> None:
        outcome_board.write_to_tensorboard(self._summaries_dir, finding, self._asked)
