"""Answers to photos → TensorBoard's precision-recall curves, one a class."""

from collections.abc import Iterator

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util.tensor_util import make_tensor_proto

from image_retraining.evaluation.metrics import Metrics
from image_retraining.evaluation.precision_recall import Trade, trade_off
from image_retraining.foundation.records import Floats, Ints
from image_retraining.foundation.text import shown
from image_retraining.reports.markdown import escaped

# More are pages that nobody scrolls through: those of the least average precision are shown.
MOST_CURVES = 20
_THRESHOLDS = 201


def summaries(metrics: Metrics, probabilities: Floats, label_ids: Ints) -> Iterator[Summary]:
    """Yields the curves of the classes that have photos, at most 20 of them.

    Args:
        metrics: of the photos.
        probabilities: float32 [N, C].
        label_ids: int32 [N], the true labels.
    """
    # The area of a class that all photos are of, or none, is undefined.
    judged = np.flatnonzero(~np.isnan(metrics.average_precision))
    worst = judged[np.argsort(metrics.average_precision[judged], kind="stable")]
    digits = len(str(len(metrics.labels) - 1))
    for label_id in sorted(worst[:MOST_CURVES].tolist()):
        trade = trade_off(probabilities[:, label_id], label_ids == label_id, _THRESHOLDS)
        label = metrics.labels[label_id]
        about = f"{trade.positives} photos of {escaped(label)} among {len(label_ids)}."
        if len(judged) > MOST_CURVES:
            about += (
                f" Of {len(judged)} classes, the {MOST_CURVES} of the least average precision "
                "have curves."
            )
        # One chart has the curves of equal tags, and labels may be shown alike.
        yield _summary(f"classes/{label_id:0{digits}} {shown(label)}", trade, about)


def _summary(tag: str, trade: Trade, about: str) -> Summary:
    rows = (
        *(trade.right, trade.wrong),
        *(trade.negatives - trade.wrong, trade.positives - trade.right),
        *(trade.precision, trade.recall),
    )
    value = Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(tag, about, _THRESHOLDS),
        tensor=make_tensor_proto(np.stack(rows).astype(np.float32)),
    )
    return Summary(value=[value])
