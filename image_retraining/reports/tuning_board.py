"""Fine-tuning → TensorBoard's run fine_tuning/, whose steps are epochs; 0 is the head alone."""

from tensorboard.compat.proto.event_pb2 import Event

from image_retraining.reports.event_files import FINE_TUNING_RUN, EventFile, scalars_of
from image_retraining.reports.tuning_findings import Tuned


def write_to_tensorboard(summaries_dir: str, found: Tuned) -> None:
    """Writes a new event file of the run: figures of the validation photos, and of the test.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        found: how it went.

    Raises:
        OutputError: it cannot be written.
    """
    with EventFile(summaries_dir, FINE_TUNING_RUN) as file:
        for epoch in found.epochs:
            scalars = {
                "accuracy": epoch.rank.accuracy,
                "cross_entropy_at_its_temperature": epoch.rank.cross_entropy,
            }
            if epoch.number:
                scalars["training_loss"] = epoch.training_loss
            elif found.alone is not None:
                scalars["test_accuracy_of_the_head_alone"] = found.alone.accuracy
            file.add(Event(step=epoch.number, summary=scalars_of(scalars)))
