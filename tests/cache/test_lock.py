import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_vectors import RECIPE, REPOSITORY, said, started, tell

from image_retraining.cache.lock import computing_alone

# A process that holds the lock of an image folder until it is told to let go.
HOLDER = """
import sys
from pathlib import Path
from absl import logging
from image_retraining.cache.vectors import Recipe
from image_retraining.cache.lock import computing_alone

logging.set_verbosity(logging.INFO)
recipe = Recipe("ab" * 32, height=8, width=6, pixels=1)
with computing_alone(Path(sys.argv[1]), sys.argv[2], recipe):
    print("holds", flush=True)
    sys.stdin.readline()
"""
PATIENCE_SECONDS = 30


@pytest.fixture
def photos(tmp_path: Path) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def holder(cache: Path, photos: str) -> Iterator[subprocess.Popen[str]]:
    process = started(HOLDER, str(cache), photos)
    assert said(process) == "holds"
    yield process
    if process.returncode is None:
        process.kill()
    process.communicate()


class Waiter:
    """A run, in a thread, that waits for the lock and gives it back at once.

    Attributes:
        error: what it ended with.
    """

    def __init__(self, *what: Any) -> None:
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=what, daemon=True)
        self._thread.start()

    def _work(self, *what: Any) -> None:
        try:
            with computing_alone(*what):
                pass
        except BaseException as error:  # noqa: BLE001
            self.error = error

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self.waits


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def is_free(logged: pytest.LogCaptureFixture) -> Callable[..., bool]:
    """Whether somebody who wants a lock gets it, rather than saying that he waits."""

    def is_free(*what: Any) -> bool:
        logged.clear()
        waiter = Waiter(*what)
        wait_until(lambda: logged.messages or not waiter.waits)
        return not waiter.waits

    return is_free


# Who waits for whom


def test_one_set_has_one_lock_however_its_folder_is_named(
    cache: Path,
    photos: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_free: Callable[..., bool],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(photos)
    names = [photos, "photos", "photos/", "./photos", str(tmp_path / "link")]
    with computing_alone(cache, photos, RECIPE):
        assert [is_free(cache, name, RECIPE) for name in names] == [False] * len(names)
        assert not is_free(cache, photos, replace(RECIPE, view="random_crop=10 seed=0 view=3"))
    assert is_free(cache, photos, RECIPE)


CHANGES: list[dict[str, Any]] = [
    {"fingerprint": "cd" * 32},
    {"height": 6},
    {"width": 8},
    {"height": 6, "width": 8},
    {"pixels": 2},
    {"precision": "bfloat16 openvino"},
]


def test_other_sets_and_recipes_have_other_locks(
    cache: Path,
    photos: str,
    tmp_path: Path,
    is_free: Callable[..., bool],
) -> None:
    other_cache = tmp_path / "other_cache"
    other_cache.mkdir()
    with computing_alone(cache, photos, RECIPE):
        assert is_free(cache, str(tmp_path), RECIPE)
        assert is_free(cache, f"{photos}2", RECIPE)
        assert is_free(cache, os.fsdecode(os.fsencode(photos) + b"\xff"), RECIPE)
        assert is_free(other_cache, photos, RECIPE)
        for change in CHANGES:
            assert is_free(cache, photos, replace(RECIPE, **change))


def test_a_cache_in_memory_has_no_lock(
    photos: str,
    tmp_path: Path,
    is_free: Callable[..., bool],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with computing_alone(None, photos, RECIPE):
        assert is_free(None, photos, RECIPE)
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("pause", [0.0, 0.15])
def test_never_two_are_inside_and_no_file_is_left(
    cache: Path, photos: str, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """Though each takes the file away that others wait at, however long that takes."""
    inside: list[int] = []
    most: list[int] = []
    unlink = os.unlink

    def unlink_slowly(path: str) -> None:
        time.sleep(pause)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_slowly)

    def work(number: int) -> None:
        for _ in range(3 if pause else 20):
            with computing_alone(cache, photos, RECIPE):
                inside.append(number)
                time.sleep(pause or 0.001)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * (15 if pause else 100)
    assert list(cache.iterdir()) == []


def test_the_file_has_the_documented_name_and_place(cache: Path, photos: str) -> None:
    fields = [os.path.realpath(photos), "ab" * 32, "8", "6", "1", "float32", ""]
    digits = hashlib.sha256("\n".join(fields).encode()).hexdigest()[:16]
    with computing_alone(cache, photos, RECIPE):
        assert [path.name for path in cache.iterdir()] == [f"computing-{digits}.lock"]


# What is said


def test_whoever_waits_says_once_for_whom(
    cache: Path, photos: str, holder: subprocess.Popen[str], logged: pytest.LogCaptureFixture
) -> None:
    waiter = Waiter(cache, photos, RECIPE)
    wait_until(lambda: logged.messages)
    # More questions are asked meanwhile.
    time.sleep(0.5)
    assert waiter.waits
    tell(holder, "let go")
    assert waiter.ends_within(PATIENCE_SECONDS)
    (message,) = logged.messages
    match = re.fullmatch(
        r"Waiting for another run, which is computing these bottlenecks \(process (\d+) on (.+), "
        r"since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\), until it has finished or died\.",
        message,
    )
    assert match, message
    assert (int(match[1]), match[2]) == (holder.pid, socket.gethostname())
    since = time.mktime(time.strptime(match[3], "%Y-%m-%d %H:%M:%S"))
    assert time.time() - 2 * PATIENCE_SECONDS < since <= time.time()
    assert list(cache.iterdir()) == []


def test_whoever_need_not_wait_says_nothing(
    cache: Path, photos: str, logged: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with computing_alone(cache, photos, RECIPE):
            pass
    assert logged.messages == []


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (b"", "(unknown process)"),
        (b" ", "(unknown process)"),
        (b" \xff\n", "(\ufffd\\n)"),
        (b" " + b"x" * 1_000_000, f"({'x' * 300})"),
    ],
)
def test_a_senseless_note_is_no_crash(
    cache: Path, photos: str, logged: pytest.LogCaptureFixture, note: bytes, told: str
) -> None:
    with computing_alone(cache, photos, RECIPE):
        (path,) = cache.iterdir()
        path.write_bytes(note)
        waiter = Waiter(cache, photos, RECIPE)
        wait_until(lambda: logged.messages)
    assert waiter.ends_within(PATIENCE_SECONDS)
    assert waiter.error is None
    (message,) = logged.messages
    assert told in message


# Runs that end


def test_a_killed_run_is_waited_for_no_more(
    cache: Path, photos: str, holder: subprocess.Popen[str], logged: pytest.LogCaptureFixture
) -> None:
    waiter = Waiter(cache, photos, RECIPE)
    wait_until(lambda: logged.messages)
    holder.send_signal(signal.SIGKILL)
    # Even while nobody has asked how it ended.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert waiter.ends_within(PATIENCE_SECONDS)
    assert waiter.error is None
    assert list(cache.iterdir()) == []


def test_what_a_killed_run_has_left_holds_nobody_up(
    cache: Path, photos: str, holder: subprocess.Popen[str], logged: pytest.LogCaptureFixture
) -> None:
    holder.kill()
    holder.wait()
    (left,) = cache.iterdir()
    assert f"process {holder.pid} on " in left.read_text()
    assert Waiter(cache, photos, RECIPE).ends_within(PATIENCE_SECONDS)
    assert logged.messages == []
    assert list(cache.iterdir()) == []


def test_a_lock_ends_with_an_error(
    cache: Path,
    photos: str,
    is_free: Callable[..., bool],
) -> None:
    with pytest.raises(ZeroDivisionError), computing_alone(cache, photos, RECIPE):
        raise ZeroDivisionError
    assert is_free(cache, photos, RECIPE)


@pytest.mark.usefixtures("holder")
def test_ctrl_c_ends_the_waiting(cache: Path, photos: str) -> None:
    waiter = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(cache), photos],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )
    assert waiter.stderr is not None
    assert "Waiting for another run" in waiter.stderr.readline()
    waiter.send_signal(signal.SIGINT)
    out, errors = waiter.communicate(timeout=PATIENCE_SECONDS)
    assert out == ""
    assert "KeyboardInterrupt" in errors
    (path,) = cache.iterdir()
    assert path.suffix == ".lock"


@pytest.mark.usefixtures("holder")
def test_ctrl_c_that_a_library_dropped_ends_the_waiting(
    cache: Path,
    photos: str,
    logged: pytest.LogCaptureFixture,
    interrupt_unheard: Callable[[], None],
) -> None:
    waiter = Waiter(cache, photos, RECIPE)
    wait_until(lambda: logged.messages)
    interrupt_unheard()
    assert waiter.ends_within(PATIENCE_SECONDS)
    assert isinstance(waiter.error, KeyboardInterrupt)


# Where nothing can be locked


def lock_path(cache: Path, photos: str) -> Path:
    with computing_alone(cache, photos, RECIPE):
        (path,) = cache.iterdir()
    return path


def test_runs_go_on_where_the_file_cannot_be_opened(
    cache: Path, photos: str, logged: pytest.LogCaptureFixture
) -> None:
    lock_path(cache, photos).mkdir()
    with computing_alone(cache, photos, RECIPE):
        assert Waiter(cache, photos, RECIPE).ends_within(PATIENCE_SECONDS)
    assert len(logged.messages) == 2
    for message in logged.messages:
        assert message.startswith(f"{cache} cannot be locked (")


@pytest.mark.parametrize(
    "error", [NotImplementedError("flock"), OSError(38, "no"), OSError(37, "")]
)
def test_runs_go_on_where_the_file_system_knows_no_locks(
    cache: Path,
    photos: str,
    logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def flock(*_: Any) -> None:
        raise error

    monkeypatch.setattr(fcntl, "flock", flock)
    with computing_alone(cache, photos, RECIPE):
        assert Waiter(cache, photos, RECIPE).ends_within(PATIENCE_SECONDS)
    assert len(logged.messages) == 2
    for message in logged.messages:
        assert message.startswith(f"{cache} cannot be locked (")
