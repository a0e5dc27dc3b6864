"""Findings → how far the training is, where its lines are not shown."""

from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import TrainingReport
from image_retraining.head.best_head import HeadChoice, chosen
from image_retraining.reports.findings import Trained, TrainingStarted


class TrainingBar:
    """Shows how many of the training's steps are done, and which validates best."""

    def __init__(self) -> None:
        """Begins; nothing is shown yet."""
        self._steps = 0
        self._best: HeadChoice | None = None
        self._progress: Progress | None = None

    def tell(self, finding: object) -> None:
        """Shows a step that is done."""
        if isinstance(finding, TrainingStarted):
            self._steps = finding.step_count
            self._progress = Progress("Training", self._steps, unit="steps")
        elif isinstance(finding, TrainingReport) and self._progress is not None:
            self._note_best(finding, self._progress)
            self._progress.has_left(self._steps - finding.steps.stop)
        elif isinstance(finding, Trained):
            self.close()

    def _note_best(self, report: TrainingReport, progress: Progress) -> None:
        self._best = chosen(self._best, report)
        found, step = report.whole_validation, report.steps[-1]
        if found is not None and self._best is not None and self._best.step == step:
            progress.note(f"best {found.accuracy * 100:.1f}% at {step}")

    def close(self) -> None:
        """Ends the bar."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None
