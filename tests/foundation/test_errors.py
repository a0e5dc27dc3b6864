"""Errors that are sent to other processes, and copied."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_retraining.foundation import errors
from image_retraining.foundation.interruption import HungUp, Terminated


def kinds(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


KINDS: list[type[BaseException]] = [
    *kinds(errors.RetrainError),
    errors.VerificationError,
    HungUp,
    Terminated,
]
MADE: dict[type[BaseException], tuple[str, ...]] = {
    errors.DownloadError: ("https://a.example/b", "it is not there")
}


def pickled(error: BaseException) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - its own


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_errors_travel(kind: type[BaseException], again: Callable[[Any], Any]) -> None:
    # Once: TypeError, where the words of an error are not what it is made of.
    error = kind(*MADE.get(kind, ("words",)))
    error.add_note("noted")
    found = again(error)
    assert type(found) is kind
    assert (str(found), vars(found)) == (str(error), vars(error))


def test_all_kinds_of_errors_are_known() -> None:
    assert len(KINDS) >= 14
