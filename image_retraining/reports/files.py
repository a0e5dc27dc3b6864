"""Findings → files that other programs read: metrics, and photos whose label looks wrong."""

from absl import logging

from image_retraining.reports.findings import Judged, WrongLabels
from image_retraining.reports.metrics_tables import write_metrics_file
from image_retraining.reports.odd_photos import write_wrong_labels


class MetricsFile:
    """Writes the metrics of the test photos, as --metrics_file asks."""

    def __init__(self, path: str) -> None:
        self._path = path

    def tell(self, finding: object) -> None:
        """Writes the file when the head was judged."""
        if isinstance(finding, Judged) and finding.metrics is not None:
            write_metrics_file(self._path, finding.metrics)
            logging.info("Save metrics to : %s", self._path)

    def close(self) -> None:
        """Does nothing: a file is written at once."""


class WrongLabelsFile:
    """Writes the photos whose label looks wrong, as --label_issues_file asks."""

    def __init__(self, path: str) -> None:
        self._path = path

    def tell(self, finding: object) -> None:
        """Writes the file when they were looked for."""
        if isinstance(finding, WrongLabels):
            write_wrong_labels(self._path, finding.issues, finding.labels)
            logging.info("Save label issues to : %s", self._path)

    def close(self) -> None:
        """Does nothing: a file is written at once."""
