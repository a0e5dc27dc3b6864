"""The precision-recall curves, as TensorBoard's own plugin reads them."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import auc
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.pr_curve import metadata as pr_curves
from tensorboard.util.tensor_util import make_ndarray

from image_retraining.evaluation.metrics import measure
from image_retraining.head.softmax import of_logits, softmax
from image_retraining.reports import metrics_board, pr_curves_board


def written(
    folder: Path, labels: tuple[str, ...], photos: int, *, seed: int = 0
) -> EventAccumulator:
    """Returns what TensorBoard finds of a head that knows its photos more or less."""
    random = np.random.default_rng(seed)
    label_ids = np.sort(random.integers(0, len(labels), photos)).astype(np.int32)
    logits = random.normal(size=[photos, len(labels)]).astype(np.float32)
    logits[np.arange(photos), label_ids] += 1.5
    metrics = measure(of_logits(logits, label_ids), labels)
    curves = pr_curves_board.summaries(metrics, softmax(logits), label_ids)
    metrics_board.write_to_tensorboard(str(folder), metrics, step=7, curves=curves)
    found = EventAccumulator(str(folder / "test"), size_guidance={"tensors": 0})
    found.Reload()
    tags = {
        tag
        for tag in found.Tags()["tensors"]
        if found.SummaryMetadata(tag).plugin_data.plugin_name == pr_curves.PLUGIN_NAME
    }
    found.curves = {tag: make_ndarray(found.Tensors(tag)[0].tensor_proto) for tag in tags}
    found.metrics = metrics
    return found


def test_each_class_has_a_curve_of_the_area_that_the_log_tells(tmp_path: Path) -> None:
    labels = ("a_b", "<b>玫瑰", "c\n")
    found = written(tmp_path, labels, 400)
    assert sorted(found.curves) == ["classes/0 a_b", "classes/1 <b>玫瑰", "classes/2 c\\n"]
    for label_id, tag in enumerate(sorted(found.curves)):
        right, wrong, left, missed, precision, recall = found.curves[tag]
        support = found.metrics.support[label_id]
        assert (right + missed == support).all()
        assert (wrong + left == 400 - support).all()
        assert len(right) == 201
        assert auc(recall, precision) == pytest.approx(
            found.metrics.average_precision[label_id], abs=0.02
        )
        about = found.SummaryMetadata(tag).summary_description
        assert about.startswith(f"{support} photos of ")
        assert not set("<>_\n") & set(about)
        content = found.SummaryMetadata(tag).plugin_data.content
        assert pr_curves.parse_plugin_metadata(content).num_thresholds == 201
        assert found.Tensors(tag)[0].step == 7


def test_of_many_classes_the_worst_have_curves_and_say_so(tmp_path: Path) -> None:
    labels = tuple(f"label {number}" for number in range(30))
    found = written(tmp_path, labels, 600)
    worst = np.argsort(found.metrics.average_precision)[: pr_curves_board.MOST_CURVES]
    assert set(found.curves) == {f"classes/{one:02} label {one}" for one in worst}
    for tag in found.curves:
        about = found.SummaryMetadata(tag).summary_description
        assert "Of 30 classes, the 20 of the least average precision" in about


def test_classes_without_photos_have_none(tmp_path: Path) -> None:
    found = written(tmp_path, tuple(f"{number:03}" for number in range(200)), 60)
    assert len(found.curves) == 20
    shown = [int(tag.removeprefix("classes/").split()[0]) for tag in found.curves]
    assert (found.metrics.support[shown] > 0).all()
