import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from image_retraining.foundation.progress import Progress


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(
        "image_retraining.foundation.progress.time", SimpleNamespace(monotonic=clock)
    )
    return clock


def set_terminal(monkeypatch: pytest.MonkeyPatch, *, present: bool) -> None:
    stderr = SimpleNamespace(isatty=lambda: present)
    monkeypatch.setattr("image_retraining.foundation.progress.sys", SimpleNamespace(stderr=stderr))


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal(monkeypatch, present=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal(monkeypatch, present=True)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Makes threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("no_terminal")
def test_a_line_tells_count_rate_and_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str], logged: pytest.LogCaptureFixture
) -> None:
    with Progress("Reading", 200) as progress:
        progress.advance(40)
        clock.seconds += 10
        progress.advance(10)
    assert logged.messages == ["Reading: 50 of 200 photos, 5 photos/s, 00:30 left"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_terminal")
def test_what_is_done_is_never_less_than_before(
    clock: Clock, logged: pytest.LogCaptureFixture
) -> None:
    with Progress("Reading", 200) as progress:
        progress.has_left(160)
        progress.has_left(170)
        clock.seconds += 10
        progress.has_left(150)
        clock.seconds += 10
        progress.advance(10)
    assert logged.messages == [
        "Reading: 50 of 200 photos, 5 photos/s, 00:30 left",
        "Reading: 60 of 200 photos, 3 photos/s, 00:46 left",
    ]


@pytest.mark.usefixtures("no_terminal")
def test_the_unit_and_long_times(
    clock: Clock, capsys: pytest.CaptureFixture[str], logged: pytest.LogCaptureFixture
) -> None:
    with Progress("Downloading", 72100, unit="MB") as progress:
        clock.seconds += 50
        progress.advance(100)
    assert logged.messages == ["Downloading: 100 of 72100 MB, 2 MB/s, 10:00:00 left"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_terminal")
def test_lines_come_ten_seconds_apart(clock: Clock, logged: pytest.LogCaptureFixture) -> None:
    after: list[int] = []
    with Progress("Reading", 1000) as progress:
        for second in range(1, 36):
            clock.seconds += 1
            progress.advance()
            if len(logged.messages) > len(after):
                after.append(second)
    assert after == [10, 20, 30]


@pytest.mark.usefixtures("no_terminal")
def test_quick_work_logs_nothing(clock: Clock, logged: pytest.LogCaptureFixture) -> None:
    with Progress("Reading", 1000) as progress:
        clock.seconds += 9.9
        progress.advance(1000)
    assert logged.messages == []


@pytest.mark.usefixtures("no_terminal")
def test_all_done_is_no_time_left(clock: Clock, logged: pytest.LogCaptureFixture) -> None:
    with Progress("Reading", 100) as progress:
        clock.seconds += 20
        progress.advance(100)
    assert logged.messages == ["Reading: 100 of 100 photos, 5 photos/s, 00:00 left"]


@pytest.mark.usefixtures("no_terminal")
def test_nothing_done_for_long_is_no_crash(clock: Clock, logged: pytest.LogCaptureFixture) -> None:
    # Once: ZeroDivisionError. Extraction advances by none when a group is read of which none is
    # cached, which comes before the first batch is computed, however slow disk and module are.
    with Progress("Reading", 100) as progress:
        clock.seconds += 60
        progress.advance(0)
        clock.seconds += 60
        progress.advance(12)
    assert logged.messages[-1] == "Reading: 12 of 100 photos, 0 photos/s, 14:40 left"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_bar_and_no_lines(
    clock: Clock, capsys: pytest.CaptureFixture[str], logged: pytest.LogCaptureFixture
) -> None:
    with Progress("Reading", 200, unit="files") as progress:
        progress.advance(40)
        clock.seconds += 30
        progress.advance(10)
    assert logged.messages == []
    bar = capsys.readouterr().err
    assert "Reading:  25%" in bar
    assert "50/200" in bar
    assert "files" in bar


@pytest.mark.usefixtures("hasty_threads", "no_terminal")
def test_threads_count_together(clock: Clock, logged: pytest.LogCaptureFixture) -> None:
    class Slow(int):
        """A number whose addition gives other threads time to come in between."""

        def __radd__(self, other: int) -> int:
            for _ in range(20):
                pass
            return int(self) + other

    with Progress("Reading", 10_000) as progress:

        def work() -> None:
            for _ in range(500):
                progress.advance(Slow(1))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.seconds += 10
        progress.advance(1000)
    assert logged.messages == ["Reading: 5000 of 10000 photos, 500 photos/s, 00:10 left"]


@pytest.mark.usefixtures("no_terminal")
def test_an_exception_goes_through() -> None:
    with pytest.raises(ValueError, match="stop"), Progress("Reading", 2):
        raise ValueError("stop")
