import signal

import pytest

from image_retraining.foundation.interruption import interruptions_noted
from image_retraining.reports.reporter import Reporters


class Listener:
    """Writes down what it is told, under its name, in a list that it shares with others."""

    def __init__(self, name: str, heard: list[str], *, breaks: bool = False) -> None:
        self._name, self._heard, self._breaks = name, heard, breaks

    def tell(self, finding: object) -> None:
        self._heard.append(f"{self._name}: {finding}")

    def close(self) -> None:
        self._heard.append(f"{self._name} closed")
        if self._breaks:
            raise OSError(self._name)


def test_all_are_told_in_their_order_and_the_finding_comes_back() -> None:
    heard: list[str] = []
    with Reporters(Listener("a", heard), Listener("b", heard)) as tell:
        assert tell("something") == "something"
        assert tell(7) == 7
    assert heard[:4] == ["a: something", "b: something", "a: 7", "b: 7"]
    assert sorted(heard[4:]) == ["a closed", "b closed"]


def test_all_are_closed_when_the_work_fails() -> None:
    heard: list[str] = []
    with pytest.raises(KeyboardInterrupt), Reporters(Listener("a", heard), Listener("b", heard)):
        raise KeyboardInterrupt
    assert sorted(heard) == ["a closed", "b closed"]


@pytest.mark.parametrize("broken", [0, 1])
def test_one_that_cannot_be_closed_keeps_no_other_open(broken: int) -> None:
    heard: list[str] = []
    listeners = [Listener(name, heard, breaks=place == broken) for place, name in enumerate("ab")]
    with pytest.raises(OSError, match="ab"[broken]), Reporters(*listeners):
        pass
    assert sorted(heard) == ["a closed", "b closed"]


def test_ctrl_c_comes_when_all_are_told() -> None:
    heard: list[str] = []

    class Pressing(Listener):
        def tell(self, finding: object) -> None:
            signal.raise_signal(signal.SIGINT)
            super().tell(finding)

    # A shell's background job ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        interruptions_noted(),
        pytest.raises(KeyboardInterrupt),
        Reporters(Pressing("a", heard), Listener("b", heard)) as tell,
    ):
        tell("something")
    signal.signal(signal.SIGINT, before)
    assert heard == ["a: something", "b: something", "b closed", "a closed"]
