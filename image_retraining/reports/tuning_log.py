"""Findings of a fine-tuning → the log."""

from absl import logging

from image_retraining.reports.tuning_findings import Tuned
from image_retraining.reports.tuning_lines import epoch_line, tuned_lines
from image_retraining.tuning.fitted import Epoch


class TuningLog:
    """Tells of each epoch, and of what came of them."""

    def tell(self, finding: object) -> None:
        """Logs a finding that has lines of its own."""
        if isinstance(finding, Epoch):
            logging.info("%s", epoch_line(finding))
        elif isinstance(finding, Tuned):
            for line in tuned_lines(finding):
                logging.info("%s", line)

    def close(self) -> None:
        """Does nothing: lines are logged at once."""
