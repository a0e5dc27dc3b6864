"""TensorBoard's event files: written under this tool's mark, so that a later run replaces them.

An event file is a TFRecord file of Event messages, the first of which names the format (TensorFlow,
core/util/events_writer.h). TensorBoard's own writer does it in a thread, where a full disk prints
a traceback of its own; this one says so to who writes.
"""

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from image_retraining.foundation.errors import unwritable

# Marks this tool's event files, so that a later run replaces these and nothing else.
_FILE_MARK = ".retrain"
# Folders of TensorBoard's runs: the steps of a training, what its head does on test photos, and
# what heads like it do on all.
TRAINING_RUN, VALIDATION_RUN, TEST_RUN, CROSS_VALIDATION_RUN = RUNS = (
    *("train", "validation", "test", "cross_validation"),
)
_FORMAT = "brain.Event:2"
# TensorBoard reads the files of a run in the order of their names: time, and then this.
_numbers = itertools.count()


class EventFile:
    """A new event file of a run, marked as this tool's; errors are OutputError."""

    def __init__(self, summaries_dir: str, run: str) -> None:
        """Makes it.

        Args:
            summaries_dir: folder that `tensorboard --logdir` is given.
            run: folder in it.
        """
        maker = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        name = f"events.out.tfevents.{int(time.time()):010d}.{maker}{_FILE_MARK}"
        self._path = Path(summaries_dir, run, name)
        with _told(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(self._path.open("xb"))
        self.add(Event(file_version=_FORMAT))
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, event: Any) -> None:
        """Adds an event, which happens now."""
        event.wall_time = time.time()
        with _told(self._path):
            self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Lets readers see what has been added."""
        with _told(self._path):
            self._records.flush()

    def close(self) -> None:
        """Ends the file."""
        with _told(self._path):
            self._records.close()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raises OutputError where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def write_summaries(
    summaries_dir: str, run: str, summaries: Iterable[Summary], *, step: int
) -> None:
    """Writes a new event file of a run.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        run: folder in it.
        summaries: to write.
        step: the training step they are about, from 0.

    Raises:
        OutputError: it cannot be written.
    """
    with EventFile(summaries_dir, run) as file:
        for summary in summaries:
            file.add(Event(step=step, summary=summary))


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
            with _told(earlier):
                earlier.unlink()
