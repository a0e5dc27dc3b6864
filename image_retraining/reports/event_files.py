"""TensorBoard's event files: written under this tool's mark, so that a later run replaces them."""

import time
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

# Marks this tool's event files, so that a later run replaces these and nothing else.
_FILE_MARK = ".retrain"
# Folders of TensorBoard's runs: the steps of a training, and what its head does on test photos.
TRAINING_RUN, VALIDATION_RUN, TEST_RUN = RUNS = ("train", "validation", "test")


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
