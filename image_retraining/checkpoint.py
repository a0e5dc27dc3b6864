"""State of the training ↔ one file, so that an interrupted training can go on.

The file is NumPy's .npz format: `weights` and `bias` (float32), `step` (the steps done) and
`inputs` (JSON: what the training learnt from, which must be equal to go on).
"""

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from absl import logging

from image_retraining.errors import CheckpointError
from image_retraining.records import FeatureSet, Head
from image_retraining.whole_files import replacing

_SECONDS_BETWEEN_SAVES = 10.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        head: after so many steps.
        step: how many steps are done.
    """

    head: Head
    step: int


class CheckpointFile:
    """Keeps the state of a training in a file: every few seconds, and when it is left."""

    def __init__(self, path: str, inputs: Mapping[str, Any]) -> None:
        """Names the file.

        Args:
            path: the file; replaced by the first `update`.
            inputs: what the training learns from, by name; JSON values.
        """
        self._path = Path(path)
        self._inputs = dict(inputs)
        self._unsaved: Checkpoint | None = None
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        step = self._unsaved.step if self._unsaved else 0
        self._save()
        if kind is KeyboardInterrupt and step:
            logging.info(
                "The first %d steps are kept in %s; the same command with --resume goes on.",
                step,
                self._path,
            )

    def load(self) -> Checkpoint | None:
        """Returns the state in the file, None when there is no such file.

        Raises:
            CheckpointError: the file is no checkpoint, or one of a training with other inputs.
        """
        try:
            # np.load leaves a file that it opened itself open when that is no archive.
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                head = Head(stored["weights"], stored["bias"])
                step = int(stored["step"])
                inputs = json.loads(str(stored["inputs"]))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"--resume must find the state of a training. Got {self._path}, which is none "
                f"({error}). Run without --resume to start anew."
            ) from error
        for name, now in self._inputs.items():
            if inputs.get(name) != now:
                raise CheckpointError(
                    f"--resume must be given the inputs of the interrupted run. {name} was "
                    f"{inputs.get(name)}, and is {now}. Run without --resume to start anew."
                )
        return Checkpoint(head, step)

    def update(self, checkpoint: Checkpoint) -> None:
        """Takes a newer state, to be written with the next save."""
        self._unsaved = checkpoint
        if time.monotonic() - self._saved_at >= _SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self) -> None:
        if self._unsaved is None:
            return
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                weights=self._unsaved.head.weights,
                bias=self._unsaved.head.bias,
                step=np.int64(self._unsaved.step),
                inputs=np.str_(json.dumps(self._inputs)),
            )
        self._saved_at = time.monotonic()


def photos_digest(labels: Sequence[str], training: FeatureSet) -> str:
    """Returns the start of a SHA-256 over what there is to learn, hexadecimal."""
    content = hashlib.sha256(json.dumps(list(labels)).encode())
    content.update(np.ascontiguousarray(training.label_ids).data)
    content.update(np.ascontiguousarray(training.features).data)
    return content.hexdigest()[:16]
