"""Calibration → a line for the log."""

from image_retraining.evaluation.calibration import LEAST_PHOTOS, LEAST_RIGHT, Calibration
from image_retraining.reports.metrics_tables import percent


def calibration_line(calibration: Calibration) -> str:
    """Returns what the log says of a calibration."""
    count = calibration.photo_count
    photos = f"{count} validation {'photo' if count == 1 else 'photos'}"
    before, after = percent(calibration.error_before), percent(calibration.error_after)
    if count < LEAST_PHOTOS:
        found = (
            f"No calibration: of {photos} a temperature would be chance, it takes {LEAST_PHOTOS}; "
            f"expected calibration error {before}"
        )
    elif calibration.temperature == 1:
        found = (
            f"Calibration on {photos}: temperature 1, for the one that fits best does not lower "
            f"the expected calibration error of {before}"
        )
    else:
        found = (
            f"Calibration on {photos}: temperature {calibration.temperature:.3g}, expected "
            f"calibration error {before} before and {after} after"
        )
    unknown = (
        f"answers below {calibration.threshold:.3f} are unknown"
        if calibration.threshold
        else f"no answer is unknown, for that takes {LEAST_RIGHT} right answers"
    )
    return f"{found}; {unknown}"
