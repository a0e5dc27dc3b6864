"""Who is told what the stages find: the log, TensorBoard, files. Another one is another file."""

import contextlib
from types import TracebackType
from typing import Protocol, Self, TypeVar

from image_retraining.foundation.interruption import held_back

_Finding = TypeVar("_Finding")


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
