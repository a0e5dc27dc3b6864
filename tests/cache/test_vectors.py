import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from image_retraining.cache import known_files
from image_retraining.cache.known_files import FileState, PhotoFile, PhotoFiles
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError
from image_retraining.foundation.records import Floats

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = Recipe("ab" * 32, height=8, width=6, pixels=1)
SIZE = 4
SECOND = 1_000_000_000


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def numbered(numbers: range) -> dict[bytes, Floats]:
    """Returns SHA-256 → vector of each number, all different."""
    return {digest(n): np.arange(SIZE, dtype=np.float32) + 10 * n for n in numbers}


def bits(vectors: dict[bytes, Floats]) -> dict[bytes, bytes]:
    return {photo: vector.tobytes() for photo, vector in vectors.items()}


def execute(folder: Path, statement: str, *values: Any) -> Any:
    """Runs one statement behind the cache's back, and returns its first row."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as database:
        return database.execute(statement, values).fetchone()


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    with BottleneckCache(str(tmp_path / "cache")) as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of the cache; an hour on, so that new files look like old ones."""
    clock = SimpleNamespace(now=time.time_ns() + 3600 * SECOND)
    clocks = {**vars(time), "time_ns": lambda: clock.now}
    monkeypatch.setattr(known_files, "time", SimpleNamespace(**clocks))
    return clock


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "rose.jpg"
    path.write_bytes(b"petals")
    return str(path)


def remember(cache: BottleneckCache, path: str, state: FileState | None = None) -> None:
    """Tells the cache that a file has digest(0), in its present state or in another."""
    file = PhotoFile(path, state or FileState.of(path), b"", digest(0), "")
    PhotoFiles(cache.file).remember([file])


# Vectors


def test_vectors_come_out_bit_for_bit(cache: BottleneckCache) -> None:
    # Zeros, the smallest and largest denormals, ordinary numbers, infinities, NaNs with payloads.
    patterns = [0, 0x80000000, 1, 0x807FFFFF, 0x3F800000, 0xFF7FFFFF, 0x7F800000, 0xFF800000]
    patterns += [0x7FC00000, 0x7F800001, 0xFFC12345]
    vector = np.array(patterns, np.uint32).view(np.float32)
    cache.store(RECIPE, {digest(0): vector})
    (found,) = cache.vectors(RECIPE, [digest(0)], len(patterns)).values()
    assert found.dtype == np.float32
    assert found.view(np.uint32).tolist() == patterns


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "cd" * 32},
        {"height": 6},
        {"width": 8},
        {"height": 6, "width": 8},
        {"pixels": 2},
        {"precision": "bfloat16"},
        {"view": "flipped"},
    ],
    ids=str,
)
def test_another_recipe_has_other_vectors(cache: BottleneckCache, change: dict[str, Any]) -> None:
    other = replace(RECIPE, **change)
    cache.store(RECIPE, {digest(0): np.zeros(SIZE, np.float32)})
    assert cache.vectors(other, [digest(0)], SIZE) == {}

    cache.store(other, {digest(0): np.ones(SIZE, np.float32)})
    assert cache.vectors(RECIPE, [digest(0)], SIZE)[digest(0)].tolist() == [0] * SIZE
    assert cache.vectors(other, [digest(0)], SIZE)[digest(0)].tolist() == [1] * SIZE


def test_vectors_outlive_the_process_that_stored_them(tmp_path: Path) -> None:
    vectors = numbered(range(5))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
    with BottleneckCache(str(tmp_path)) as cache:
        assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


def test_committed_vectors_are_there_while_the_cache_is_open(
    cache: BottleneckCache, tmp_path: Path
) -> None:
    vectors = numbered(range(5))
    cache.store(RECIPE, vectors)
    with BottleneckCache(str(tmp_path / "cache")) as other:
        assert bits(other.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


def test_thousands_of_vectors_are_found_and_no_others(cache: BottleneckCache) -> None:
    vectors = numbered(range(3000))
    cache.store(RECIPE, vectors)
    found = cache.vectors(RECIPE, [digest(n) for n in range(5000)], SIZE)
    assert bits(found) == bits(vectors)


def test_only_the_vectors_asked_for_come(cache: BottleneckCache) -> None:
    cache.store(RECIPE, numbered(range(10)))
    assert set(cache.vectors(RECIPE, [digest(3), digest(99)], SIZE)) == {digest(3)}
    assert cache.vectors(RECIPE, [], SIZE) == {}


def test_a_vector_stored_again_replaces_the_first(cache: BottleneckCache) -> None:
    cache.store(RECIPE, {digest(0): np.zeros(SIZE, np.float32)})
    cache.store(RECIPE, {digest(0): np.ones(SIZE, np.float32)})
    assert cache.vectors(RECIPE, [digest(0)], SIZE)[digest(0)].tolist() == [1] * SIZE


def flipped_byte(stored: bytes) -> tuple[bytes, int]:
    return stored[:5] + bytes([stored[5] ^ 1]) + stored[6:], zlib.crc32(stored)


def wrong_checksum(stored: bytes) -> tuple[bytes, int]:
    return stored, zlib.crc32(stored) ^ 1


def too_short(stored: bytes) -> tuple[bytes, int]:
    return stored[:-4], zlib.crc32(stored[:-4])


def too_long(stored: bytes) -> tuple[bytes, int]:
    return stored * 2, zlib.crc32(stored * 2)


def empty(_: bytes) -> tuple[bytes, int]:
    return b"", zlib.crc32(b"")


@pytest.mark.parametrize("damage", [flipped_byte, wrong_checksum, too_short, too_long, empty])
def test_damaged_vectors_count_as_missing_with_one_warning(
    cache: BottleneckCache,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    damage: Callable[[bytes], tuple[bytes, int]],
) -> None:
    vectors = numbered(range(1200))
    cache.store(RECIPE, vectors)
    damaged = [digest(n) for n in (3, 700, 1199)]
    for photo in damaged:
        query = "SELECT vector FROM bottlenecks WHERE photo = ?"
        (stored,) = execute(tmp_path / "cache", query, photo)
        update = "UPDATE bottlenecks SET vector = ?, crc = ? WHERE photo = ?"
        execute(tmp_path / "cache", update, *damage(stored), photo)

    found = cache.vectors(RECIPE, list(vectors), SIZE)
    sound = {photo: vector for photo, vector in vectors.items() if photo not in damaged}
    assert bits(found) == bits(sound)
    (warning,) = logged.messages
    assert warning.startswith("3 damaged vectors in ")
    assert str(tmp_path / "cache" / FILE_NAME) in warning

    logged.clear()
    cache.store(RECIPE, vectors)
    assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)
    assert logged.messages == []


# The file


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_cache_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path, journal: str) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    execute(tmp_path, "PRAGMA user_version = 6")
    assert execute(tmp_path, f"PRAGMA journal_mode = {journal}") == (journal.lower(),)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(CacheError, match=r"of version 5 or older\. Got version 6") as raised:
        BottleneckCache(str(tmp_path))
    assert str(tmp_path / FILE_NAME) in str(raised.value)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    "contents", [b"no database at all " * 100, b"SQLite format 3\0" + b"\7" * 4080, b"short"]
)
def test_a_file_that_is_no_cache_is_set_aside(
    tmp_path: Path, contents: bytes, logged: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(contents)
    vectors = numbered(range(3))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
        assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)
    (aside,) = tmp_path.glob(f"{FILE_NAME}.damaged-*")
    assert aside.read_bytes() == contents
    (warning,) = logged.messages
    assert str(file) in warning
    assert aside.name in warning


def test_the_folder_is_made(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path / "a" / "b")) as cache:
        cache.store(RECIPE, numbered(range(1)))
    assert (tmp_path / "a" / "b" / FILE_NAME).is_file()


# Known photos


@pytest.mark.usefixtures("clock")
def test_unchanged_photos_are_known(cache: BottleneckCache, photo: str, tmp_path: Path) -> None:
    assert PhotoFiles(cache.file).known([photo]) == {}
    remember(cache, photo)
    assert PhotoFiles(cache.file).known([photo, str(tmp_path / "other.jpg")]) == {
        photo: (digest(0), "")
    }


@pytest.mark.usefixtures("clock")
def test_photos_stay_known_over_reopening(tmp_path: Path, photo: str) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        remember(cache, photo)
    with BottleneckCache(str(tmp_path)) as cache:
        assert PhotoFiles(cache.file).known([photo]) == {photo: (digest(0), "")}


@pytest.mark.usefixtures("clock")
def test_thousands_of_photos_are_known(cache: BottleneckCache, tmp_path: Path) -> None:
    known = {}
    for number in range(1100):
        path = tmp_path / f"{number}.jpg"
        path.touch()
        known[str(path)] = (digest(number), f"orientation={number}" if number % 2 else "")
    PhotoFiles(cache.file).remember(
        PhotoFile(path, FileState.of(path), b"", *said) for path, said in known.items()
    )
    assert PhotoFiles(cache.file).known(list(known)) == known


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_each_part_of_the_state_tells_a_changed_photo(
    cache: BottleneckCache, photo: str, field: str, difference: int
) -> None:
    state = FileState.of(photo)
    was = replace(state, **{field: getattr(state, field) + difference})
    remember(cache, photo, was)
    assert PhotoFiles(cache.file).known([photo]) == {}


@pytest.mark.usefixtures("clock")
def test_a_photo_edited_behind_its_time_stamp_is_not_known(
    cache: BottleneckCache, photo: str
) -> None:
    remember(cache, photo)
    before = os.stat(photo)
    # The kernel's clock ticks every few milliseconds; nobody can set the ctime back.
    while os.stat(photo).st_ctime_ns == before.st_ctime_ns:
        Path(photo).write_bytes(b"thorns")
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(photo).st_size == before.st_size
    assert os.stat(photo).st_mtime_ns == before.st_mtime_ns
    assert PhotoFiles(cache.file).known([photo]) == {}


@pytest.mark.usefixtures("clock")
def test_a_photo_that_is_gone_is_not_known(cache: BottleneckCache, photo: str) -> None:
    remember(cache, photo)
    os.unlink(photo)
    assert PhotoFiles(cache.file).known([photo]) == {}


@pytest.mark.parametrize(
    ("age", "is_known"),
    [(0, False), (SECOND, False), (2 * SECOND, False), (2 * SECOND + 1, True), (-SECOND, False)],
)
@pytest.mark.parametrize("stamp", ["mtime", "ctime"])
def test_a_photo_changed_just_now_is_not_remembered(
    cache: BottleneckCache,
    clock: SimpleNamespace,
    photo: str,
    stamp: str,
    age: int,
    is_known: bool,  # noqa: FBT001
) -> None:
    ctime = os.stat(photo).st_ctime_ns
    mtime = ctime - 3600 * SECOND if stamp == "ctime" else ctime + 3600 * SECOND
    os.utime(photo, ns=(mtime, mtime))
    clock.now = (os.stat(photo).st_ctime_ns if stamp == "ctime" else mtime) + age
    remember(cache, photo)
    assert PhotoFiles(cache.file).known([photo]) == ({photo: (digest(0), "")} if is_known else {})


def test_a_photo_is_as_fresh_as_when_its_state_was_taken(
    cache: BottleneckCache, clock: SimpleNamespace, photo: str
) -> None:
    # taken, within one tick of a coarse clock (2 s on FAT), and then looks old and unchanged.
    clock.now = os.stat(photo).st_ctime_ns + SECOND
    state = FileState.of(photo)
    clock.now += 10 * SECOND
    remember(cache, photo, state)
    assert PhotoFiles(cache.file).known([photo]) == {}


# Once: OverflowError, for SQLite's integers have 64 bits, one of them a sign.
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("st_ino", 2**63),
        ("st_ino", 2**64 - 1),
        ("st_mtime_ns", -11_644_473_600 * SECOND),  # 1601, which Windows begins with
        ("st_mtime_ns", -(2**63)),
        ("st_ctime_ns", -(2**40) * SECOND),
    ],
)
def test_a_state_beyond_sqlites_numbers_is_known(
    cache: BottleneckCache, photo: str, monkeypatch: pytest.MonkeyPatch, field: str, value: int
) -> None:
    names = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
    state = SimpleNamespace(**{name: getattr(os.stat(photo), name) for name in names})
    setattr(state, field, value)
    stand_in = SimpleNamespace(**{**vars(os), "stat": lambda _: state})
    monkeypatch.setattr(known_files, "os", stand_in)
    remember(cache, photo)
    assert PhotoFiles(cache.file).known([photo]) == {photo: (digest(0), "")}
    setattr(state, field, value + 1)
    assert PhotoFiles(cache.file).known([photo]) == {}


@pytest.mark.usefixtures("clock")
def test_a_path_that_is_not_utf8_is_known(cache: BottleneckCache, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/ros\xff\xe9.jpg")
    Path(path).touch()
    remember(cache, path)
    assert PhotoFiles(cache.file).known([path]) == {path: (digest(0), "")}


@pytest.mark.usefixtures("clock")
def test_a_photo_is_known_however_its_path_is_spelled(
    cache: BottleneckCache, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.dirname(photo))
    remember(cache, "rose.jpg")
    for path in (photo, "rose.jpg", "./rose.jpg", f"../{Path.cwd().name}/rose.jpg"):
        assert PhotoFiles(cache.file).known([path]) == {path: (digest(0), "")}


@pytest.mark.usefixtures("clock")
def test_two_spellings_of_one_path_are_both_known(
    cache: BottleneckCache, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.dirname(photo))
    remember(cache, photo)
    assert PhotoFiles(cache.file).known([photo, "rose.jpg"]) == {
        photo: (digest(0), ""),
        "rose.jpg": (digest(0), ""),
    }


def read_bytes(path: str) -> bytes:
    return Path(path).read_bytes()


def test_a_file_is_read_with_its_state_and_its_digest(photo: str) -> None:
    before = FileState.of(photo)
    file = PhotoFile.read(photo, read_bytes, lambda _: "")
    assert (file.path, file.contents) == (photo, b"petals")
    assert file.digest == hashlib.sha256(b"petals").digest()
    assert file.state == before
    assert before.taken_ns <= file.state.taken_ns


def test_a_file_edited_while_it_is_read_has_the_state_of_before(photo: str) -> None:
    def edit_and_read(path: str) -> bytes:
        Path(path).write_bytes(b"petals and thorns")
        return read_bytes(path)

    before = FileState.of(photo)
    file = PhotoFile.read(photo, edit_and_read, lambda _: "")
    assert file.state == before
    assert file.digest == hashlib.sha256(b"petals and thorns").digest()
    assert file.state != FileState.of(photo)


# At once


@pytest.mark.usefixtures("clock")
def test_threads_may_share_a_cache(cache: BottleneckCache, photo: str) -> None:
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            start.wait()
            for n in range(first, first + 100):
                cache.store(RECIPE, numbered(range(n, n + 1)))
                remember(cache, photo)
                assert set(cache.vectors(RECIPE, [digest(n)], SIZE)) == {digest(n)}
                assert PhotoFiles(cache.file).known([photo]) == {photo: (digest(0), "")}
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=[first]) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    vectors = numbered(range(200))
    assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


# A process that stores 40 batches of 5 vectors, starting when it is told to.
WRITER = """
import hashlib, sys
import numpy as np
from image_retraining.cache.vectors import BottleneckCache, Recipe

folder, first = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with BottleneckCache(folder) as cache:
    for start in range(first, first + 200, 5):
        vectors = {
            hashlib.sha256(b"%d" % n).digest(): np.arange(4, dtype=np.float32) + 10 * n
            for n in range(start, start + 5)
        }
        cache.store(Recipe("ab" * 32, height=8, width=6, pixels=1), vectors)
"""


# A process that opens the caches it is told to, one a line.
OPENER = """
import sys
from image_retraining.cache.vectors import BottleneckCache

print("ready", flush=True)
for line in sys.stdin:
    BottleneckCache(line.strip()).close()
    print("opened", flush=True)
"""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts a process of its own; `said` tells when it has imported what it needs."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_write_at_once_lose_nothing(cache: BottleneckCache, tmp_path: Path) -> None:
    writers = [started(WRITER, str(tmp_path / "cache"), str(first)) for first in (0, 200, 400)]
    assert [said(writer) for writer in writers] == ["ready"] * 3
    for writer in writers:
        tell(writer, "go")
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    vectors = numbered(range(600))
    assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


def test_processes_may_make_a_cache_at_once(tmp_path: Path) -> None:
    openers = [started(OPENER) for _ in range(3)]
    answers = [said(opener) for opener in openers]
    for number in range(60):
        if set(answers) <= {"ready", "opened"}:
            for opener in openers:
                tell(opener, str(tmp_path / str(number)))
            answers = [said(opener) for opener in openers]
    for opener in openers:
        opener.communicate()
    assert answers == ["opened"] * 3


def test_the_cache_needs_no_tensorflow() -> None:
    code = (
        "import sys, image_retraining.cache.vectors\n"
        "sys.exit(any(name.startswith(('tensorflow', 'tensorboard')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
