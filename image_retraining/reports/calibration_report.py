"""Calibration → a line for the log, and TensorBoard."""

from tensorboard.compat.proto.summary_pb2 import Summary

from image_retraining.evaluation.calibration import Calibration, reliability
from image_retraining.foundation.records import Evaluation
from image_retraining.head.softmax import softmax
from image_retraining.reports import reliability_picture
from image_retraining.reports.metrics_tables import percent
from image_retraining.reports.tensorboard import image_value, write_summaries

_RUN = "validation"


def line(calibration: Calibration) -> str:
    """Returns what the log says of a calibration."""
    noun = "photo" if calibration.photo_count == 1 else "photos"
    unknown = (
        f"answers below {calibration.threshold:.3f} are unknown"
        if calibration.threshold
        else "no answer is unknown"
    )
    return (
        f"Calibration on {calibration.photo_count} validation {noun}: temperature "
        f"{calibration.temperature:.3g}, expected calibration error "
        f"{percent(calibration.error_before)} before and {percent(calibration.error_after)} after; "
        f"{unknown}"
    )


def write_to_tensorboard(
    summaries_dir: str, calibration: Calibration, evaluation: Evaluation, *, step: int = 0
) -> None:
    """Writes a further event file of the run validation/, which TensorBoardWriter removes.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        calibration: of the head.
        evaluation: of the same head, without the temperature, on the validation photos.
        step: the training step whose head it is, from 0.
    """
    scalars = {
        "calibration/error_before": calibration.error_before,
        "calibration/error_after": calibration.error_after,
        "calibration/temperature": calibration.temperature,
    }
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    values.append(_picture(calibration, evaluation))
    write_summaries(summaries_dir, _RUN, [Summary(value=values)], step=step)


def _picture(calibration: Calibration, evaluation: Evaluation) -> Summary.Value:
    before, after = evaluation.logits, evaluation.logits / calibration.temperature
    errors = percent(calibration.error_before), percent(calibration.error_after)
    picture = reliability_picture.draw(
        {
            f"before: error {errors[0]}": reliability(softmax(before), evaluation.label_ids),
            f"after: error {errors[1]}": reliability(softmax(after), evaluation.label_ids),
        }
    )
    return image_value("calibration/reliability", picture.png, (picture.width, picture.height))
