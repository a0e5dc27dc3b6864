"""Ctrl-C where libraries drop exceptions."""

import signal
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from image_retraining.foundation.interruption import (
    HungUp,
    Terminated,
    held_back,
    interruptions_noted,
    last_words,
    note_interruptions,
    raise_if_interrupted,
)

MACHINES = (signal.SIGTERM, signal.SIGHUP)


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
    machines = {number: signal.signal(number, signal.SIG_DFL) for number in MACHINES}
    yield
    for number, handler in machines.items():
        signal.signal(number, handler)
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


@pytest.mark.parametrize(
    ("number", "kind", "ending"),
    [
        (signal.SIGINT, KeyboardInterrupt, ("Interrupted.", 130)),
        (signal.SIGTERM, Terminated, ("Terminated.", 143)),
        (signal.SIGHUP, HungUp, ("Hung up.", 129)),
    ],
)
def test_what_machines_send_is_ctrl_c(
    number: int,
    kind: type[KeyboardInterrupt],
    ending: tuple[str, int],
    reported: list[type[BaseException]],
) -> None:
    note_interruptions(of_machines=True)
    drop_in_a_callback(lambda: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt) as caught:
        raise_if_interrupted()
    assert type(caught.value) is kind
    assert last_words(caught.value) == ending
    assert reported == []
    note_interruptions(of_machines=True)
    raise_if_interrupted()
    with pytest.raises(kind):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", MACHINES)
def test_who_ignores_them_goes_on_ignoring_them(number: signal.Signals) -> None:
    # As nohup does.
    signal.signal(number, signal.SIG_IGN)
    note_interruptions(of_machines=True)
    signal.raise_signal(number)
    raise_if_interrupted()


def test_a_handler_of_c_code_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    # Once: TypeError. Python knows no such handler, as in a program that Python is embedded in.
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with interruptions_noted(), pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
    raise_if_interrupted()


def test_programs_keep_their_own_handlers() -> None:
    with interruptions_noted():
        assert [signal.getsignal(number) for number in MACHINES] == [signal.SIG_DFL] * 2
