import threading
import time
from collections.abc import Iterator

import pytest

from image_retraining.foundation.parallel import overlapped


def test_results_keep_the_order_of_the_items() -> None:
    def slow_if_even(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        return number**2

    found = list(overlapped(slow_if_even, iter(range(20)), streams=3))
    assert found == [(number, number**2) for number in range(20)]


@pytest.mark.parametrize("streams", [1, 2])
def test_as_many_work_at_a_time(streams: int) -> None:
    meeting = threading.Barrier(streams)
    working: list[int] = []
    most = 0

    def work(_: int) -> None:
        nonlocal most
        meeting.wait(timeout=10)
        working.append(1)
        most = max(most, len(working))
        time.sleep(0.005)
        working.pop()

    assert len(list(overlapped(work, iter(range(4 * streams)), streams=streams))) == 4 * streams
    assert most <= streams


def test_few_items_are_drawn_ahead() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield number

    results = overlapped(lambda number: number, items(), streams=2)
    for taken in range(1, 5):
        next(results)
        assert drawn <= taken + 2
    results.close()  # type: ignore[attr-defined]


def test_errors_come_through() -> None:
    def fail_at_2(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    with pytest.raises(ValueError, match="two"):
        list(overlapped(fail_at_2, iter(range(5)), streams=2))
