"""Ctrl-C where libraries drop exceptions."""

import signal
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from image_retraining.foundation.interruption import (
    held_back,
    note_interruptions,
    raise_if_interrupted,
)


class Thing:
    """Something weak references can point at."""


def drop_in_a_callback(error: Callable[[], object]) -> None:
    """Calls `error` where Python drops what it raises."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: error())
    del thing
    assert reference() is None


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Kinds of the exceptions that Python reports as dropped."""
    kinds: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: kinds.append(what.exc_type))
    return kinds


@pytest.fixture(autouse=True)
def interruptible(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    # A shell's background job ignores SIGINT, and hands that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing is noted any more.
    note_interruptions()
    signal.signal(signal.SIGINT, before)


def test_python_drops_an_interruption_in_a_callback(reported: list[type[BaseException]]) -> None:
    drop_in_a_callback(press_ctrl_c)
    raise_if_interrupted()
    assert reported == [KeyboardInterrupt]


@pytest.mark.parametrize("times", [1, 2])
def test_an_interruption_in_a_callback_is_noted(
    reported: list[type[BaseException]], times: int
) -> None:
    note_interruptions()
    raise_if_interrupted()
    for _ in range(times):
        drop_in_a_callback(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        raise_if_interrupted()
    assert reported == []


def test_it_is_raised_at_once_as_well() -> None:
    note_interruptions()
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_another_run_in_the_same_process_starts_afresh(
    reported: list[type[BaseException]],
) -> None:
    note_interruptions()
    drop_in_a_callback(press_ctrl_c)
    note_interruptions()
    raise_if_interrupted()
    drop_in_a_callback(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        raise_if_interrupted()
    assert reported == []


def test_who_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    note_interruptions()
    press_ctrl_c()
    raise_if_interrupted()


def test_other_exceptions_are_reported_as_ever(reported: list[type[BaseException]]) -> None:
    note_interruptions()
    drop_in_a_callback(lambda: 1 // 0)
    assert reported == [ZeroDivisionError]


def test_a_block_may_end_first() -> None:
    # Once: Ctrl-C in a lock's __exit__ left it locked, and TensorBoard's writers waited for ever.
    note_interruptions()
    done = []

    def work() -> None:
        with held_back():
            with held_back():
                press_ctrl_c()
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]


def test_a_second_one_does_not_wait() -> None:
    note_interruptions()
    pressed = []

    def work() -> None:
        with held_back():
            for time in (1, 2, 3):
                pressed.append(time)
                press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert pressed == [1, 2]


def test_without_one_a_block_is_a_block() -> None:
    note_interruptions()
    with held_back():
        pass
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_an_error_of_the_block_comes_out() -> None:
    note_interruptions()
    with pytest.raises(OSError, match="full"), held_back():
        raise OSError("full")
