"""State of long work ↔ one file, so that what is interrupted can go on.

The file is NumPy's .npz format: the arrays of the state, and `inputs` (JSON: what the work is done
on, which must be equal to go on).
"""

import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from absl import logging

from image_retraining.foundation.errors import CheckpointError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.places import is_null
from image_retraining.foundation.text import shown

# The input that is told apart: which classes there are.
LABELS = "labels"

_SECONDS_BETWEEN_SAVES = 10.0
_NAMED_AT_MOST = 5
_State = TypeVar("_State")


class StateFile(Generic[_State]):
    """Keeps a state in a file: every few seconds, and when it is left.

    Attributes:
        path: the file.
    """

    def __init__(
        self,
        path: str,
        inputs: Mapping[str, Any],
        *,
        arrays_of: Callable[[_State], Mapping[str, Any]],
        state_of: Callable[[Mapping[str, Any]], _State],
        done: Callable[[_State], str],
        of_earlier: Mapping[str, Any] | None = None,
    ) -> None:
        """Names the file.

        Args:
            path: the file; replaced by the first `update`.
            inputs: what the work is done on, by name; JSON values.
            arrays_of: state → its arrays, none of them called "inputs".
            state_of: the way back; raises KeyError, TypeError or ValueError where there is none.
            done: state → what is done of the work, in words; "" for nothing.
            of_earlier: what inputs were that files of earlier versions do not name.
        """
        self.path = Path(path)
        self._inputs = dict(inputs)
        self._of_earlier = dict(of_earlier or {})
        self._arrays_of, self._state_of, self._done = arrays_of, state_of, done
        self._unsaved: _State | None = None
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        done = self._done(self._unsaved) if self._unsaved is not None else ""
        self._save()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and done:
            # Notebooks show warnings only.
            logging.warning(
                "%s are kept in %s; the same command with --resume goes on.", done, self.path
            )

    def load(self) -> _State | None:
        """Returns the state in the file, None when there is no such file.

        Raises:
            CheckpointError: the file is no checkpoint, or one of a training with other inputs.
        """
        if is_null(self.path):
            return None
        try:
            # np.load leaves a file that it opened itself open when that is no archive.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                state = self._state_of(stored)
                inputs = json.loads(str(stored["inputs"]))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"--resume must find the state of a training. Got {self.path}, which is none "
                f"({error}). Run without --resume to start anew."
            ) from error
        for name, now in self._inputs.items():
            then = inputs.get(name, self._of_earlier.get(name))
            if then != now:
                raise CheckpointError(
                    "--resume must be given the inputs of the interrupted run. "
                    f"{_difference(name, then, now)} Run without --resume to start anew."
                )
        return state

    def update(self, state: _State) -> None:
        """Takes a newer state, to be written with the next save."""
        self._unsaved = state
        if time.monotonic() - self._saved_at >= _SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self) -> None:
        if self._unsaved is None:
            return
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            arrays = dict(self._arrays_of(self._unsaved))
            np.savez(file, **arrays, inputs=np.str_(json.dumps(self._inputs)))
        self._saved_at = time.monotonic()


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
