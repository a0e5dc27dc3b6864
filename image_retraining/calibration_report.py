"""Calibration → a line for the log, and TensorBoard."""

import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from image_retraining import reliability_picture
from image_retraining.calibration import Calibration, reliability
from image_retraining.evaluation import softmax
from image_retraining.metrics_report import percent
from image_retraining.records import Evaluation
from image_retraining.summaries import event_writer

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
    writer = event_writer(summaries_dir, _RUN)
    try:
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        writer.add_event(event)
    finally:
        writer.close()


def _picture(calibration: Calibration, evaluation: Evaluation) -> Summary.Value:
    before, after = evaluation.logits, evaluation.logits / calibration.temperature
    errors = percent(calibration.error_before), percent(calibration.error_after)
    picture = reliability_picture.draw(
        {
            f"before: error {errors[0]}": reliability(softmax(before), evaluation.label_ids),
            f"after: error {errors[1]}": reliability(softmax(after), evaluation.label_ids),
        }
    )
    image = Summary.Image(
        width=picture.width, height=picture.height, colorspace=3, encoded_image_string=picture.png
    )
    return Summary.Value(tag="calibration/reliability", image=image)
