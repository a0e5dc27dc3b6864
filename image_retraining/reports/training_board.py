"""Training reports → TensorBoard's runs train/ and validation/.

The curves of validation/ are of all validation photos; those of the draw that the log tells of lie
below them, if it is another.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from image_retraining.evaluation.intervals import of_accuracy
from image_retraining.evaluation.ranking_quality import mean_of_defined, one_against_rest
from image_retraining.foundation.records import Evaluation, Floats, TrainingReport
from image_retraining.head.softmax import figures, softmax
from image_retraining.reports.event_files import (
    RUNS,
    TRAINING_RUN,
    VALIDATION_RUN,
    EventFile,
    remove_earlier,
)
from image_retraining.reports.histograms import histogram
from image_retraining.reports.metrics_board import interval_scalars

# Values of constants larger than this are of no use in TensorBoard's picture of the graph.
_LARGEST_CONSTANT_BYTES = 1024
# TensorBoard shows the group of a tag's first word, in alphabetical order, and the first ones open:
# the curve of all validation photos lies on that of the training, the restless one of a draw below.
_DRAW = "validation_batch"
# What TensorBoard calls the values of a head.
_PARTS = {
    "weights": "weights",
    "bias": "biases",
    "hidden_weights": "hidden/weights",
    "hidden_bias": "hidden/biases",
}
_CHOSEN_BY = "weighted_cross_entropy"
# Points of a curve of areas, which take longer than the other figures.
_MOST_AREAS = 20


class TensorBoardWriter:
    """Writes training reports for TensorBoard: train/ and validation/ below one folder."""

    def __init__(self, summaries_dir: str, *, step_count: int, keep_earlier: bool) -> None:
        """Opens new event files.

        Args:
            summaries_dir: folder that `tensorboard --logdir` is given.
            step_count: how many steps there are to be, at most.
            keep_earlier: go on beside this tool's earlier event files instead of replacing them.

        Raises:
            OutputError: they cannot be written; so do the other methods.
        """
        self._step_count = step_count
        self._next_area = 0
        if not keep_earlier:
            # The earlier head's test goes too: beside the new curves it would be taken for theirs.
            remove_earlier(summaries_dir, RUNS)
        with contextlib.ExitStack() as files:
            self._files = {
                run: files.enter_context(EventFile(summaries_dir, run))
                for run in (TRAINING_RUN, VALIDATION_RUN)
            }
            self._closing = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the event files."""
        self._closing.close()

    def write_graph(self, graph_def: Any) -> None:
        """Writes a graph to train/, without the values of its large constants."""
        content = _without_large_constants(graph_def).SerializeToString()
        self._files[TRAINING_RUN].add(Event(graph_def=content))
        self._files[TRAINING_RUN].flush()

    def write(self, report: TrainingReport) -> None:
        """Writes a report, so that a running TensorBoard can show it."""
        self._write_scalars(TRAINING_RUN, report.steps, report.scalars)
        last = report.steps[-1:]
        if report.train is not None:
            self._write_histograms(last[0], report)
        whole, drawn = report.whole_validation, report.validation
        if whole is not None:
            weighted = np.array([whole.weighted_cross_entropy], np.float32)
            of_all = figures(report.head, whole) | {_CHOSEN_BY: weighted} | _interval(whole)
            self._write_scalars(VALIDATION_RUN, last, of_all | self._areas(last[0], whole))
        if drawn is not None and drawn is not whole:
            of_draw = {"accuracy": drawn.accuracy, "cross_entropy": drawn.cross_entropy}
            scalars = {
                f"{_DRAW}/{name}": np.array([value], np.float32) for name, value in of_draw.items()
            }
            scalars |= {f"{_DRAW}/{name}": value for name, value in _interval(drawn).items()}
            self._write_scalars(VALIDATION_RUN, last, scalars)
        for file in self._files.values():
            file.flush()

    def _areas(self, step: int, whole: Evaluation) -> dict[str, Floats]:
        """Returns the mean areas of the classes, float32 [1] each, once in a twentieth of steps."""
        place = step * _MOST_AREAS // self._step_count
        if place < self._next_area:
            return {}
        self._next_area = place + 1
        names = ("macro_roc_auc", "macro_average_precision")
        means = map(mean_of_defined, one_against_rest(whole.logits, whole.label_ids))
        return {
            name: np.array([mean], np.float32)
            for name, mean in zip(names, means, strict=True)
            if not np.isnan(mean)
        }

    def _write_scalars(self, run: str, steps: range, scalars: Mapping[str, Floats]) -> None:
        for row, step in enumerate(steps):
            values = [
                Summary.Value(tag=name, simple_value=values[row])
                for name, values in scalars.items()
            ]
            self._add(run, step, Summary(value=values))

    def _write_histograms(self, step: int, report: TrainingReport) -> None:
        evaluations = {TRAINING_RUN: report.train, VALIDATION_RUN: report.validation}
        of_head = [
            histogram(f"final_retrain_ops/{_PARTS[name]}/summaries/histogram", values)
            for name, values in report.head.values().items()
        ]
        for run, evaluation in evaluations.items():
            if evaluation is not None:
                logits, probabilities = evaluation.logits, softmax(evaluation.logits)
                for summary in (
                    *of_head,
                    histogram("final_retrain_ops/Wx_plus_b/pre_activations", logits),
                    histogram("activations", probabilities),
                ):
                    self._add(run, step, summary)

    def _add(self, run: str, step: int, summary: Any) -> None:
        self._files[run].add(Event(step=step, summary=summary))


def _interval(evaluation: Evaluation) -> dict[str, Floats]:
    """Returns the ends of the accuracy's interval of 95%, float32 [1] each."""
    ends = of_accuracy(evaluation.accuracy, len(evaluation.label_ids))
    scalars = interval_scalars("accuracy", ends)
    return {name: np.array([end], np.float32) for name, end in scalars.items()}


def _without_large_constants(graph_def: Any) -> Any:
    # TensorBoard's own copy of the message type; the bytes are the same.
    small = GraphDef.FromString(graph_def.SerializeToString())
    for node in small.node:
        if node.op == "Const" and node.ByteSize() > _LARGEST_CONSTANT_BYTES:
            value = node.attr["value"].tensor
            value.CopyFrom(TensorProto(dtype=value.dtype, tensor_shape=value.tensor_shape))
    return small
