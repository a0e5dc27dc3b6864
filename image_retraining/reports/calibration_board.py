"""Calibration → TensorBoard."""

from tensorboard.compat.proto.summary_pb2 import Summary

from image_retraining.evaluation.calibration import Calibration, reliability
from image_retraining.foundation.records import Evaluation
from image_retraining.head.softmax import softmax
from image_retraining.reports import reliability_picture
from image_retraining.reports.event_files import VALIDATION_RUN, image_value, write_summaries
from image_retraining.reports.metrics_tables import percent


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
    write_summaries(summaries_dir, VALIDATION_RUN, [Summary(value=values)], step=step)


def _picture(calibration: Calibration, evaluation: Evaluation) -> Summary.Value:
    temperature = calibration.temperature
    errors = {"before": calibration.error_before, "after": calibration.error_after}
    logits = {"before": evaluation.logits, "after": evaluation.logits / temperature}
    if temperature == 1:
        # Twice the same picture would look like a calibration.
        errors, logits = {"as it is": errors["before"]}, {"as it is": logits["before"]}
    picture = reliability_picture.draw(
        {
            f"{name}: error {percent(errors[name])}": reliability(
                softmax(logits[name]), evaluation.label_ids
            )
            for name in logits
        }
    )
    return image_value("calibration/reliability", picture.png, (picture.width, picture.height))
