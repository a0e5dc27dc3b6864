"""Ctrl-C where Python drops exceptions."""

import signal
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from image_retraining.interruption import never_lose_interruptions


class Thing:
    """Something weak references can point at."""


def drop_in_a_callback(error: Callable[[], Any]) -> None:
    """Calls `error` where Python drops what it raises."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: error())
    del thing
    assert reference() is None


def wait_after(event: Callable[[], None]) -> None:
    event()
    time.sleep(10)


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Kinds of the exceptions Python reports as dropped."""
    kinds: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: kinds.append(what.exc_type))
    return kinds


@pytest.fixture(autouse=True)
def interruptible() -> Any:
    # A shell's background job ignores SIGINT, and hands that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_python_drops_an_interruption_in_a_callback(dropped: list[type[BaseException]]) -> None:
    drop_in_a_callback(lambda: signal.raise_signal(signal.SIGINT))
    time.sleep(0.1)
    assert dropped == [KeyboardInterrupt]


@pytest.mark.parametrize("times", [1, 3])
def test_an_interruption_in_a_callback_is_raised_again(
    dropped: list[type[BaseException]], times: int
) -> None:
    never_lose_interruptions()
    for _ in range(times):
        with pytest.raises(KeyboardInterrupt):
            wait_after(lambda: drop_in_a_callback(lambda: signal.raise_signal(signal.SIGINT)))
    assert dropped == []


def test_other_exceptions_are_reported_as_ever(dropped: list[type[BaseException]]) -> None:
    never_lose_interruptions()
    drop_in_a_callback(lambda: 1 // 0)
    assert dropped == [ZeroDivisionError]
