import contextlib
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_vectors import (
    OPENER,
    RECIPE,
    REPOSITORY,
    SIZE,
    bits,
    digest,
    execute,
    numbered,
    said,
    started,
    tell,
)

from image_retraining.cache import database as cache_file
from image_retraining.cache.database import CacheFile
from image_retraining.cache.frozen_modules import FrozenModule, FrozenModules, ModuleKey
from image_retraining.cache.known_files import FileState, PhotoFile, PhotoFiles
from image_retraining.cache.opening import open_cache
from image_retraining.cache.schema import checksum
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError, SettingError
from image_retraining.foundation.records import Floats

OTHER_RECIPE = replace(RECIPE, fingerprint="cd" * 32, view="flipped")
PAGE = 4096
# No page of an SQLite file begins so.
GARBAGE = b"\xa5" * PAGE
# So many vectors that the file has some thirty pages.
COUNT = 800

Start = Callable[..., subprocess.Popen[str]]


def filled(folder: Path) -> dict[bytes, Floats]:
    """Makes a cache of COUNT vectors, all of it in the one file, and returns them."""
    vectors = numbered(range(COUNT))
    with BottleneckCache(str(folder)) as cache:
        cache.store(RECIPE, vectors)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    return vectors


def found(cache: BottleneckCache, vectors: dict[bytes, Floats]) -> dict[bytes, bytes]:
    return bits(cache.vectors(RECIPE, list(vectors), SIZE))


def found_in(folder: Path, vectors: dict[bytes, Floats]) -> dict[bytes, bytes]:
    with BottleneckCache(str(folder)) as cache:
        return found(cache, vectors)


def damaged_files(folder: Path) -> list[Path]:
    """Returns the damaged files that were set aside, without the logs that belong to them."""
    files = folder.glob(f"{FILE_NAME}.damaged-*")
    return [path for path in files if not path.name.endswith(("-wal", "-shm"))]


def documented_crc(recipe: Recipe, photo: bytes, vector: bytes) -> int:
    """Returns the CRC that docs/cache.md describes."""
    columns = [recipe.fingerprint, recipe.height, recipe.width]
    columns += [recipe.pixels, recipe.precision, recipe.view]
    return zlib.crc32(b"".join(f"{column}\n".encode() for column in columns) + photo + vector)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes, and ends them when the test is over."""
    processes: list[subprocess.Popen[str]] = []

    def start_one(program: str, *arguments: str) -> subprocess.Popen[str]:
        processes.append(started(program, *arguments))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


PREPARATIONS = ("", "orientation=6")


def remembered(paths: list[Path]) -> list[PhotoFile]:
    """Returns files of digest(0), digest(1) and so on, as if they had been written long ago."""
    states = [FileState.of(str(path)) for path in paths]
    return [
        PhotoFile(
            str(path),
            replace(state, taken_ns=state.ctime_ns + 3600 * 10**9),
            b"",
            digest(number),
            PREPARATIONS[number % 2],
        )
        for number, (path, state) in enumerate(zip(paths, states, strict=True))
    ]


# Version 1

VERSION_1 = """
CREATE TABLE recipes (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    pixels INTEGER NOT NULL,
    precision TEXT NOT NULL,
    view TEXT NOT NULL,
    UNIQUE (fingerprint, height, width, pixels, precision, view)
);
CREATE TABLE bottlenecks (
    recipe_id INTEGER NOT NULL REFERENCES recipes (id),
    photo BLOB NOT NULL,
    crc INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (recipe_id, photo)
);
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    photo BLOB NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
INSERT_1 = "INSERT INTO bottlenecks VALUES (?, ?, ?, ?)"


def row_1(recipe_id: int, number: int, first_feature: float) -> tuple[int, bytes, int, bytes]:
    vector = struct.pack("<4f", first_feature, 1, 2, 3)
    return recipe_id, digest(number), zlib.crc32(vector), vector


def rows_1() -> list[tuple[int, bytes, int, bytes]]:
    """Returns 300 vectors of RECIPE, which is 7, and 300 others of OTHER_RECIPE, which is 3."""
    return [row_1(recipe_id, n, n + recipe_id / 10) for n in range(300) for recipe_id in (7, 3)]


@contextlib.contextmanager
def file_of_version_1(folder: Path, journal: str = "WAL") -> Iterator[sqlite3.Connection]:
    """Makes a file as the release before wrote it, with two recipes, and hands it out."""
    folder.mkdir()
    recipes = [(7, *astuple(RECIPE)), (3, *astuple(OTHER_RECIPE))]
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.executescript(VERSION_1)
        with database:
            database.executemany("INSERT INTO recipes VALUES (?, ?, ?, ?, ?, ?, ?)", recipes)
            yield database


def vectors_of(rows: list[tuple[int, bytes, int, bytes]], recipe_id: int) -> dict[bytes, bytes]:
    return {photo: vector for row_recipe, photo, _, vector in rows if row_recipe == recipe_id}


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_the_vectors_of_version_1_are_kept(
    tmp_path: Path, journal: str, logged: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    with file_of_version_1(folder, journal) as database:
        database.executemany(INSERT_1, rows_1())
    photos = [digest(n) for n in range(300)]
    for _ in range(2):
        with BottleneckCache(str(folder)) as cache:
            assert bits(cache.vectors(RECIPE, photos, 4)) == vectors_of(rows_1(), 7)
            assert bits(cache.vectors(OTHER_RECIPE, photos, 4)) == vectors_of(rows_1(), 3)
    assert execute(folder, "PRAGMA user_version") == (5,)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert logged.messages == []


def test_the_rows_of_version_1_get_the_documented_checksum_and_today(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with file_of_version_1(folder) as database:
        database.executemany(INSERT_1, rows_1())
    earliest = int(time.time()) // 86400
    BottleneckCache(str(folder)).close()
    latest = int(time.time()) // 86400
    query = "SELECT recipe_id, photo, vector, crc, used_day FROM bottlenecks"
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        rows = database.execute(query).fetchall()
    assert len(rows) == 600
    for recipe_id, photo, vector, crc, used_day in rows:
        assert crc == documented_crc({7: RECIPE, 3: OTHER_RECIPE}[recipe_id], photo, vector)
        assert earliest <= used_day <= latest


def test_the_damaged_vectors_of_version_1_stay_damaged(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    rows = rows_1()
    (recipe_id, photo, crc, vector) = rows[0]
    rows[0] = (recipe_id, photo, crc ^ 1, vector)
    (recipe_id, photo, crc, vector) = rows[100]
    rows[100] = (recipe_id, photo, crc, vector[:7] + bytes([vector[7] ^ 1]) + vector[8:])
    (recipe_id, photo, crc, vector) = rows[200]
    rows[200] = (recipe_id, photo, crc, vector[:8])
    folder = tmp_path / "cache"
    with file_of_version_1(folder) as database:
        database.executemany(INSERT_1, rows)

    damaged = {digest(n) for n in (0, 50, 100)}
    sound = {photo: vector for photo, vector in vectors_of(rows, 7).items() if photo not in damaged}
    with BottleneckCache(str(folder)) as cache:
        assert bits(cache.vectors(RECIPE, [digest(n) for n in range(300)], 4)) == sound
    (warning,) = logged.messages
    assert warning.startswith("3 damaged vectors in ")


# What a damaged file of version 1 may hold as well.
SENSELESS: dict[str, tuple[Any, ...]] = {
    "no such recipe": (99, digest(999), zlib.crc32(bytes(16)), bytes(16)),
    "text for a vector": (7, digest(999), 0, "text"),
    "text for a photo": (7, "text", zlib.crc32(bytes(16)), bytes(16)),
}


@pytest.mark.parametrize("row", SENSELESS.values(), ids=SENSELESS)
def test_one_senseless_row_of_version_1_loses_no_others(
    tmp_path: Path, row: tuple[Any, ...]
) -> None:
    folder = tmp_path / "cache"
    with file_of_version_1(folder) as database:
        database.executemany(INSERT_1, [*rows_1(), row])
    with BottleneckCache(str(folder)) as cache:
        kept = bits(cache.vectors(RECIPE, [digest(n) for n in (*range(300), 999)], 4))
    assert kept == vectors_of(rows_1(), 7)
    assert damaged_files(folder) == []


def test_the_files_of_version_1_are_read_again(tmp_path: Path) -> None:
    photo = tmp_path / "rose.jpg"
    photo.write_bytes(b"petals")
    state = photo.stat()
    row = (os.fsencode(photo), 6, state.st_mtime_ns, state.st_ctime_ns, digest(5))
    folder = tmp_path / "cache"
    with file_of_version_1(folder) as database:
        database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", row)
    with BottleneckCache(str(folder)) as cache:
        assert PhotoFiles(cache.file).known([str(photo)]) == {}


def test_processes_may_bring_one_file_up_to_date_at_once(tmp_path: Path, start: Start) -> None:
    openers = [start(OPENER) for _ in range(2)]
    assert [said(opener) for opener in openers] == ["ready"] * 2
    photos = [digest(n) for n in range(300)]
    for number in range(8):
        folder = tmp_path / str(number)
        with file_of_version_1(folder) as database:
            database.executemany(INSERT_1, rows_1())
        for opener in openers:
            tell(opener, str(folder))
        assert [said(opener) for opener in openers] == ["opened"] * 2
        with BottleneckCache(str(folder)) as cache:
            assert bits(cache.vectors(RECIPE, photos, 4)) == vectors_of(rows_1(), 7)


# Version 2

VERSION_2 = """
ALTER TABLE bottlenecks ADD COLUMN used_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN inode INTEGER NOT NULL DEFAULT 0;
CREATE TABLE modules (
    fingerprint TEXT NOT NULL,
    freezing INTEGER NOT NULL,
    asked_size TEXT NOT NULL,
    handle TEXT NOT NULL,
    crc INTEGER NOT NULL,
    description TEXT NOT NULL,
    sample BLOB NOT NULL,
    graph BLOB NOT NULL,
    PRIMARY KEY (fingerprint, freezing, asked_size)
);
CREATE TABLE claims (
    recipe_id INTEGER NOT NULL REFERENCES recipes (id),
    photo BLOB NOT NULL,
    run INTEGER NOT NULL,
    host TEXT NOT NULL,
    process INTEGER NOT NULL,
    started REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (recipe_id, photo)
) WITHOUT ROWID;
PRAGMA user_version = 2;
"""


def test_version_2_keeps_its_vectors(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    photo = tmp_path / "rose.jpg"
    photo.touch()
    with file_of_version_1(folder) as database:
        database.executescript(VERSION_2)
        for recipe_id, digest_, _, vector in rows_1():
            recipe = {7: RECIPE, 3: OTHER_RECIPE}[recipe_id]
            crc = documented_crc(recipe, digest_, vector)
            row = (recipe_id, digest_, crc, vector, 20_000)
            database.execute("INSERT INTO bottlenecks VALUES (?, ?, ?, ?, ?)", row)
        for n in range(300, 340):
            database.execute(
                "INSERT INTO claims VALUES (7, ?, 1, 'hal', 4711, 1e9, 1e10)", [digest(n)]
            )
        state = photo.stat()
        known = (os.fsencode(photo), 0, state.st_mtime_ns, state.st_ctime_ns, digest(5))
        database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", [*known, state.st_ino])
    photos = [digest(n) for n in range(340)]
    for _ in range(2):
        with BottleneckCache(str(folder)) as cache:
            assert bits(cache.vectors(RECIPE, photos, 4)) == vectors_of(rows_1(), 7)
            assert bits(cache.vectors(OTHER_RECIPE, photos, 4)) == vectors_of(rows_1(), 3)
            # Nobody has asked yet how it is to be turned.
            assert PhotoFiles(cache.file).known([str(photo)]) == {}
    assert execute(folder, "PRAGMA user_version") == (5,)
    assert execute(folder, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'claims'") == (0,)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert logged.messages == []


# The checksum


def test_the_checksum_is_the_documented_one() -> None:
    # { printf 'abab…ab\n8\n6\n1\nfloat32\n\n'; printf 'pppp…p'; printf '<1 -2 0.5 as float32>'; } |
    # gzip | tail -c8 | head -c4 | xxd -e
    vector = struct.pack("<3f", 1, -2, 0.5)
    assert checksum(*astuple(RECIPE), b"p" * 32, vector) == 0x214769D0
    assert documented_crc(RECIPE, b"p" * 32, vector) == 0x214769D0


@pytest.mark.parametrize("recipe", [RECIPE, OTHER_RECIPE, replace(RECIPE, view="flipped é")])
def test_rows_are_stored_with_the_documented_checksum(tmp_path: Path, recipe: Recipe) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(recipe, {digest(0): np.array([1, -2, 0.5], np.float32)})
    vector = struct.pack("<3f", 1, -2, 0.5)
    row = execute(tmp_path, "SELECT photo, vector, crc FROM bottlenecks")
    assert row == (digest(0), vector, documented_crc(recipe, digest(0), vector))


# A newer version


@pytest.mark.parametrize("version", [6, 7, 2**31 - 1])
def test_a_newer_file_is_refused_to_the_byte(
    tmp_path: Path, version: int, logged: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    execute(tmp_path, f"PRAGMA user_version = {version}")
    before = (tmp_path / FILE_NAME).read_bytes()
    for _ in range(2):
        with pytest.raises(CacheError, match=rf"version 5 or older\. Got version {version}, made"):
            BottleneckCache(str(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert logged.messages == []


def test_a_newer_file_keeps_what_its_log_holds(tmp_path: Path) -> None:
    """As when the newer release was killed."""
    with BottleneckCache(str(tmp_path / "open")) as cache:
        cache.store(RECIPE, numbered(range(5)))
        execute(tmp_path / "open", "PRAGMA user_version = 6")
        shutil.copytree(tmp_path / "open", tmp_path / "killed")
    assert (tmp_path / "killed" / f"{FILE_NAME}-wal").stat().st_size > 0
    with pytest.raises(CacheError, match="Got version 6"):
        BottleneckCache(str(tmp_path / "killed"))
    assert execute(tmp_path / "killed", "PRAGMA user_version") == (6,)
    assert execute(tmp_path / "killed", "SELECT COUNT(*) FROM bottlenecks") == (5,)


# Damage


@dataclass(frozen=True)
class Damaged:
    """A file that is no cache any more."""

    folder: Path
    vectors: dict[bytes, Floats]
    contents: bytes


def cut(folder: Path, length: int) -> Damaged:
    """Cuts a full cache to so many bytes, or so many off its end."""
    vectors = filled(folder)
    contents = (folder / FILE_NAME).read_bytes()[:length]
    (folder / FILE_NAME).write_bytes(contents)
    return Damaged(folder, vectors, contents)


def check_set_aside(damaged: Damaged, logged: pytest.LogCaptureFixture) -> None:
    """Checks that a file was set aside as it was, with a warning, and that the new cache works."""
    (aside,) = damaged_files(damaged.folder)
    date_time_process = rf"{re.escape(FILE_NAME)}\.damaged-\d{{8}}-\d{{6}}-{os.getpid()}"
    assert re.match(date_time_process, aside.name)
    assert aside.read_bytes() == damaged.contents
    (warning,) = [message for message in logged.messages if "damaged or no bottleneck" in message]
    assert str(damaged.folder / FILE_NAME) in warning
    assert aside.name in warning
    with BottleneckCache(str(damaged.folder)) as cache:
        cache.store(RECIPE, damaged.vectors)
    assert found_in(damaged.folder, damaged.vectors) == bits(damaged.vectors)
    assert damaged_files(damaged.folder) == [aside]


@pytest.mark.parametrize("length", [15, 16, 99, 100, 512, 4095, 4096, 4097, 40960, -40960, -4096])
def test_a_file_cut_short_is_set_aside(
    tmp_path: Path, length: int, logged: pytest.LogCaptureFixture
) -> None:
    damaged = cut(tmp_path, length)
    assert found_in(tmp_path, damaged.vectors) == {}
    check_set_aside(damaged, logged)


@pytest.mark.parametrize("length", [-1, -1000, -2000, -4095])
def test_a_file_cut_within_its_last_page_gives_no_wrong_vectors(
    tmp_path: Path, length: int
) -> None:
    damaged = cut(tmp_path, length)
    right = bits(damaged.vectors).items()
    assert found_in(tmp_path, damaged.vectors).items() <= right
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, damaged.vectors)
    assert found_in(tmp_path, damaged.vectors).items() == right


def test_a_page_of_garbage_gives_no_wrong_vectors(tmp_path: Path) -> None:
    vectors = filled(tmp_path / "sound")
    contents = (tmp_path / "sound" / FILE_NAME).read_bytes()
    pages = range(0, len(contents), PAGE)
    answers = []
    for page in pages:
        folder = tmp_path / str(page)
        folder.mkdir()
        damaged = contents[:page] + GARBAGE + contents[page + PAGE :]
        (folder / FILE_NAME).write_bytes(damaged)
        vectors_found = found_in(folder, vectors)
        assert vectors_found.items() <= bits(vectors).items()
        asides = damaged_files(folder)
        if vectors_found != bits(vectors):
            (aside,) = asides
            assert GARBAGE in aside.read_bytes()
        answers.append(len(asides))
    assert len(pages) > 25
    # The tables that no vector is looked up in have one page each.
    assert sum(answers) > len(pages) - 8


def test_garbage_for_vectors_is_set_aside_as_it_was(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    vectors = filled(tmp_path)
    contents = (tmp_path / FILE_NAME).read_bytes()
    place = contents.index(vectors[digest(400)].tobytes()) // PAGE * PAGE
    damaged = contents[:place] + GARBAGE + contents[place + PAGE :]
    (tmp_path / FILE_NAME).write_bytes(damaged)
    assert found_in(tmp_path, vectors) == {}
    check_set_aside(Damaged(tmp_path, vectors, damaged), logged)


@pytest.mark.parametrize("version", [-1, 0, 1, 2, 3, 4])
def test_a_database_of_another_program_is_set_aside(
    tmp_path: Path, version: int, logged: pytest.LogCaptureFixture
) -> None:
    execute(tmp_path, "CREATE TABLE notes (text)")
    execute(tmp_path, "INSERT INTO notes VALUES ('not ours')")
    execute(tmp_path, f"PRAGMA user_version = {version}")
    vectors = numbered(range(3))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
        assert found(cache, vectors) == bits(vectors)
    (aside,) = damaged_files(tmp_path)
    with contextlib.closing(sqlite3.connect(aside)) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
        assert database.execute("SELECT text FROM notes").fetchall() == [("not ours",)]
    assert tables == [("notes",)]
    (warning,) = logged.messages
    assert aside.name in warning


# What a byte may become in the text that describes the tables, on the file's first pages.
BROKEN_TABLES = {
    "no UTF-8": (b"vector BLOB NOT NULL", b"vector BLOB NOT \xffULL"),
    "a column of another name": (b"vector BLOB NOT NULL", b"wector BLOB NOT NULL"),
    "a table of another name": (b"CREATE TABLE bottlenecks", b"CREATE TABLE cottlenecks"),
    "a key of another type": (b"id INTEGER PRIMARY KEY", b"id INTEGES PRIMARY KEY"),
    "no key any more": (b"id INTEGER PRIMARY KEY", b"id INTEGER\xadPRIMARY KEY"),
    "no SQL": (b"CREATE TABLE recipes", b"CREATE TABLF recipes"),
}


@pytest.mark.parametrize(("sound", "broken"), BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_file_whose_tables_are_damaged_is_set_aside_if_it_cannot_be_read(
    tmp_path: Path, sound: bytes, broken: bytes, logged: pytest.LogCaptureFixture
) -> None:
    vectors = filled(tmp_path)
    contents = (tmp_path / FILE_NAME).read_bytes()
    assert sound in contents
    (tmp_path / FILE_NAME).write_bytes(contents.replace(sound, broken))
    with BottleneckCache(str(tmp_path)) as cache:
        kept = found(cache, vectors)
        assert kept in ({}, bits(vectors))
        cache.store(RECIPE, vectors)
        assert found(cache, vectors) == bits(vectors)
    asides = damaged_files(tmp_path)
    assert len(logged.messages) == len(asides) == (not kept)
    for aside in asides:
        assert broken in aside.read_bytes()
        assert aside.name in logged.text


def test_two_files_damaged_in_one_second_are_both_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = {**vars(time), "strftime": lambda _: "20260102-030405"}
    monkeypatch.setattr(cache_file, "time", SimpleNamespace(**clocks))
    contents = [b"first " * 1000, b"second " * 1000]
    for damaged in contents:
        (tmp_path / FILE_NAME).write_bytes(damaged)
        BottleneckCache(str(tmp_path)).close()
    assert sorted(path.read_bytes() for path in damaged_files(tmp_path)) == contents


def copied_while_open(folder: Path) -> dict[bytes, Floats]:
    """Makes a cache as a killed run leaves it, five of its vectors in the log alone."""
    vectors = filled(folder.parent / "open")
    late = numbered(range(COUNT, COUNT + 5))
    with BottleneckCache(str(folder.parent / "open")) as cache:
        cache.store(RECIPE, late)
        shutil.copytree(folder.parent / "open", folder)
    assert late[digest(COUNT)].tobytes() not in (folder / FILE_NAME).read_bytes()
    return {**vectors, **late}


@pytest.mark.parametrize("first_page", [0, 10])
def test_a_damaged_file_takes_its_log_along(tmp_path: Path, first_page: int) -> None:
    folder = tmp_path / "killed"
    vectors = copied_while_open(folder)
    contents = (folder / FILE_NAME).read_bytes()
    garbage = GARBAGE * (len(contents) // PAGE - first_page)
    (folder / FILE_NAME).write_bytes(contents[: first_page * PAGE] + garbage)
    assert found_in(folder, vectors) == {}
    with BottleneckCache(str(folder)) as cache:
        cache.store(RECIPE, numbered(range(3)))
    assert found_in(folder, vectors) == bits(numbered(range(3)))
    asides = [path.read_bytes() for path in folder.glob(f"{FILE_NAME}.damaged-*")]
    assert any(vectors[digest(COUNT)].tobytes() in aside for aside in asides)


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_log_costs_only_what_it_held(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "killed"
    vectors = copied_while_open(folder)
    log = folder / f"{FILE_NAME}-wal"
    contents = log.read_bytes()
    log.write_bytes(contents[:1000] if damage == "cut" else contents[:100] + GARBAGE)
    assert found_in(folder, vectors) == bits(numbered(range(COUNT)))
    assert damaged_files(folder) == []


# Damage in the middle of a run

GARBLER = """
import sys
with open(sys.argv[1], "r+b") as file:
    length = file.seek(0, 2)
    file.seek(4096)
    file.write(b"\\xa5" * (length - 4096))
"""


def garble(folder: Path) -> None:
    """Overwrites all pages but the first, from another process, for this one's locks' sake."""
    subprocess.run([sys.executable, "-c", GARBLER, str(folder / FILE_NAME)], check=True)


MODULE_KEY = ModuleKey("ab" * 32, 1, "")
MODULE = FrozenModule(
    graph=b"graph" * 2000,
    sample_vectors=np.ones([2, 3], np.float32),
    image_size=(8, 6),
    input_name="photos:0",
    output_name="vectors:0",
)
ACTIONS: dict[str, Callable[[BottleneckCache], object]] = {
    "vectors": lambda cache: cache.vectors(RECIPE, [digest(1)], SIZE),
    "store": lambda cache: cache.store(RECIPE, numbered(range(1, 2))),
    "known": lambda cache: PhotoFiles(cache.file).known(["rose.jpg"]),
    "remember": lambda cache: PhotoFiles(cache.file).remember(remembered([Path(__file__)])),
    "find": lambda cache: FrozenModules(cache.file).find(MODULE_KEY),
    "keep": lambda cache: FrozenModules(cache.file).keep(MODULE_KEY, MODULE, handle="module"),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_damage_in_the_middle_of_a_run_does_not_stop_it(
    tmp_path: Path,
    action: Callable[[BottleneckCache], object],
    logged: pytest.LogCaptureFixture,
) -> None:
    vectors = filled(tmp_path)
    with BottleneckCache(str(tmp_path)) as cache:
        garble(tmp_path)
        action(cache)
        (warning,) = logged.messages
        assert found(cache, vectors).items() <= bits(numbered(range(1, 2))).items()
        cache.store(RECIPE, vectors)
        assert found(cache, vectors) == bits(vectors)
    (aside,) = damaged_files(tmp_path)
    assert aside.name in warning
    assert aside.read_bytes().count(GARBAGE) > 25
    assert found_in(tmp_path, vectors) == bits(vectors)
    assert logged.messages == [warning]


# A process that looks up 800 vectors, stores five, and closes the cache when it is told to.
FINDER = """
import hashlib, sys
import numpy as np
from image_retraining.cache.vectors import BottleneckCache, Recipe

recipe = Recipe("ab" * 32, height=8, width=6, pixels=1)
first = int(sys.argv[1])
photos = [hashlib.sha256(b"%d" % n).digest() for n in range(first + 5)]
vectors = {photos[n]: np.arange(4, dtype=np.float32) + 10 * n for n in range(first, first + 5)}
print("ready", flush=True)
for line in sys.stdin:
    cache = BottleneckCache(line.strip())
    cache.vectors(recipe, photos, 4)
    cache.store(recipe, vectors)
    print("stored", flush=True)
    sys.stdin.readline()
    cache.close()
    print("closed", flush=True)
"""


def test_runs_that_share_a_file_damaged_under_them_go_on(tmp_path: Path, start: Start) -> None:
    """One has read all pages before and keeps them in memory, the other has not."""
    vectors = filled(tmp_path)
    other = start(FINDER, "900")
    assert said(other) == "ready"
    mine, others = numbered(range(1000, 1005)), numbered(range(900, 905))
    every = {**vectors, **mine, **others}
    with BottleneckCache(str(tmp_path)) as cache:
        assert found(cache, vectors) == bits(vectors)
        garble(tmp_path)
        tell(other, str(tmp_path))
        assert said(other) == "stored"
        assert found(cache, every).items() <= bits(every).items()
        cache.store(RECIPE, mine)
        assert found(cache, mine) == bits(mine)
        tell(other, "close")
        assert said(other) == "closed"
    assert found_in(tmp_path, others) == bits(others)
    assert len(damaged_files(tmp_path)) == 1


def test_a_run_that_still_has_the_damaged_file_does_the_new_one_no_harm(
    tmp_path: Path, start: Start
) -> None:
    vectors = filled(tmp_path)
    other = start(FINDER, "900")
    assert said(other) == "ready"
    with BottleneckCache(str(tmp_path)) as cache:
        assert found(cache, vectors) == bits(vectors)
        late = np.array([1, 2, 3, 0.1], np.float32)
        cache.store(RECIPE, {digest(1000): late})
        garble(tmp_path)
        tell(other, str(tmp_path))
        assert said(other) == "stored"
        other.kill()
        other.wait()
        (aside,) = damaged_files(tmp_path)
        assert late.tobytes() in Path(f"{aside}-wal").read_bytes()
        # What the other stored is in the new file's log alone.
        assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size > 0
        with contextlib.suppress(CacheError):
            cache.store(RECIPE, numbered(range(1000, 1005)))
    others = numbered(range(900, 905))
    assert found_in(tmp_path, others) == bits(others)
    assert execute(tmp_path, "PRAGMA integrity_check") == ("ok",)


def no_database(folder: Path) -> bytes:
    folder.mkdir()
    return b"no database at all " * 1000


def garbage_in_the_middle(folder: Path) -> bytes:
    filled(folder)
    contents = (folder / FILE_NAME).read_bytes()
    return contents[:PAGE] + GARBAGE * (len(contents) // PAGE - 1)


@pytest.mark.parametrize("damage", [no_database, garbage_in_the_middle])
def test_two_processes_that_find_one_damaged_file_share_the_new_one(
    tmp_path: Path, start: Start, damage: Callable[[Path], bytes]
) -> None:
    finders = [start(FINDER, str(first)) for first in (900, 1000)]
    assert [said(finder) for finder in finders] == ["ready"] * 2
    vectors = {**numbered(range(900, 905)), **numbered(range(1000, 1005))}
    for number in range(12):
        folder = tmp_path / str(number)
        contents = damage(folder)
        (folder / FILE_NAME).write_bytes(contents)
        for finder in finders:
            tell(finder, str(folder))
        assert [said(finder) for finder in finders] == ["stored"] * 2
        for finder in finders:
            tell(finder, "close")
        assert [said(finder) for finder in finders] == ["closed"] * 2
        (aside,) = damaged_files(folder)
        assert aside.read_bytes() == contents
        assert found_in(folder, vectors) == bits(vectors)


def test_a_file_replaced_while_it_is_opened_is_not_taken_for_the_damaged_one(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = no_database(tmp_path / "cache")
    file = tmp_path / "cache" / FILE_NAME
    file.write_bytes(contents)
    other = start(FINDER, "900")
    assert said(other) == "ready"
    damaged = file.stat().st_ino
    connect = sqlite3.connect
    told: list[str] = []

    def connect_slowly(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        if not told:
            told.append("once")
            tell(other, str(tmp_path / "cache"))
            # Unless the other waits for this one, it sets the damaged file aside meanwhile.
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline and damaged == inode(file):
                time.sleep(0.01)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_slowly)
    mine, others = numbered(range(3)), numbered(range(900, 905))
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        assert said(other) == "stored"
        cache.store(RECIPE, mine)
        tell(other, "close")
        assert said(other) == "closed"
    assert [path.read_bytes() for path in damaged_files(tmp_path / "cache")] == [contents]
    assert found_in(tmp_path / "cache", {**mine, **others}) == bits({**mine, **others})


def inode(file: Path) -> int:
    return file.stat().st_ino if file.exists() else 0


# Damage of any kind


@dataclass(frozen=True)
class Keepsake:
    """A cache file, as bytes, and what it holds."""

    folder: Path
    contents: bytes
    vectors: dict[Recipe, dict[bytes, bytes]]
    photos: dict[str, tuple[bytes, str]]
    modules: dict[ModuleKey, FrozenModule]

    def __repr__(self) -> str:
        return "keepsake"


@pytest.fixture(scope="module")
def keepsake(tmp_path_factory: pytest.TempPathFactory) -> Keepsake:
    folder = tmp_path_factory.mktemp("keepsake")
    random = np.random.default_rng(0)
    vectors = {
        recipe: {digest(n): random.random(size, np.float32) for n in range(count)}
        for recipe, size, count in [(RECIPE, 4, 100), (OTHER_RECIPE, 200, 30)]
    }
    paths = [folder / f"photo {number}.jpg" for number in range(30)]
    for path in paths:
        path.touch()
    modules = {
        ModuleKey(f"{number}" * 64, 1, ""): replace(
            MODULE,
            graph=random.bytes(20 if number % 2 else 6000),
            sample_vectors=random.random([2, 3], np.float32),
        )
        for number in range(4)
    }
    # A file of its own for each process that tests.
    place = folder / "made"
    cache = BottleneckCache(str(place))
    for recipe, some in vectors.items():
        cache.store(recipe, some)
    PhotoFiles(cache.file).remember(remembered(paths))
    for key, module in modules.items():
        FrozenModules(cache.file).keep(key, module, handle="a module")
    cache.close()
    return Keepsake(
        folder=folder,
        contents=(place / FILE_NAME).read_bytes(),
        vectors={recipe: bits(some) for recipe, some in vectors.items()},
        photos={file.path: (file.digest, file.preparation) for file in remembered(paths)},
        modules=modules,
    )


def use(cache: BottleneckCache, keepsake: Keepsake) -> None:
    """Does with a cache what runs do, and checks that it gives nothing that was not stored."""
    for recipe, vectors in keepsake.vectors.items():
        size = len(vectors[digest(0)]) // 4
        kept = bits(cache.vectors(recipe, [digest(n) for n in range(300)], size))
        assert kept.items() <= vectors.items()
    every = {photo for vectors in keepsake.vectors.values() for photo in vectors}
    for path, photo in PhotoFiles(cache.file).known(list(keepsake.photos)).items():
        # A digest of no photo at all only costs the time to read the photo.
        assert photo == keepsake.photos[path] or photo[0] not in every
    for key, module in keepsake.modules.items():
        kept_module = FrozenModules(cache.file).find(key)
        if kept_module:
            assert kept_module == module
            assert kept_module.sample_vectors.tobytes() == module.sample_vectors.tobytes()
    new = numbered(range(300, 310))
    cache.store(RECIPE, new)
    assert found(cache, new).items() <= bits(new).items()


def test_the_keepsake_gives_everything_when_it_is_sound(keepsake: Keepsake, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(keepsake.contents)
    with BottleneckCache(str(tmp_path)) as cache:
        for recipe, vectors in keepsake.vectors.items():
            size = len(vectors[digest(0)]) // 4
            assert bits(cache.vectors(recipe, list(vectors), size)) == vectors
        assert PhotoFiles(cache.file).known(list(keepsake.photos)) == keepsake.photos
        for key, module in keepsake.modules.items():
            assert FrozenModules(cache.file).find(key) == module
        use(cache, keepsake)


PLACES = st.integers(min_value=0, max_value=2**20)
BITS = st.sampled_from([bytes([1 << bit]) for bit in range(8)])
# Places, and what the bytes from there on are changed by; the first page describes the tables.
CHANGES = st.lists(
    st.tuples(
        st.one_of(PLACES, PLACES.map(lambda place: place % PAGE)),
        st.one_of(BITS, st.binary(min_size=1, max_size=64)),
    ),
    min_size=1,
    max_size=6,
)


@settings(derandomize=True, max_examples=70, deadline=None)
@given(changes=CHANGES)
def test_a_damaged_file_gives_what_was_stored_or_nothing(
    keepsake: Keepsake, changes: list[tuple[int, bytes]]
) -> None:
    contents = bytearray(keepsake.contents)
    for anywhere, difference in changes:
        place = anywhere % (len(contents) - len(difference))
        for offset, byte in enumerate(difference, place):
            contents[offset] ^= byte
    check_gives_only_what_was_stored(keepsake, contents)


def test_pages_in_the_place_of_others_give_what_was_stored_or_nothing(keepsake: Keepsake) -> None:
    """As when a disk writes to the wrong place; the first pages hold the roots of all tables."""
    pages = range(0, len(keepsake.contents), PAGE)
    assert len(pages) > 20
    for page in pages:
        for other in pages[:8]:
            contents = bytearray(keepsake.contents)
            contents[page : page + PAGE] = contents[other : other + PAGE]
            check_gives_only_what_was_stored(keepsake, contents)


def check_gives_only_what_was_stored(keepsake: Keepsake, contents: bytearray) -> None:
    with tempfile.TemporaryDirectory(dir=keepsake.folder) as name:
        folder = Path(name)
        (folder / FILE_NAME).write_bytes(contents)
        with contextlib.suppress(CacheError), BottleneckCache(name) as cache:
            for aside in damaged_files(folder):
                assert aside.read_bytes() == contents
            use(cache, keepsake)
        assert (folder / FILE_NAME).exists()


# A full disk

# A process that stores 32 vectors at a time until it fails; it may have a limit of bytes a file.
FILLER = """
import hashlib, resource, sys
import numpy as np
from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError

folder, limit = sys.argv[1], int(sys.argv[2])
recipe = Recipe("ab" * 32, height=8, width=6, pixels=1)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
first = 0
try:
    with BottleneckCache(folder) as cache:
        while True:
            vectors = {
                hashlib.sha256(b"%d" % n).digest(): np.arange(100, dtype=np.float32) + 10 * n
                for n in range(first, first + 32)
            }
            cache.store(recipe, vectors)
            first += 32
except CacheError as error:
    print(first)
    print(error)
"""


def fill(folder: Path, limit: int) -> int:
    """Returns how many vectors were stored before no more could be, after checking what is said."""
    command = [sys.executable, "-c", FILLER, str(folder), str(limit)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    count, message = ran.stdout.splitlines()
    assert message.startswith(f"{folder / FILE_NAME} must be a bottleneck cache that can be read")
    assert "make room or name another --bottleneck_dir" in message
    assert "what the cache holds already is safe" in message
    return int(count)


def check_all_stored(folder: Path, count: int) -> None:
    photos = [digest(n) for n in range(count)]
    with BottleneckCache(str(folder)) as cache:
        kept = cache.vectors(RECIPE, photos, 100)
        assert bits(kept) == {
            photo: (np.arange(100, dtype=np.float32) + 10 * n).tobytes()
            for n, photo in enumerate(photos)
        }
        more = numbered(range(count, count + 100))
        cache.store(RECIPE, more)
        assert found(cache, more) == bits(more)
    assert execute(folder, "PRAGMA integrity_check") == ("ok",)
    assert damaged_files(folder) == []


@pytest.mark.parametrize("limit", [200_000, 1_000_001, 6_000_000])
def test_when_files_can_grow_no_more_all_that_was_stored_is_safe(
    tmp_path: Path, limit: int
) -> None:
    count = fill(tmp_path, limit)
    # A vector takes some 470 bytes, and several times as much in the log.
    assert count * 400 > limit / 8
    check_all_stored(tmp_path, count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if os.getuid() != 0 or not mount or not unmount:
        pytest.skip("only root can mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield folder
    subprocess.run([unmount, str(folder)], check=True)


def test_when_the_disk_is_full_all_that_was_stored_is_safe(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    count = fill(small_disk / "cache", 0)
    assert count > 500
    # It fails as well the next time, and harms nothing.
    assert fill(small_disk / "cache", 0) <= count
    ballast.unlink()
    check_all_stored(small_disk / "cache", count)


def test_a_cache_that_cannot_be_written_to_at_the_end_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = BottleneckCache(str(tmp_path))
    cache.store(RECIPE, numbered(range(3)))

    def fail(_: object) -> None:
        raise CacheError("the disk is full")

    monkeypatch.setattr(cache.file, "write", fail)
    with contextlib.suppress(CacheError):
        cache.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


# The rest


def test_work_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = CacheFile(tmp_path / FILE_NAME)

    def fail(database: sqlite3.Connection) -> None:
        database.execute("INSERT INTO files VALUES (x'00', 1, 2, 3, x'00', 4, '')")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        file.write(fail)
    count = file.read(lambda database: database.execute("SELECT COUNT(*) FROM files").fetchone())
    assert count == (0,)
    file.close()


def test_space_is_given_back(tmp_path: Path) -> None:
    vectors = filled(tmp_path)
    file = CacheFile(tmp_path / FILE_NAME)
    before = file.size
    file.write(lambda database: database.execute("DELETE FROM bottlenecks WHERE rowid > 10"))
    file.give_back_space()
    assert file.size < before / 2
    file.close()
    assert (tmp_path / FILE_NAME).stat().st_size < before / 2
    assert found_in(tmp_path, vectors) == bits(numbered(range(10)))


def test_the_size_is_that_of_the_file_and_its_log(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(100)))
        log = (tmp_path / f"{FILE_NAME}-wal").stat().st_size
        assert log > 0
        assert cache.file.size == (tmp_path / FILE_NAME).stat().st_size + log


# Mount points and their file systems, the folder of the cache, and whether it is on a network.
MOUNTS: dict[str, tuple[dict[str, str], bool]] = {
    "nfs": ({"/": "ext4", "{home}": "nfs"}, True),
    "nfs4": ({"/": "ext4", "{home}/team": "nfs4"}, True),
    "cifs": ({"/": "ext4", "{home}/team": "cifs"}, True),
    "smb3": ({"/": "ext4", "{home}/team/cache": "smb3"}, True),
    "sshfs": ({"/": "ext4", "{home}": "fuse.sshfs"}, True),
    "9p": ({"/": "9p"}, True),
    "ext4": ({"/": "ext4"}, False),
    "tmpfs": ({"/": "nfs4", "{home}": "tmpfs"}, False),
    "a local disk within a network": ({"/": "nfs", "{home}": "nfs", "{home}/team": "xfs"}, False),
    "a network elsewhere": ({"/": "ext4", "{home}/tea": "nfs", "{home}/team/other": "nfs"}, False),
    "no mounts known": ({}, False),
}


@pytest.mark.parametrize(("mounts", "is_network"), MOUNTS.values(), ids=MOUNTS)
@pytest.mark.parametrize("link", [False, True], ids=["straight", "by a link"])
def test_a_network_folder_brings_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    mounts: dict[str, str],
    is_network: bool,  # noqa: FBT001
    link: bool,  # noqa: FBT001
) -> None:
    home = tmp_path / "home"
    (home / "team" / "cache").mkdir(parents=True)
    folder = home / "team" / "cache"
    if link:
        folder = tmp_path / "link"
        folder.symlink_to(home / "team")
        folder /= "cache"
    disks = [
        SimpleNamespace(mountpoint=place.format(home=home), fstype=kind)
        for place, kind in mounts.items()
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda *, all: disks if all else [])  # noqa: A006
    with open_cache(str(folder)) as cache:
        cache.store(RECIPE, numbered(range(3)))
        assert found(cache, numbered(range(3))) == bits(numbered(range(3)))
    assert len(logged.messages) == is_network
    if is_network:
        assert f"{folder} is on a network" in logged.text
        assert "--bottleneck_dir" in logged.text


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), PermissionError(13, "Denied")], ids=repr)
def test_mounts_that_the_system_does_not_tell_are_no_matter(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    # Once: a traceback.
    def refuse(**_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(psutil, "disk_partitions", refuse)
    with open_cache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(3)))
    assert logged.messages == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
def test_a_cache_that_another_user_has_laid_ready_for_all_is_refused(tmp_path: Path) -> None:
    # Once: used, with the frozen modules in it, which are programs.
    shared, planted = tmp_path / "shared", tmp_path / "shared/cache"
    planted.mkdir(parents=True)
    shared.chmod(0o1777)
    planted.chmod(0o777)
    os.chown(planted, 65534, -1)
    with pytest.raises(SettingError, match="--bottleneck_dir must not lie in what another user"):
        open_cache(str(planted))
    # A team's own.
    planted.chmod(0o775)
    open_cache(str(planted)).close()
