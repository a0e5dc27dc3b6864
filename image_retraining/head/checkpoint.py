"""State of the training ↔ one file, so that an interrupted training can go on.

The file is NumPy's .npz format: `weights` and `bias` (float32), `step` (the steps done) and
`inputs` (JSON: what the training learnt from, which must be equal to go on). With Adam there are
`mean_weights`, `mean_bias`, `square_weights` and `square_bias` (float32), its moments. With
validation photos there are `best_weights` and `best_bias` (float32), the head chosen so far, and
`best` (float64: after which step, its cross entropy, how many evaluations since).
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

from image_retraining.foundation.errors import CheckpointError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.places import is_null
from image_retraining.foundation.records import FeatureSet, Head, TrainingState
from image_retraining.foundation.text import shown
from image_retraining.head.best_head import HeadChoice

# The input that is told apart: which classes there are.
LABELS = "labels"

_SECONDS_BETWEEN_SAVES = 10.0
_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        state: after the last step.
        choice: the best head so far; None where nothing is validated.
    """

    state: TrainingState
    choice: HeadChoice | None = None


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
        step = self._unsaved.state.step if self._unsaved else 0
        self._save()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and step:
            # Notebooks show warnings only.
            logging.warning(
                "The first %d steps are kept in %s; the same command with --resume goes on.",
                step,
                self._path,
            )

    def load(self) -> Checkpoint | None:
        """Returns the state in the file, None when there is no such file.

        Raises:
            CheckpointError: the file is no checkpoint, or one of a training with other inputs.
        """
        if is_null(self._path):
            return None
        try:
            # np.load leaves a file that it opened itself open when that is no archive.
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                checkpoint = _checkpoint(stored)
                inputs = json.loads(str(stored["inputs"]))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"--resume must find the state of a training. Got {self._path}, which is none "
                f"({error}). Run without --resume to start anew."
            ) from error
        for name, now in self._inputs.items():
            # Checkpoints of earlier versions have the digest alone.
            then = inputs.get(name, now if name == LABELS else None)
            if then != now:
                raise CheckpointError(
                    "--resume must be given the inputs of the interrupted run. "
                    f"{_difference(name, then, now)} Run without --resume to start anew."
                )
        return checkpoint

    def update(self, checkpoint: Checkpoint) -> None:
        """Takes a newer state, to be written with the next save."""
        self._unsaved = checkpoint
        if time.monotonic() - self._saved_at >= _SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self) -> None:
        if self._unsaved is None:
            return
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            np.savez(file, **_arrays(self._unsaved), inputs=np.str_(json.dumps(self._inputs)))
        self._saved_at = time.monotonic()


def _arrays(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the arrays of the file."""
    state, choice = checkpoint.state, checkpoint.choice
    heads = {"": state.head}
    if state.moments is not None:
        heads |= dict(zip(("mean_", "square_"), state.moments, strict=True))
    arrays: dict[str, Any] = {"step": np.int64(state.step)}
    if choice is not None:
        heads["best_"] = choice.head
        arrays["best"] = np.array([choice.step, choice.cross_entropy, choice.waited], np.float64)
    for name, head in heads.items():
        arrays |= {f"{name}weights": head.weights, f"{name}bias": head.bias}
    return arrays


def _checkpoint(stored: Any) -> Checkpoint:
    """Returns what the arrays of a file tell."""

    def head(name: str) -> Head:
        return Head(stored[f"{name}weights"], stored[f"{name}bias"])

    moments = (head("mean_"), head("square_")) if "mean_weights" in stored else None
    choice = None
    if "best" in stored:
        step, cross_entropy, waited = stored["best"].tolist()
        choice = HeadChoice(head("best_"), int(step), cross_entropy, int(waited))
    return Checkpoint(TrainingState(head(""), int(stored["step"]), moments), choice)


def _difference(name: str, then: Any, now: Any) -> str:
    """Returns in a sentence what has become of an input."""
    if name != LABELS:
        return f"{name} was {then}, and is {now}."
    changes = {
        "new": [label for label in now if label not in then],
        "missing": [label for label in then if label not in now],
    }
    said = [f"{what}: {_some_of(labels)}" for what, labels in changes.items() if labels]
    return f"Its classes were others ({'; '.join(said) or 'in another order'})."


def _some_of(labels: Sequence[str]) -> str:
    more = [f"and {len(labels) - _NAMED_AT_MOST} more"] if len(labels) > _NAMED_AT_MOST else []
    return ", ".join([*map(shown, labels[:_NAMED_AT_MOST]), *more])


def photos_digest(labels: Sequence[str], *sets: FeatureSet) -> str:
    """Returns the start of a SHA-256 over labels and feature vectors, hexadecimal."""
    content = hashlib.sha256(json.dumps(list(labels)).encode())
    for photos in sets:
        content.update(np.ascontiguousarray(photos.label_ids).data)
        content.update(np.ascontiguousarray(photos.features).data)
    return content.hexdigest()[:16]
