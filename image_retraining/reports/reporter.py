"""Who is told what the stages find: the log, TensorBoard, files. Another one is another file."""

import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from image_retraining.foundation.interruption import held_back

_Finding = TypeVar("_Finding")


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage of a run has ended, after what it found was told.

    Attributes:
        stage: called as the field of Ended, or "start" for TensorFlow's import.
        found: what it found.
        seconds: how long it took.
    """

    stage: str
    found: Any
    seconds: float


class Reporter(Protocol):
    """Tells of the findings that it knows, and lets the others pass."""

    def tell(self, finding: object) -> None:
        """Tells of one, which is one of `findings` or of what the stages hand on."""

    def close(self) -> None:
        """Finishes what it has begun; nothing more will be told."""


class Reporters:
    """All who are told, one after the other, in the order they are given."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def __call__(self, finding: _Finding) -> _Finding:
        """Tells all of a finding, and returns it."""
        with held_back():
            for reporter in self._reporters:
                reporter.tell(finding)
        return finding

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with held_back(), contextlib.ExitStack() as closing:
            for reporter in self._reporters:
                closing.callback(reporter.close)
