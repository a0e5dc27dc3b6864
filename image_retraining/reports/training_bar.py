"""Findings → how far the training is, where its lines are not shown."""

from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import TrainingReport
from image_retraining.reports.findings import Trained


class TrainingBar:
    """Shows how many of the training's steps are done."""

    def __init__(self, steps: int) -> None:
        """Takes how many steps there are at most; nothing is shown yet."""
        self._steps = steps
        self._progress: Progress | None = None

    def tell(self, finding: object) -> None:
        """Shows a step that is done."""
        if isinstance(finding, TrainingReport):
            if self._progress is None:
                self._progress = Progress("Training", self._steps, unit="steps")
            self._progress.has_left(self._steps - finding.steps.stop)
        elif isinstance(finding, Trained):
            self.close()

    def close(self) -> None:
        """Ends the bar."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None
