"""State of the training ↔ the arrays of a file, so that an interrupted training can go on.

They are `weights` and `bias` (float32) and `step` (the steps done). With Adam there are
`mean_weights`, `mean_bias`, `square_weights` and `square_bias` (float32), its moments. With
validation photos there are `best_weights` and `best_bias` (float32), the head chosen so far, and
`best` (float64: after which step, its cross entropy, how many evaluations since).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from image_retraining.foundation.records import FeatureSet, Head, TrainingState
from image_retraining.foundation.state_file import StateFile
from image_retraining.head.best_head import HeadChoice


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        state: after the last step.
        choice: the best head so far; None where nothing is validated.
    """

    state: TrainingState
    choice: HeadChoice | None = None


class CheckpointFile(StateFile[Checkpoint]):
    """Keeps the state of a training."""

    def __init__(self, path: str, inputs: Mapping[str, Any]) -> None:
        """Names the file.

        Args:
            path: the file; replaced by the first `update`.
            inputs: what the training learns from, by name; JSON values.
        """
        super().__init__(path, inputs, arrays_of=_arrays, state_of=_checkpoint, done=_done)


def _done(checkpoint: Checkpoint) -> str:
    return f"The first {checkpoint.state.step} steps" if checkpoint.state.step else ""


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


def photos_digest(labels: Sequence[str], *sets: FeatureSet) -> str:
    """Returns the start of a SHA-256 over labels and feature vectors, hexadecimal."""
    content = hashlib.sha256(json.dumps(list(labels)).encode())
    for photos in sets:
        content.update(np.ascontiguousarray(photos.label_ids).data)
        content.update(np.ascontiguousarray(photos.features).data)
    return content.hexdigest()[:16]
