"""Findings → files that other programs read: metrics, wrong labels, photos to label next."""

import contextlib

from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.foundation.log_lines import notice
from image_retraining.reports.findings import CrossValidated, Judged, LabelNext, WrongLabels
from image_retraining.reports.label_next_lines import writing_label_next
from image_retraining.reports.metrics_file import writing_metrics_file
from image_retraining.reports.odd_photos import writing_wrong_labels


class MetricsFile:
    """Writes the metrics of the test photos, as --metrics_file asks."""

    def __init__(self, path: str, results: contextlib.ExitStack) -> None:
        self._path, self._results = path, results
        self._crossed: CrossValidation | None = None
        self._curve: LearningCurve | None = None

    def tell(self, finding: object) -> None:
        """Writes the file, which takes its place with the other results, when a head was judged."""
        if isinstance(finding, CrossValidated):
            self._crossed = finding.found
        if isinstance(finding, LearningCurve):
            self._curve = finding
        if isinstance(finding, Judged) and finding.metrics is not None:
            also = (self._crossed, self._curve)
            writing = writing_metrics_file(self._path, finding.metrics, *also)
            self._results.enter_context(writing)
            notice("Save metrics to : %s", self._path)

    def close(self) -> None:
        """Does nothing: whoever has the results places them."""


class LabelNextFile:
    """Writes the photos to label next, as --label_next_file asks."""

    def __init__(self, path: str, results: contextlib.ExitStack) -> None:
        self._path, self._results = path, results

    def tell(self, finding: object) -> None:
        """Writes the file, which takes its place with the other results."""
        if isinstance(finding, LabelNext):
            self._results.enter_context(writing_label_next(self._path, finding))
            notice("Save photos to label next to : %s", self._path)

    def close(self) -> None:
        """Does nothing: whoever has the results places them."""


class WrongLabelsFile:
    """Writes the photos whose label looks wrong, as --label_issues_file asks."""

    def __init__(self, path: str, results: contextlib.ExitStack) -> None:
        self._path, self._results = path, results

    def tell(self, finding: object) -> None:
        """Writes the file, which takes its place with the other results, when it was asked for."""
        if isinstance(finding, WrongLabels):
            self._results.enter_context(
                writing_wrong_labels(self._path, finding.issues, finding.labels)
            )
            notice("Save label issues to : %s", self._path)

    def close(self) -> None:
        """Does nothing: whoever has the results places them."""
