"""Training reports → the log and TensorBoard."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorflow as tf
from absl import logging

from image_retraining.evaluation import softmax
from image_retraining.records import Evaluation, Floats, Head, TrainingReport

# Marks this tool's event files, so that a later run replaces these and nothing else.
_FILE_MARK = ".retrain"
_RUNS = ("train", "validation")
# Values of constants larger than this are of no use in TensorBoard's picture of the graph.
_LARGEST_CONSTANT_BYTES = 1024


def log_report(report: TrainingReport) -> None:
    """Logs an evaluation, in lines that people's scripts look for."""
    if report.train is None:
        return
    step = report.steps[-1]
    _log_step(step, f"Train accuracy = {report.train.accuracy * 100:.1f}%")
    _log_step(step, f"Cross entropy = {report.train.cross_entropy:f}")
    if report.validation is not None:
        accuracy, count = report.validation.accuracy, len(report.validation.label_ids)
        _log_step(step, f"Validation accuracy = {accuracy * 100:.1f}% (N={count})")


def _log_step(step: int, text: str) -> None:
    # Local time without a zone is what these lines have always had.
    logging.info("%s: Step %d: %s", datetime.now(), step, text)  # noqa: DTZ005


class TensorBoardWriter:
    """Writes training reports for TensorBoard: train/ and validation/ below one folder."""

    def __init__(self, summaries_dir: str, *, keep_earlier: bool) -> None:
        """Opens new event files.

        Args:
            summaries_dir: folder that `tensorboard --logdir` is given.
            keep_earlier: go on beside this tool's earlier event files instead of replacing them.
        """
        if not keep_earlier:
            _remove_earlier(summaries_dir)
        self._writers = {
            run: tf.summary.create_file_writer(
                str(Path(summaries_dir) / run), filename_suffix=_FILE_MARK
            )
            for run in _RUNS
        }
        # tf.function makes ops of the many small calls: a tenth of the time.
        self._write_scalars = {run: _scalars_function(self._writers[run]) for run in _RUNS}
        self._write_histograms = {run: _histograms_function(self._writers[run]) for run in _RUNS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def write_graph(self, graph_def: Any) -> None:
        """Writes a graph to train/, without the values of its large constants."""
        with self._writers["train"].as_default():
            tf.summary.graph(_without_large_constants(graph_def))
        self._writers["train"].flush()

    def write(self, report: TrainingReport) -> None:
        """Writes a report, so that a running TensorBoard can show it."""
        self._write("train", report.steps, report.scalars)
        last = report.steps[-1:]
        for run, evaluation in (("train", report.train), ("validation", report.validation)):
            if evaluation is None:
                continue
            if run == "validation":
                self._write(run, last, _validation_scalars(report.head, evaluation))
            self._write_histograms[run](
                tf.constant(last[0], tf.int64),
                report.head.weights,
                report.head.bias,
                evaluation.logits,
                softmax(evaluation.logits),
            )
        for writer in self._writers.values():
            writer.flush()

    def _write(self, run: str, steps: range, scalars: Mapping[str, Floats]) -> None:
        self._write_scalars[run](
            tf.constant(steps[0], tf.int64),
            {name: tf.constant(values) for name, values in scalars.items()},
        )


def _scalars_function(writer: Any) -> Any:
    @tf.function(reduce_retracing=True)
    def write(first_step: Any, scalars: dict[str, Any]) -> None:
        with writer.as_default():
            for row in tf.range(tf.shape(scalars["accuracy"])[0]):
                step = first_step + tf.cast(row, tf.int64)
                for name, values in scalars.items():
                    tf.summary.scalar(name, values[row], step=step)

    return write


def _histograms_function(writer: Any) -> Any:
    @tf.function(reduce_retracing=True)
    def write(step: Any, weights: Any, bias: Any, logits: Any, probabilities: Any) -> None:
        with writer.as_default():
            tf.summary.histogram("final_retrain_ops/weights/summaries/histogram", weights, step)
            tf.summary.histogram("final_retrain_ops/biases/summaries/histogram", bias, step)
            tf.summary.histogram("final_retrain_ops/Wx_plus_b/pre_activations", logits, step)
            tf.summary.histogram("activations", probabilities, step)

    return write


def _validation_scalars(head: Head, evaluation: Evaluation) -> dict[str, Floats]:
    """Returns for one evaluation what TrainingReport.scalars has for the training batches."""
    figures = {"accuracy": evaluation.accuracy, "cross_entropy": evaluation.cross_entropy}
    for part, values in (("weights", head.weights), ("biases", head.bias)):
        scope = f"final_retrain_ops/{part}/summaries"
        figures[f"{scope}/mean"] = float(values.mean())
        figures[f"{scope}/stddev"] = float(values.std())
        figures[f"{scope}/max"] = float(values.max())
        figures[f"{scope}/min"] = float(values.min())
    return {name: np.array([figure], np.float32) for name, figure in figures.items()}


def _remove_earlier(summaries_dir: str) -> None:
    for run in _RUNS:
        for earlier in Path(summaries_dir, run).glob(f"*tfevents*{_FILE_MARK}"):
            earlier.unlink()


def _without_large_constants(graph_def: Any) -> Any:
    small = tf.compat.v1.GraphDef()
    small.CopyFrom(graph_def)
    for node in small.node:
        if node.op == "Const" and node.ByteSize() > _LARGEST_CONSTANT_BYTES:
            node.attr["value"].tensor.ClearField("tensor_content")
            node.attr["value"].tensor.ClearField("float_val")
    return small
