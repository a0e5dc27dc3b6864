"""Work on several items at a time, its results in their order."""

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def overlapped(
    work: Callable[[_Item], _Result], items: Iterator[_Item], *, streams: int
) -> Iterator[tuple[_Item, _Result]]:
    """Yields items with what work makes of them; no more than `streams` + 1 items are held.

    Args:
        work: called from threads.
        items: drawn from the caller's thread.
        streams: how many threads work.

    Raises:
        Exception: whatever work, or drawing from `items`, raises.
    """
    working: collections.deque[tuple[_Item, Future[_Result]]] = collections.deque()
    with ThreadPoolExecutor(max_workers=streams) as workers:
        for item in items:
            working.append((item, workers.submit(work, item)))
            if len(working) > streams:
                done, result = working.popleft()
                yield done, result.result()
        for done, result in working:
            yield done, result.result()
