"""TensorBoard's event files: written under this tool's mark, so that a later run replaces them.

An event file is a TFRecord file of Event messages, the first of which names the format (TensorFlow,
core/util/events_writer.h). TensorBoard's own writer does it in a thread, where a full disk prints
a traceback of its own; this one says so to who writes.

A record is its length as 8 bytes, the checksum of these, its bytes, and theirs (TensorFlow,
core/lib/io/record_writer.h).
"""

import contextlib
import functools
import itertools
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

from image_retraining.foundation.errors import unwritable
from image_retraining.reports.checksum import masked_crc32c

# Marks this tool's files, so that a later run replaces these and nothing else.
FILE_MARK = ".retrain"
# The one file whose name TensorBoard decides, and its first line where it is this tool's.
PROJECTOR_CONFIG, CONFIG_MARK = "projector_config.pbtxt", "# Written by retrain.py."
# Folders of TensorBoard's runs: the steps of a training, what its head does on test photos, what
# heads like it do on all; what came of it all, the photos, what the network's layers look at, and
# the epochs of its fine-tuning.
TRAINING_RUN, VALIDATION_RUN, TEST_RUN, CROSS_VALIDATION_RUN, *_ = RUNS = (
    *("train", "validation", "test", "cross_validation", "outcome", "photos", "activations"),
    "fine_tuning",
)
OUTCOME_RUN, PHOTOS_RUN, ACTIVATIONS_RUN, FINE_TUNING_RUN = RUNS[4:]
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
        name = f"events.out.tfevents.{int(time.time()):010d}.{maker}{FILE_MARK}"
        self._path = Path(summaries_dir, run, name)
        with _told(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self.add(Event(file_version=_FORMAT))
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, event: Any) -> None:
        """Adds an event, which happens now."""
        event.wall_time = time.time()
        contents = event.SerializeToString()
        with _told(self._path):
            self._file.write(_header(len(contents)) + contents + masked_crc32c(contents))

    def flush(self) -> None:
        """Lets readers see what has been added."""
        with _told(self._path):
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        with _told(self._path):
            self._file.close()


# Most events of a training are of few lengths.
@functools.lru_cache(maxsize=1024)
def _header(length: int) -> bytes:
    """Returns what stands before a record of so many bytes."""
    packed = struct.pack("<Q", length)
    return packed + masked_crc32c(packed)


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


def scalars_of(scalars: Mapping[str, float]) -> Summary:
    """Returns figures under their names."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=one) for tag, one in scalars.items()])


def image_value(tag: str, picture: bytes, size: tuple[int, int], *, about: str = "") -> Any:
    """Returns a picture under a name, a Summary.Value.

    Args:
        tag: the name.
        picture: its file, a PNG or JPEG in RGB.
        size: its width and height, in pixels.
        about: what is to be said of it, in Markdown.
    """
    width, height = size
    return Summary.Value(
        tag=tag,
        metadata=SummaryMetadata(summary_description=about),
        image=Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=picture),
    )


def remove_earlier(summaries_dir: str, runs: Iterable[str]) -> None:
    """Removes this tool's files, and nothing else, from the folders of some runs."""
    for run in runs:
        folder = Path(summaries_dir, run)
        # What TensorBoard finds the others by goes first.
        config = [folder / PROJECTOR_CONFIG] if has_own_config(folder) else []
        files = folder.glob(f"*tfevents*{FILE_MARK}"), folder.glob(f"*{FILE_MARK}.*")
        for earlier in itertools.chain(config, *files):
            with _told(earlier):
                earlier.unlink()


def has_own_config(folder: Path) -> bool:
    """Whether the projector_config.pbtxt in the folder of a run is this tool's."""
    config = folder / PROJECTOR_CONFIG
    with _told(config):
        return config.is_file() and config.read_bytes().startswith(CONFIG_MARK.encode())
