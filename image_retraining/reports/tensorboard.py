"""Training reports → the log and TensorBoard."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from absl import logging
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from image_retraining.foundation.records import (
    Floats,
    TrainingReport,
)
from image_retraining.head.softmax import figures, softmax

# Marks this tool's event files, so that a later run replaces these and nothing else.
_FILE_MARK = ".retrain"
_RUNS = ("train", "validation")
# What the finished head does on the test photos; metrics_board writes it.
TEST_RUN = "test"
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


def event_writer(summaries_dir: str, run: str) -> EventFileWriter:
    """Returns a writer of a new event file, marked as this tool's, in a run's folder."""
    return EventFileWriter(str(Path(summaries_dir) / run), filename_suffix=_FILE_MARK)


def write_summaries(
    summaries_dir: str, run: str, summaries: Iterable[Summary], *, step: int
) -> None:
    """Writes a new event file of a run.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        run: folder in it.
        summaries: to write.
        step: the training step they are about, from 0.
    """
    writer = event_writer(summaries_dir, run)
    try:
        for summary in summaries:
            writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
    finally:
        writer.close()


def image_value(tag: str, png: bytes, size: tuple[int, int]) -> Summary.Value:
    """Returns a picture under a name.

    Args:
        tag: the name.
        png: the picture's file.
        size: its width and height, in pixels.
    """
    width, height = size
    return Summary.Value(
        tag=tag,
        image=Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png),
    )


def remove_earlier(summaries_dir: str, runs: Iterable[str]) -> None:
    """Removes this tool's event files, and nothing else, from the folders of some runs."""
    for run in runs:
        for earlier in Path(summaries_dir, run).glob(f"*tfevents*{_FILE_MARK}"):
            earlier.unlink()


class TensorBoardWriter:
    """Writes training reports for TensorBoard: train/ and validation/ below one folder."""

    def __init__(self, summaries_dir: str, *, keep_earlier: bool) -> None:
        """Opens new event files.

        Args:
            summaries_dir: folder that `tensorboard --logdir` is given.
            keep_earlier: go on beside this tool's earlier event files instead of replacing them.
        """
        if not keep_earlier:
            # The earlier head's test goes too: beside the new curves it would be taken for theirs.
            remove_earlier(summaries_dir, [*_RUNS, TEST_RUN])
        self._writers = {run: event_writer(summaries_dir, run) for run in _RUNS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def write_graph(self, graph_def: Any) -> None:
        """Writes a graph to train/, without the values of its large constants."""
        content = _without_large_constants(graph_def).SerializeToString()
        self._writers["train"].add_event(Event(wall_time=time.time(), graph_def=content))
        self._writers["train"].flush()

    def write(self, report: TrainingReport) -> None:
        """Writes a report, so that a running TensorBoard can show it."""
        self._write_scalars("train", report.steps, report.scalars)
        last = report.steps[-1:]
        if report.train is not None:
            self._write_histograms(last[0], report)
        if report.validation is not None:
            scalars = figures(report.head, report.validation)
            self._write_scalars("validation", last, scalars)
        if report.whole_validation is not None:
            whole = {
                "whole_validation/accuracy": report.whole_validation.accuracy,
                "whole_validation/cross_entropy": report.whole_validation.cross_entropy,
            }
            scalars = {name: np.array([value], np.float32) for name, value in whole.items()}
            self._write_scalars("validation", last, scalars)
        for writer in self._writers.values():
            writer.flush()

    def _write_scalars(self, run: str, steps: range, scalars: Mapping[str, Floats]) -> None:
        for row, step in enumerate(steps):
            values = [
                Summary.Value(tag=name, simple_value=values[row])
                for name, values in scalars.items()
            ]
            self._add(run, step, Summary(value=values))

    def _write_histograms(self, step: int, report: TrainingReport) -> None:
        evaluations = {"train": report.train, "validation": report.validation}
        of_head = [
            histogram_pb("final_retrain_ops/weights/summaries/histogram", report.head.weights),
            histogram_pb("final_retrain_ops/biases/summaries/histogram", report.head.bias),
        ]
        for run, evaluation in evaluations.items():
            if evaluation is not None:
                logits, probabilities = evaluation.logits, softmax(evaluation.logits)
                for summary in (
                    *of_head,
                    histogram_pb("final_retrain_ops/Wx_plus_b/pre_activations", logits),
                    histogram_pb("activations", probabilities),
                ):
                    self._add(run, step, summary)

    def _add(self, run: str, step: int, summary: Any) -> None:
        self._writers[run].add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _without_large_constants(graph_def: Any) -> Any:
    # TensorBoard's own copy of the message type; the bytes are the same.
    small = GraphDef.FromString(graph_def.SerializeToString())
    for node in small.node:
        if node.op == "Const" and node.ByteSize() > _LARGEST_CONSTANT_BYTES:
            value = node.attr["value"].tensor
            value.CopyFrom(TensorProto(dtype=value.dtype, tensor_shape=value.tensor_shape))
    return small
