"""Metrics → TensorBoard."""

import itertools
import math
from collections.abc import Iterable, Iterator

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb

from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.evaluation.metrics import Metrics
from image_retraining.reports import confusion_picture
from image_retraining.reports.event_files import (
    CROSS_VALIDATION_RUN,
    TEST_RUN,
    image_value,
    remove_earlier,
    scalars_of,
    write_summaries,
)
from image_retraining.reports.markdown import escaped, table
from image_retraining.reports.metrics_tables import COLUMNS, cells


def write_to_tensorboard(
    summaries_dir: str,
    metrics: Metrics,
    *,
    run: str = TEST_RUN,
    step: int = 0,
    curves: Iterable[Summary] = (),
) -> None:
    """Writes a run below a folder, in place of what an earlier run of this tool wrote there.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        metrics: of some photos.
        run: what they are, of event_files.RUNS.
        step: the training step whose head was measured, from 0.
        curves: to write besides, of `pr_curves_board`.
    """
    remove_earlier(summaries_dir, [run])
    summaries = itertools.chain(_summaries(metrics), curves)
    write_summaries(summaries_dir, run, summaries, step=step)


def write_curve(summaries_dir: str, curve: LearningCurve) -> None:
    """Writes a learning curve to cross_validation/: its steps are numbers of photos learnt from."""
    for point in curve.points:
        scalars = {"learning_curve/accuracy": point.accuracy}
        scalars |= interval_scalars("learning_curve/accuracy", point.interval)
        summaries = [scalars_of(scalars)]
        write_summaries(summaries_dir, CROSS_VALIDATION_RUN, summaries, step=point.photo_count)


def interval_scalars(tag: str, ends: tuple[float, float]) -> dict[str, float]:
    """Returns the ends of an interval of 95%, under names beside that of the figure."""
    low, high = ends
    return {f"{tag}_interval/low": low, f"{tag}_interval/high": high}


def _summaries(metrics: Metrics) -> Iterator[Summary]:
    scalars = {
        # These two are also curves of train/ and validation/.
        "accuracy": metrics.accuracy,
        "cross_entropy": metrics.cross_entropy,
        "macro_accuracy": metrics.macro_accuracy,
        "macro_f1": metrics.macro_f1,
        **interval_scalars("accuracy", metrics.accuracy_interval),
        "macro_roc_auc": metrics.macro_roc_auc,
        "macro_average_precision": metrics.macro_average_precision,
    }
    if metrics.top_5_accuracy is not None and metrics.top_5_accuracy_interval is not None:
        scalars["top_5_accuracy"] = metrics.top_5_accuracy
        scalars |= interval_scalars("top_5_accuracy", metrics.top_5_accuracy_interval)
    # A curve of what is undefined would be an empty picture.
    scalars = {tag: value for tag, value in scalars.items() if not math.isnan(value)}
    yield scalars_of(scalars)
    yield text_pb("classes", _markdown(metrics))
    # Of many classes there is one picture, of pairs with their shares.
    is_matrix = len(metrics.labels) <= confusion_picture.MOST_IN_MATRIX
    tags = ["confusion_matrix", *(["confusion_matrix_normalized"] if is_matrix else [])]
    for place, tag in enumerate(tags):
        counts, labels = metrics.confusion, metrics.labels
        picture = confusion_picture.draw(counts, labels, normalized=place == 1)
        yield Summary(value=[image_value(tag, picture.png, (picture.width, picture.height))])


def _markdown(metrics: Metrics) -> str:
    """Returns a table of one row a class."""
    rows = [
        (str(label_id), escaped(label), *cells(metrics, label_id))
        for label_id, label in enumerate(metrics.labels)
    ]
    return table(("label_id", "label", *COLUMNS), rows, left=2)
