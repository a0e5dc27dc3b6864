"""Findings → the figures of a training's evaluations, a row each."""

from image_retraining.foundation.records import TrainingReport
from image_retraining.head.regularization_path import PathPoint


class History:
    """Keeps the figures of each evaluation.

    Attributes:
        rows: name → figure: step, and of the head then accuracy (0 to 1) and cross_entropy (nats)
            on the batch, validation_accuracy and validation_cross_entropy on the validation
            photos, where there are any; l2 where a strength of regularisation was tried.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._l2: float | None = None

    def tell(self, finding: object) -> None:
        """Keeps what a report says of an evaluation."""
        if isinstance(finding, PathPoint):
            self._l2 = finding.l2
        if not isinstance(finding, TrainingReport) or finding.train is None:
            return
        row = {"step": finding.steps[-1]} | ({} if self._l2 is None else {"l2": self._l2})
        row |= {
            "accuracy": finding.train.accuracy,
            "cross_entropy": finding.train.cross_entropy,
        }
        # The log has another figure, of as many photos as --validation_batch_size says.
        validation = finding.whole_validation or finding.validation
        if validation is not None:
            row |= {
                "validation_accuracy": validation.accuracy,
                "validation_cross_entropy": validation.cross_entropy,
            }
        self.rows.append(row)

    def close(self) -> None:
        """Does nothing: rows are kept at once."""
