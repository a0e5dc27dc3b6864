"""Findings → the log, in lines that people's scripts look for: a promise."""

import shlex
from datetime import datetime
from functools import singledispatchmethod

from absl import logging

from image_retraining.evaluation.comparison import Comparison
from image_retraining.evaluation.intervals import of_accuracy
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.exports.proof import must_be_the_same
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Catalog, Extraction, TrainingReport
from image_retraining.foundation.text import shown
from image_retraining.head.regularization_path import PathPoint
from image_retraining.photos.counts import log_counts
from image_retraining.reports.advice_lines import advice_lines
from image_retraining.reports.calibration_lines import calibration_line
from image_retraining.reports.comparison_lines import comparison_lines
from image_retraining.reports.curve_lines import curve_lines
from image_retraining.reports.findings import (
    Advised,
    Calibrated,
    Copies,
    CrossValidated,
    Ended,
    Exported,
    Judged,
    LabelNext,
    Trained,
    WrongLabels,
)
from image_retraining.reports.label_next_lines import label_next_lines
from image_retraining.reports.metrics_tables import (
    cross_validation_lines,
    interval,
    interval_lines,
    table,
)
from image_retraining.reports.odd_photos import (
    copies_lines,
    doubtful_lines,
    left_out_lines,
    misleading_lines,
    warn_of_photos,
    wrong_labels_lines,
)


class Log:
    """Tells findings in lines of the log."""

    def __init__(self, *, expects_metrics: bool = False, max_accuracy_drop: float = 0.0) -> None:
        """Takes what some lines depend on.

        Args:
            expects_metrics: whether a file of metrics was asked for, which needs test photos.
            max_accuracy_drop: by how many points a quantised export may be less accurate.
        """
        self._expects_metrics = expects_metrics
        self._max_accuracy_drop = max_accuracy_drop
        self._last_lines: list[list[str]] = []
        self._folders_split = False

    @singledispatchmethod
    def tell(self, finding: object) -> None:
        """Logs a finding that has lines of its own."""

    def close(self) -> None:
        """Logs which photos could not be read, and which are damaged; a run may fail of them."""
        for lines in self._last_lines:
            warn_of_photos(lines)
        self._last_lines = []

    @tell.register
    def _(self, finding: Catalog) -> None:
        self._folders_split = finding.split_by == "folders"
        log_counts(finding)

    @tell.register
    def _(self, finding: Extraction) -> None:
        for count, what in [
            (finding.turned_count, "turned upright, as EXIF says (--exif_orientation)"),
            (finding.flattened_count, "put on white, for they are transparent"),
            (finding.converted_count, "decoded by Pillow, for TensorFlow does not"),
        ]:
            if count:
                notice("Photos %s: %d", what, count)
        count = sum(map(len, finding.sets.values())) + len(finding.unreadable)
        self._last_lines = [
            left_out_lines(finding.unreadable, count),
            doubtful_lines(finding.doubtful, count),
        ]

    @tell.register
    def _(self, finding: Copies) -> None:
        misleading = misleading_lines(finding.found)
        for line in copies_lines(finding.found, finding.labels, dropped=finding.are_dropped):
            log_line = logging.warning if line in misleading else logging.info
            log_line("%s", line)

    @tell.register
    def _(self, finding: TrainingReport) -> None:
        if finding.train is None:
            return
        step = finding.steps[-1]
        _log_step(step, f"Train accuracy = {finding.train.accuracy * 100:.1f}%")
        _log_step(step, f"Cross entropy = {finding.train.cross_entropy:f}")
        if finding.validation is not None:
            accuracy, count = finding.validation.accuracy, len(finding.validation.label_ids)
            _log_step(step, f"Validation accuracy = {accuracy * 100:.1f}% (N={count})")
            ends = interval(of_accuracy(accuracy, count))
            _log_step(step, f"95% interval of the validation accuracy: {ends}")

    @tell.register
    def _(self, finding: PathPoint) -> None:
        logging.info(
            "Step %d: --l2=%.3g, %d iterations of L-BFGS",
            finding.report.steps[0],
            finding.l2,
            finding.solution.iterations,
        )
        if not finding.solution.has_converged:
            logging.warning(
                "WARNING: these were not enough; the head is not the best of its kind yet."
            )

    @tell.register
    def _(self, finding: Trained) -> None:
        if finding.stopped_early:
            logging.info(
                "Stopped after step %d: no evaluation was better in %d.",
                finding.last_step,
                finding.waited,
            )
        judged, total = finding.validation_count, finding.validation_total
        if finding.kept is not None:
            logging.info(
                "Kept the head of step %d, whose cross entropy on %s validation photos, weighted "
                "by --class_weight, is the lowest: %f",
                finding.kept.step,
                f"{'all' if judged == total else f'{judged} of'} {total}",
                finding.kept.cross_entropy,
            )

    @tell.register
    def _(self, finding: Calibrated) -> None:
        if finding.problem:
            logging.warning("WARNING: %s", finding.problem)
        if finding.calibration is not None:
            logging.info("%s", calibration_line(finding.calibration))
        if finding.unknown is not None:
            logging.info(
                "Unknown, too, are photos unlike those of the training, by their feature vectors; "
                "of %d right validation answers 95%% stay (--unknown_threshold=auto)",
                finding.unknown.photo_count,
            )

    @tell.register
    def _(self, finding: CrossValidated) -> None:
        for line in cross_validation_lines(finding):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: LearningCurve) -> None:
        for line in curve_lines(finding):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: Judged) -> None:
        if finding.evaluation is None or finding.metrics is None:
            logging.warning(
                "WARNING: there is no test photo, so nobody knows how good this is. Add "
                "photos%s.%s",
                "" if self._folders_split else ", or raise --testing_percentage",
                " --metrics_file is not written." if self._expects_metrics else "",
            )
            return
        accuracy = finding.evaluation.accuracy * 100
        logging.info("Final test accuracy = %.1f%% (N=%d)", accuracy, len(finding.paths))
        for line in interval_lines(finding.metrics, "test"):
            logging.info("%s", line)
        for line in table(finding.metrics):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: WrongLabels) -> None:
        for line in wrong_labels_lines(
            finding.issues, finding.labels, photo_count=finding.photo_count
        ):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: Comparison) -> None:
        for line in comparison_lines(finding):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: LabelNext) -> None:
        for line in label_next_lines(finding):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: Exported) -> None:
        if finding.quantization:
            self._log_quantised(finding)
        elif finding.proof is not None and finding.split is not None:
            logging.info(
                "Verified the written %s on %d %s photos: same answers, probabilities differ by at "
                "most %.1e",
                finding.name,
                finding.proof.photo_count,
                finding.split.value,
                finding.proof.largest_difference,
            )
        saved = "final result" if finding.name == "graph" else finding.name
        logging.info("Save %s to : %s", saved, finding.path)

    @tell.register
    def _(self, finding: Advised) -> None:
        for line in advice_lines(finding.advice, finding.labels):
            logging.info("%s", line)

    @tell.register
    def _(self, finding: Ended) -> None:
        self.close()
        if finding.stands_in_for:
            logging.warning(
                "WARNING: a module that needs no network stood in for %s, which could not be "
                "downloaded (docs/modules.md).",
                finding.stands_in_for,
            )
        if finding.left_over:
            logging.warning(
                "WARNING: an earlier run left what this one did not write anew: %s",
                ", ".join(map(shown, finding.left_over)),
            )
        logging.info("Curves of the training: tensorboard --logdir %s", finding.summaries_dir)
        logging.info("Try it: %s", shlex.join(finding.example))

    def _log_quantised(self, finding: Exported) -> None:
        """Logs how an export did that need not answer as the head, and warns if it did badly."""
        proof = finding.proof
        if proof is None or finding.split is None:
            return
        count, same = proof.photo_count, proof.same_answers
        # What need not answer as the head is not verified by any number of same answers.
        is_exact = must_be_the_same(finding.quantization)
        logging.info(
            "%s the written %s (%s) on %d %s photos: %s, probabilities differ by at most %.1e, "
            "accuracy %.1f%% where the head's is %.1f%%",
            "Verified" if is_exact else "Asked",
            finding.name,
            finding.quantization,
            count,
            finding.split.value,
            "same answers" if is_exact else f"{same} of {count} the same answers",
            proof.largest_difference,
            proof.accuracy * 100,
            proof.head_accuracy * 100,
        )
        ends = interval(of_accuracy(proof.accuracy, count))
        logging.info("95%% interval of the accuracy of the written %s: %s", finding.name, ends)
        drop = (proof.head_accuracy - proof.accuracy) * 100
        if drop > self._max_accuracy_drop:
            logging.warning(
                "WARNING: the %s is less accurate by %.1f points, more than "
                "--max_accuracy_drop=%g. Try --tflite_quantize=float16.",
                finding.name,
                drop,
                self._max_accuracy_drop,
            )


def _log_step(step: int, text: str) -> None:
    # Local time without a zone is what these lines have always had.
    logging.info("%s: Step %d: %s", datetime.now(), step, text)  # noqa: DTZ005
