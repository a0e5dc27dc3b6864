"""Photos that were answered wrongly → the lines that --print_misclassified_test_images asks for."""

from image_retraining.foundation.log_lines import notice
from image_retraining.reports.findings import Judged


class MisclassifiedLog:
    """Lists the test photos that were answered wrongly."""

    def tell(self, finding: object) -> None:
        """Logs them."""
        if isinstance(finding, Judged) and finding.evaluation is not None:
            notice("=== MISCLASSIFIED TEST IMAGES ===")
            for path, label in finding.misclassified():
                notice("%70s  %s", path, label)

    def close(self) -> None:
        """Does nothing: lines are written at once."""
