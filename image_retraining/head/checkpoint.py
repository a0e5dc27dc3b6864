"""State of the training ↔ the arrays of a file, so that an interrupted training can go on.

They are `weights` and `bias` (float32) and `step` (the steps done); of a hidden layer there are
`hidden_weights` and `hidden_bias` as well. With Adam there is `mean_` and `square_` of each of
them, its moments. With batch normalisation there are `running_mean` and `running_variance`. With
validation photos there is `best_` of each of them, the head chosen so far, and `best` (float64:
after which step, its cross entropy, how many evaluations since).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from image_retraining.foundation.records import FeatureSet, Floats, Head
from image_retraining.foundation.state_file import LABELS, StateFile
from image_retraining.head.best_head import HeadChoice
from image_retraining.head.layers import HeadLayers, TrainingState

# What the names of arrays begin with, and the names of those that only a hidden layer has.
_MOMENTS, _RUNNING, _BEST = ("mean_", "square_"), "running_", "best_"
_OF_HIDDEN = ("hidden_weights", "hidden_bias")


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
        super().__init__(
            path,
            inputs,
            arrays_of=_arrays,
            state_of=_checkpoint,
            done=_done,
            # Checkpoints of earlier versions have the digest of the labels alone, and one layer.
            of_earlier={
                LABELS: inputs.get(LABELS),
                **{f"--{field.name}": field.default for field in fields(HeadLayers)},
            },
        )


def _done(checkpoint: Checkpoint) -> str:
    return f"The first {checkpoint.state.step} steps" if checkpoint.state.step else ""


def _arrays(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the arrays of the file."""
    state, choice = checkpoint.state, checkpoint.choice
    kinds = {"": state.values, _RUNNING: state.running}
    if state.moments is not None:
        kinds |= dict(zip(_MOMENTS, state.moments, strict=True))
    arrays: dict[str, Any] = {"step": np.int64(state.step)}
    if choice is not None:
        kinds[_BEST] = choice.head.values()
        arrays["best"] = np.array([choice.step, choice.cross_entropy, choice.waited], np.float64)
    for kind, values in kinds.items():
        arrays |= {f"{kind}{name}": value for name, value in values.items()}
    return arrays


def _checkpoint(stored: Any) -> Checkpoint:
    """Returns what the arrays of a file tell."""

    def values(kind: str) -> dict[str, Floats]:
        of_hidden = [name for name in _OF_HIDDEN if f"{kind}{name}" in stored]
        return {name: stored[f"{kind}{name}"] for name in ("weights", "bias", *of_hidden)}

    moments = None
    if f"{_MOMENTS[0]}weights" in stored:
        moments = (values(_MOMENTS[0]), values(_MOMENTS[1]))
    running = {
        name: stored[f"{_RUNNING}{name}"]
        for name in ("mean", "variance")
        if f"{_RUNNING}{name}" in stored
    }
    choice = None
    if "best" in stored:
        step, cross_entropy, waited = stored["best"].tolist()
        choice = HeadChoice(Head(**values(_BEST)), int(step), cross_entropy, int(waited))
    return Checkpoint(TrainingState(values(""), int(stored["step"]), moments, running), choice)


def photos_digest(labels: Sequence[str], *sets: FeatureSet) -> str:
    """Returns the start of a SHA-256 over labels and feature vectors, hexadecimal."""
    content = hashlib.sha256(json.dumps(list(labels)).encode())
    for photos in sets:
        content.update(np.ascontiguousarray(photos.label_ids).data)
        content.update(np.ascontiguousarray(photos.features).data)
    return content.hexdigest()[:16]
