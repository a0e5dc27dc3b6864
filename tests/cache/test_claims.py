import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_vectors import RECIPE, SIZE, bits, digest, execute, numbered, said, started, tell

from image_retraining.cache import claims
from image_retraining.cache.vectors import BottleneckCache


def photos(*numbers: int) -> set[bytes]:
    return {digest(number) for number in numbers}


@pytest.fixture
def first(tmp_path: Path) -> Iterator[BottleneckCache]:
    with BottleneckCache(str(tmp_path)) as cache:
        yield cache


@pytest.fixture
def second(tmp_path: Path) -> Iterator[BottleneckCache]:
    with BottleneckCache(str(tmp_path)) as cache:
        yield cache


def claim_count(folder: Path) -> int:
    (count,) = execute(folder, "SELECT COUNT(*) FROM claims")
    return int(count)


# Two runs


def test_what_one_run_has_claimed_no_other_gets(
    first: BottleneckCache, second: BottleneckCache
) -> None:
    assert first.claim(RECIPE, photos(0, 1, 2)) == photos(0, 1, 2)
    assert second.claim(RECIPE, photos(0, 1, 2)) == set()
    assert second.claim(RECIPE, photos(2, 3, 4)) == photos(3, 4)
    assert first.claim(RECIPE, photos(0, 1, 2, 3, 4, 5)) == photos(0, 1, 2, 5)


def test_a_claim_is_for_one_recipe(first: BottleneckCache, second: BottleneckCache) -> None:
    first.claim(RECIPE, photos(0, 1))
    assert second.claim(replace(RECIPE, view="flipped"), photos(0, 1)) == photos(0, 1)
    assert second.claim(RECIPE, photos(0, 1)) == set()


def test_to_claim_nothing_is_no_mistake(first: BottleneckCache, tmp_path: Path) -> None:
    assert first.claim(RECIPE, []) == set()
    assert claim_count(tmp_path) == 0


def test_a_cache_in_memory_gives_all_that_is_claimed() -> None:
    with BottleneckCache(None) as cache, BottleneckCache(None) as other:
        assert cache.claim(RECIPE, photos(0, 1)) == photos(0, 1)
        assert other.claim(RECIPE, photos(0, 1)) == photos(0, 1)


ENDS: dict[str, tuple[Callable[[BottleneckCache], object], set[bytes]]] = {
    "nothing": (lambda _: None, set()),
    "stored": (lambda cache: cache.store(RECIPE, numbered(range(3))), set()),
    "some stored": (lambda cache: cache.store(RECIPE, numbered(range(1))), set()),
    "disclaimed": (lambda cache: cache.disclaim(RECIPE, photos(0, 1, 2)), photos(0, 1, 2)),
    "some disclaimed": (lambda cache: cache.disclaim(RECIPE, photos(2)), photos(2)),
    "disclaimed for another recipe": (
        lambda cache: cache.disclaim(replace(RECIPE, pixels=2), photos(0, 1, 2)),
        set(),
    ),
}


@pytest.mark.parametrize(("end", "free"), ENDS.values(), ids=ENDS)
def test_a_claim_ends_when_it_is_disclaimed(
    first: BottleneckCache,
    second: BottleneckCache,
    end: Callable[[BottleneckCache], object],
    free: set[bytes],
) -> None:
    first.claim(RECIPE, photos(0, 1, 2))
    end(first)
    assert second.claim(RECIPE, photos(0, 1, 2)) == free


def test_claims_end_when_the_run_closes_its_cache(tmp_path: Path, second: BottleneckCache) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.claim(RECIPE, photos(0, 1, 2))
        second.claim(RECIPE, photos(3, 4))
    with BottleneckCache(str(tmp_path)) as third:
        assert third.claim(RECIPE, photos(0, 1, 2, 3, 4)) == photos(0, 1, 2)


def test_claims_end_when_the_run_fails(tmp_path: Path, second: BottleneckCache) -> None:
    with pytest.raises(KeyboardInterrupt), BottleneckCache(str(tmp_path)) as cache:  # noqa: PT012 - it is the block
        cache.claim(RECIPE, photos(0, 1, 2))
        raise KeyboardInterrupt
    assert second.claim(RECIPE, photos(0, 1, 2)) == photos(0, 1, 2)


# What is stored


def test_what_was_stored_meanwhile_is_not_handed_out(
    first: BottleneckCache, second: BottleneckCache, tmp_path: Path
) -> None:
    first.claim(RECIPE, photos(0, 1, 2))
    first.store(RECIPE, numbered(range(3)))
    assert second.claim(RECIPE, photos(1, 2, 3)) == photos(3)
    assert first.claim(RECIPE, photos(0, 1, 2)) == set()
    assert second.claim(replace(RECIPE, width=8), photos(0)) == photos(0)
    assert claim_count(tmp_path) == 2


def test_what_was_stored_without_a_claim_ends_the_claims_of_others(
    first: BottleneckCache, second: BottleneckCache, tmp_path: Path
) -> None:
    first.claim(RECIPE, photos(0, 1, 2))
    second.store(RECIPE, numbered(range(1, 2)))
    assert claim_count(tmp_path) == 2
    assert first.claim(RECIPE, photos(0, 1, 2)) == photos(0, 2)


DAMAGES = {
    "its checksum": "UPDATE bottlenecks SET crc = crc + 1 WHERE photo = ?",
    "a byte": "UPDATE bottlenecks SET vector = x'01000000010203040506070809000000' WHERE photo = ?",
    "its length": "UPDATE bottlenecks SET vector = SUBSTR(vector, 5) WHERE photo = ?",
    "its type": "UPDATE bottlenecks SET vector = 'sixteen letters.' WHERE photo = ?",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_vector_is_handed_out_to_one_run(
    first: BottleneckCache, second: BottleneckCache, tmp_path: Path, damage: str
) -> None:
    vectors = numbered(range(3))
    first.store(RECIPE, vectors)
    execute(tmp_path, damage, digest(1))
    for cache in (first, second):
        assert set(cache.vectors(RECIPE, list(vectors), SIZE)) == photos(0, 2)
    assert first.claim(RECIPE, photos(0, 1, 2)) == photos(1)
    assert second.claim(RECIPE, photos(0, 1, 2)) == set()
    first.store(RECIPE, numbered(range(1, 2)))
    assert second.claim(RECIPE, photos(0, 1, 2)) == set()
    assert bits(second.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


# Runs that are no more

# A process that claims ten photos and keeps them until it is told to close its cache.
CLAIMER = """
import hashlib, sys
from image_retraining.cache.vectors import BottleneckCache, Recipe

cache = BottleneckCache(sys.argv[1])
photos = [hashlib.sha256(b"%d" % n).digest() for n in range(10)]
print(len(cache.claim(Recipe("ab" * 32, height=8, width=6, pixels=1), photos)), flush=True)
sys.stdin.readline()
cache.close()
"""


@pytest.fixture
def claimer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = started(CLAIMER, str(tmp_path))
    assert said(process) == "10"
    yield process
    if process.returncode is None:
        process.kill()
    process.communicate()


def test_the_claims_of_a_process_that_lives_are_respected(
    claimer: subprocess.Popen[str], first: BottleneckCache
) -> None:
    assert first.claim(RECIPE, photos(8, 9, 10)) == photos(10)
    tell(claimer, "close")
    claimer.communicate()
    assert first.claim(RECIPE, photos(8, 9, 10)) == photos(8, 9, 10)


def test_the_claims_of_a_process_that_is_stopped_are_respected(
    claimer: subprocess.Popen[str], first: BottleneckCache
) -> None:
    claimer.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, claimer.pid, os.WSTOPPED | os.WNOWAIT)
    assert first.claim(RECIPE, photos(8, 9, 10)) == photos(10)


def test_the_claims_of_a_killed_process_are_taken_over_at_once(
    claimer: subprocess.Popen[str], first: BottleneckCache, second: BottleneckCache
) -> None:
    claimer.kill()
    claimer.wait()
    assert first.claim(RECIPE, photos(8, 9, 10)) == photos(8, 9, 10)
    assert second.claim(RECIPE, photos(7, 8, 9, 10)) == photos(7)


def test_the_claims_of_a_killed_process_that_nobody_has_waited_for_are_taken_over(
    claimer: subprocess.Popen[str], first: BottleneckCache
) -> None:
    claimer.kill()
    os.waitid(os.P_PID, claimer.pid, os.WEXITED | os.WNOWAIT)
    assert first.claim(RECIPE, photos(8, 9, 10)) == photos(8, 9, 10)


# What another run's claims may say, and whether they still count.
CLAIMS: dict[str, tuple[str, bool]] = {
    "as they were": ("UPDATE claims SET run = run", True),
    "until a moment ago": ("UPDATE claims SET until = strftime('%s', 'now') - 1", False),
    "until soon": ("UPDATE claims SET until = strftime('%s', 'now') + 30", True),
    "of another machine": ("UPDATE claims SET host = 'another', process = 1, started = 0", True),
    "of another machine, a while ago": (
        "UPDATE claims SET host = 'another', until = strftime('%s', 'now') - 1",
        False,
    ),
    "of an earlier process of that number": ("UPDATE claims SET started = started - 10", False),
    "of a later process of that number": ("UPDATE claims SET started = started + 10", False),
    "of a clock that is read a little differently": (
        "UPDATE claims SET started = started + 0.02",
        True,
    ),
    "of a number that no process has": ("UPDATE claims SET process = 4194305", False),
    "of a number too large for a process": ("UPDATE claims SET process = 1 << 40", False),
}


@pytest.mark.parametrize(("change", "counts"), CLAIMS.values(), ids=CLAIMS)
def test_claims_count_as_long_as_their_run_may_live(
    first: BottleneckCache,
    second: BottleneckCache,
    tmp_path: Path,
    change: str,
    counts: bool,  # noqa: FBT001
) -> None:
    first.claim(RECIPE, photos(0, 1, 2))
    execute(tmp_path, change)
    assert second.claim(RECIPE, photos(1, 2, 3)) == (photos(3) if counts else photos(1, 2, 3))


@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (119, True), (121, False)])
def test_claims_end_after_two_minutes(
    first: BottleneckCache,
    second: BottleneckCache,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    counts: bool,  # noqa: FBT001
) -> None:
    now = time.time()
    clock = SimpleNamespace(now=now)
    clocks = {**vars(time), "time": lambda: clock.now}
    monkeypatch.setattr(claims, "time", SimpleNamespace(**clocks))
    first.claim(RECIPE, photos(0, 1))
    clock.now = now + seconds
    assert second.claim(RECIPE, photos(0, 1)) == (set() if counts else photos(0, 1))


def test_claims_that_were_taken_over_stay_so(
    first: BottleneckCache, second: BottleneckCache, tmp_path: Path
) -> None:
    """The run that was too slow stores what it has, and hands nothing back that it lost."""
    first.claim(RECIPE, photos(0, 1, 2))
    execute(tmp_path, "UPDATE claims SET until = 0")
    assert second.claim(RECIPE, photos(0, 1, 2)) == photos(0, 1, 2)
    assert first.claim(RECIPE, photos(0, 1, 2)) == set()
    first.store(RECIPE, numbered(range(1)))
    assert second.claim(RECIPE, photos(0, 1, 2)) == photos(1, 2)


# What a column of a claim may be in a damaged file.
SENSELESS = {
    "until is text": "UPDATE claims SET until = 'x'",
    "until is bytes": "UPDATE claims SET until = x'00'",
    "started is text": "UPDATE claims SET started = 'x'",
    "process is text": "UPDATE claims SET process = 'x'",
    "process is a fraction": "UPDATE claims SET process = 1.5",
    "process is negative": "UPDATE claims SET process = -1",
    "process is none": "UPDATE claims SET process = 0",
    "host is bytes": "UPDATE claims SET host = x'00'",
    "host is no UTF-8": "UPDATE claims SET host = CAST(x'ff' AS TEXT)",
    "run is text": "UPDATE claims SET run = 'x'",
}


@pytest.mark.parametrize("change", SENSELESS.values(), ids=SENSELESS)
def test_a_senseless_claim_holds_nobody_up_for_long(
    first: BottleneckCache, second: BottleneckCache, tmp_path: Path, change: str
) -> None:
    """It may count for the time that claims last, but no longer, and stops no run."""
    first.store(RECIPE, numbered(range(10, 12)))
    first.claim(RECIPE, photos(0, 1, 2))
    execute(tmp_path, change)
    assert second.claim(RECIPE, photos(1, 2, 3)) >= photos(3)
    execute(tmp_path, "UPDATE claims SET until = 0 WHERE TYPEOF(until) = 'real'")
    assert first.claim(RECIPE, photos(1, 2)) | second.claim(RECIPE, photos(1, 2)) == photos(1, 2)
    # One senseless claim is no reason to give up the whole file.
    assert set(second.vectors(RECIPE, photos(10, 11), SIZE)) == photos(10, 11)


# At once

ALL = numbered(range(300))


def test_runs_at_once_share_all_photos_out_without_overlap(tmp_path: Path) -> None:
    start = threading.Barrier(3, timeout=60)
    shares: list[list[set[bytes]]] = [[], [], []]

    def work(share: list[set[bytes]]) -> None:
        with BottleneckCache(str(tmp_path)) as cache:
            start.wait()
            for place in range(0, 300, 10):
                mine = cache.claim(RECIPE, photos(*range(place, place + 10)))
                share.append(mine)
                if place % 20:
                    cache.store(RECIPE, {photo: ALL[photo] for photo in mine})
            start.wait()

    threads = [threading.Thread(target=work, args=[share]) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed: list[Any] = [photo for share in shares for mine in share for photo in mine]
    assert len(claimed) == 300
    assert set(claimed) == set(ALL)
    assert claim_count(tmp_path) == 0
