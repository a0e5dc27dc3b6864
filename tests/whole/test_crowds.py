"""Runs that are killed, stopped, interrupted, or many at once: real processes on one cache.

Importing TensorFlow takes seconds, so one process does it and forks the runs, while no op of
TensorFlow has run in it yet.
"""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
from conftest import encoded, hearing_signals, save_module, solid

from image_retraining.backbone.loading import load_backbone
from image_retraining.cache.lock import computing_alone
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache, Recipe
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE
from image_retraining.features.extraction import extract
from image_retraining.foundation.errors import CacheError, EngineError
from image_retraining.foundation.interruption import interruptions_noted
from image_retraining.photos import pixels as images
from image_retraining.photos import reading
from image_retraining.photos.folder import scan
from image_retraining.retraining import command
from image_retraining.retraining.config import RetrainConfig

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("ash", "fern")
PHOTO_COUNT = 1280
# Of them, how many runs take where fewer will do.
FEWER = 480
INTERRUPTIONS = 3
# What a run may have begun and not stored: TensorFlow computes two batches while one is stored.
UNSTORED = 3 * BATCH_SIZE
# How often to look, 2 ms apart, for what takes a second or so.
PATIENCE = 15_000
WAITING = "Waiting for another run"

# Forks a run for each line of settings; for a number, waits for the end of that process.
FORKS = """
import gc, json, os, signal, sys, time
from dataclasses import dataclass, replace

import numpy as np
import tensorflow
from absl import logging

from image_retraining.features import extraction
from image_retraining.foundation.interruption import note_interruptions
from image_retraining.photos import pixels as images, reading
from image_retraining.backbone.loading import load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.photos.folder import scan
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.cache.frozen_modules import FrozenModules


@dataclass(frozen=True)
class SlowEngineChoice(EngineChoice):
    settings: object = None

    def make(self, frozen, **more):
        engine = super().make(frozen, **more)

        def compute(photos):
            note(self.settings, np.count_nonzero(photos.any(axis=(1, 2, 3))))
            time.sleep(self.settings["pause"])
            while not os.path.exists(self.settings["engine_gate"]):
                time.sleep(0.002)
            return engine(photos)

        compute.streams = engine.streams
        return compute


class TimedCache(BottleneckCache):
    longest_store = 0.0

    def store(self, *what):
        started = time.monotonic()
        super().store(*what)
        self.longest_store = max(self.longest_store, time.monotonic() - started)


def note(settings, what):
    with open(settings["name"] + ".journal", "a") as file:
        file.write(f"{what}\\n")


def extract(catalog, backbone, cache, engine):
    return extraction.extract(catalog, backbone, cache, engine=engine, fail_on_bad_image=True)


def run(settings):
    catalog = scan(settings["photos"], validation_percentage=10, testing_percentage=10)
    catalog = replace(catalog, records=catalog.records[: settings["count"]])
    with BottleneckCache(settings["kept_modules"]) as kept:
        backbone = load_backbone(settings["module"], kept=FrozenModules(kept.file))
    with BottleneckCache(None) as nothing:
        one = replace(catalog, records=catalog.records[:1])
        extract(one, backbone, nothing, EngineChoice())
    read = reading.read
    reading.read = lambda path: time.sleep(settings["photo_pause"]) or read(path)
    note(settings, "ready")
    while not os.path.exists(settings["gate"]):
        time.sleep(0.002)
    with TimedCache(settings["cache"]) as cache:
        gathered = extract(catalog, backbone, cache, SlowEngineChoice(settings=settings))
    parts = gathered.sets.values()
    np.savez(
        settings["name"],
        paths=[path for part in parts for path in part.paths],
        vectors=np.concatenate([part.features for part in parts]),
        longest_store=cache.longest_store,
    )


# Else each run would end with a second of looking for garbage in what TensorFlow is made of.
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    settings = json.loads(line)
    if isinstance(settings, int):
        answer = os.waitstatus_to_exitcode(os.waitpid(settings, 0)[1])
    else:
        answer = os.fork()
        if answer == 0:
            break
    print(answer, flush=True)
else:
    sys.exit()
# A shell's background job ignores SIGINT, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
note_interruptions()
with open(settings["name"] + ".log", "w") as log:
    os.dup2(log.fileno(), 2)
logging.set_verbosity(logging.INFO)
try:
    run(settings)
except KeyboardInterrupt:
    sys.exit(130)
"""


@dataclass(frozen=True)
class Run:
    """A run of the extraction, in a process of its own.

    Attributes:
        process: its id.
        name: its files, but for their endings.
    """

    process: int
    name: Path

    @property
    def log(self) -> str:
        return self.name.with_suffix(".log").read_text()

    @property
    def batches(self) -> list[int]:
        """How many photos were in each batch that it began to compute."""
        return [int(line) for line in self._journal()[1:]]

    @property
    def is_ready(self) -> bool:
        return bool(self._journal())

    @property
    def vectors(self) -> dict[str, bytes]:
        """Path → bits of the feature vector; of a run that has come to its end."""
        return by_path(self._outcome["paths"], self._outcome["vectors"])

    @property
    def longest_store(self) -> float:
        return float(self._outcome["longest_store"])

    @property
    def _outcome(self) -> Any:
        return np.load(self.name.with_suffix(".npz"))

    def _journal(self) -> list[str]:
        journal = self.name.with_suffix(".journal")
        return journal.read_text().splitlines() if journal.exists() else []


class Forks:
    """The process that forks the runs."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._settings = settings
        self._living: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._count = 0

    def start(self, cache: Path, gate: Path, **settings: Any) -> Run:
        """Forks a run that waits, with all but the extraction done, until the gate exists."""
        self._count += 1
        name = self._folder / f"run{self._count}"
        paths = {"name": str(name), "cache": str(cache), "gate": str(gate)}
        run = Run(self._ask({**self._settings, **paths, **settings}), name)
        self._living.add(run.process)
        return run

    def exit_code(self, run: Run) -> int:
        """Waits for the end of a run; the number of a signal that ended it is negative."""
        wait_until(lambda: psutil.Process(run.process).status() == psutil.STATUS_ZOMBIE)
        code = self._ask(run.process)
        self._living.remove(run.process)
        return code

    def close(self) -> None:
        for process in self._living:
            os.kill(process, signal.SIGKILL)
        self._process.communicate()

    def _ask(self, question: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(PATIENCE):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("waited in vain")


def begin(runs: list[Run], gate: Path) -> None:
    """Lets runs extract features as soon as all are ready."""
    wait_until(lambda: all(run.is_ready for run in runs))
    gate.touch()


def wait_for_batches(run: Run, count: int) -> None:
    wait_until(lambda: len(run.batches) >= count)


def by_path(paths: Any, vectors: Any) -> dict[str, bytes]:
    return {str(path): vector.tobytes() for path, vector in zip(paths, vectors, strict=True)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTO_COUNT):
        label = folder / LABELS[number % len(LABELS)]
        label.mkdir(exist_ok=True)
        contents = encoded(solid((100, 120, 140), noise=90, seed=number, size=8))
        (label / f"{number}.png").write_bytes(contents)
    return folder


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = np.random.default_rng(0).normal(size=[8 * 8 * 3, 50]).astype(np.float32)

    def mix(photos: Any) -> Any:
        return tf.matmul(tf.reshape(photos, [-1, len(weights)]), weights)

    return save_module(tmp_path_factory.mktemp("modules") / "mix", mix)


@pytest.fixture(scope="module")
def undisturbed(
    photos: Path, module: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Path → bits of the vector that a run gives which nothing happens to."""
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    with BottleneckCache(str(tmp_path_factory.mktemp("cache"))) as cache:
        gathered = extract(
            catalog,
            load_backbone(str(module)),
            cache,
            engine=EngineChoice(),
            fail_on_bad_image=True,
        )
    vectors: dict[str, bytes] = {}
    for part in gathered.sets.values():
        vectors |= by_path(part.paths, part.features)
    assert len(set(vectors.values())) == PHOTO_COUNT
    return vectors


@pytest.fixture(scope="module")
def forks(photos: Path, module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("runs")
    opened = Forks(
        folder,
        photos=str(photos),
        count=PHOTO_COUNT,
        module=str(module),
        kept_modules=str(folder / "modules"),
        engine_gate="/",
        pause=0.0,
        photo_pause=0.0,
    )
    yield opened
    opened.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def asked(cache: Path, query: str) -> list[Any]:
    """Returns the rows of a query to a cache that may be in use."""
    with closing(sqlite3.connect(cache / FILE_NAME)) as database:
        return database.execute(query).fetchall()


def stored_after_death(cache: Path) -> int:
    """Returns how many sound vectors a cache holds; leaves all as it lies, for the next run."""
    if not cache.exists():
        return 0
    copy = cache.with_name("copy")
    shutil.copytree(cache, copy)
    assert asked(copy, "PRAGMA integrity_check") == [("ok",)]
    tables = asked(copy, "SELECT count(*) FROM sqlite_schema WHERE name = 'bottlenecks'")
    ((count,),) = asked(copy, "SELECT count(*) FROM bottlenecks") if tables == [(1,)] else [(0,)]
    shutil.rmtree(copy)
    return int(count)


def set_aside(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if "damaged" in path.name]


def lock_files(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.suffix == ".lock"]


def test_twenty_kills_cost_no_more_than_was_being_computed(
    forks: Forks, cache: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    rng = random.Random(20)  # noqa: S311 - not for safety
    # Each run is made ready while the one before works, and starts when it is dead.
    gates = [tmp_path / f"gate{number}" for number in range(21)]
    runs = [forks.start(cache, gates[0], pause=0.06)]
    stored = lost = 0
    for number in range(20):
        runs.append(forks.start(cache, gates[number + 1], pause=0.06))
        run = runs[number]
        begin([run], gates[number])
        if number % 4:
            wait_for_batches(run, rng.randint(1, 4))
            time.sleep(rng.uniform(0, 0.06))
        else:
            time.sleep(rng.uniform(0, 0.4))
        os.kill(run.process, signal.SIGKILL)
        assert forks.exit_code(run) == -signal.SIGKILL
        before, stored = stored, stored_after_death(cache)
        wasted = sum(run.batches) - (stored - before)
        assert 0 <= wasted <= UNSTORED
        lost += wasted
    # That kills struck in the middle of things.
    assert lost > 0
    assert 0 < stored < PHOTO_COUNT

    begin(runs[-1:], gates[-1])
    assert forks.exit_code(runs[-1]) == 0
    assert sum(runs[-1].batches) == PHOTO_COUNT - stored
    assert runs[-1].vectors == undisturbed
    assert stored_after_death(cache) == PHOTO_COUNT
    assert lock_files(cache) == []
    assert set_aside(cache) == []
    for run in runs:
        assert WAITING not in run.log


@pytest.mark.parametrize("number", [2, 4])
def test_runs_at_once_compute_each_photo_once(
    forks: Forks, cache: Path, gate: Path, undisturbed: dict[str, bytes], number: int
) -> None:
    runs = [forks.start(cache, gate, pause=0.03) for _ in range(number)]
    begin(runs, gate)
    assert [forks.exit_code(run) for run in runs] == [0] * number
    for run in runs:
        assert run.vectors == undisturbed
        # SQLite itself would wait for a lock for a minute.
        assert run.longest_store < 2
    # One computes all, and the others wait for it.
    assert sorted(sum(run.batches) for run in runs) == [0] * (number - 1) + [PHOTO_COUNT]
    (computing,) = (run for run in runs if run.batches)
    for run in runs:
        assert (WAITING in run.log) == (run != computing)
        assert (f"(process {computing.process} on " in run.log) == (run != computing)
    assert lock_files(cache) == []


class Holder:
    """A run that computes, but not to the end before it is told to go on."""

    def __init__(self, forks: Forks, cache: Path, folder: Path, **settings: Any) -> None:
        self._go_on = folder / "go_on"
        gate = folder / "holder_gate"
        gate.touch()
        self.run = forks.start(
            cache, gate, **{"count": FEWER, "engine_gate": str(self._go_on), **settings}
        )
        wait_for_batches(self.run, 1)

    def send(self, number: int) -> None:
        os.kill(self.run.process, number)

    def go_on(self) -> None:
        self._go_on.touch()
        self.send(signal.SIGCONT)


def first_of(vectors: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the vectors of the first photos of the catalog."""
    paths = sorted(vectors, key=lambda path: (Path(path).parent.name, path))
    return {path: vectors[path] for path in paths[:FEWER]}


def test_a_stopped_run_is_waited_for(
    forks: Forks, cache: Path, gate: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    other = forks.start(cache, gate, count=FEWER)
    holder = Holder(forks, cache, tmp_path)
    holder.send(signal.SIGSTOP)
    gate.touch()
    wait_until(lambda: WAITING in other.log)
    holder.go_on()
    assert [forks.exit_code(run) for run in (holder.run, other)] == [0, 0]
    assert (sum(holder.run.batches), sum(other.batches)) == (FEWER, 0)
    for run in (holder.run, other):
        assert run.vectors == first_of(undisturbed)


@pytest.mark.parametrize("is_waited_for", [False, True], ids=["before", "while_waited_for"])
def test_a_killed_run_is_waited_for_no_more_and_no_vector_is_lost(
    forks: Forks,
    cache: Path,
    gate: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    *,
    is_waited_for: bool,
) -> None:
    others = [forks.start(cache, gate, count=FEWER) for _ in range(2)]
    wait_until(lambda: all(other.is_ready for other in others))
    # It works on, slowly, until it is killed.
    holder = Holder(forks, cache, tmp_path, engine_gate="/", pause=0.2)
    if is_waited_for:
        gate.touch()
        wait_until(lambda: all(WAITING in other.log for other in others))
    wait_until(lambda: vector_count(cache) >= 2 * BATCH_SIZE)
    holder.send(signal.SIGKILL)
    assert forks.exit_code(holder.run) == -signal.SIGKILL
    gate.touch()
    assert [forks.exit_code(other) for other in others] == [0, 0]
    assert sum(holder.run.batches) < FEWER
    computed = sum(sum(run.batches) for run in (holder.run, *others))
    assert FEWER <= computed <= FEWER + UNSTORED
    for run in others:
        assert run.vectors == first_of(undisturbed)
    assert set_aside(cache) == lock_files(cache) == []


@pytest.fixture(scope="module")
def other_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other_photos")
    for number, label in enumerate(LABELS):
        (folder / label).mkdir()
        contents = encoded(solid((10, 20, 30), noise=9, seed=number, size=8))
        (folder / label / "1.png").write_bytes(contents)
    return folder


@pytest.fixture(scope="module")
def other_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def mean(photos: Any) -> Any:
        return tf.reduce_mean(photos[:, :8, :8], axis=[1, 2])

    return save_module(tmp_path_factory.mktemp("modules") / "mean", mean)


@pytest.mark.parametrize("other", ["photos", "module"])
def test_another_set_and_another_module_wait_for_nobody(
    request: pytest.FixtureRequest, cache: Path, gate: Path, tmp_path: Path, other: str
) -> None:
    forks, another = (request.getfixturevalue(name) for name in ("forks", f"other_{other}"))
    holder = Holder(forks, cache, tmp_path)
    run = forks.start(cache, gate, **{other: str(another)})
    begin([run], gate)
    assert forks.exit_code(run) == 0
    assert sum(run.batches) == len(run.vectors) > 0
    assert WAITING not in run.log
    holder.go_on()
    assert forks.exit_code(holder.run) == 0
    assert sum(holder.run.batches) == FEWER
    assert WAITING not in holder.run.log


@pytest.mark.parametrize("known", ["files", "contents"])
def test_a_run_whose_vectors_are_all_there_waits_for_nobody(
    forks: Forks,
    cache: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    known: str,
) -> None:
    """Even where its files are not known, so that they are to be read."""
    gates = [tmp_path / f"gate{number}" for number in range(2)]
    runs = [forks.start(cache, gate, count=100) for gate in gates]
    begin(runs[:1], gates[0])
    assert forks.exit_code(runs[0]) == 0
    if known == "contents":
        with closing(sqlite3.connect(cache / FILE_NAME)) as database, database:
            assert database.execute("DELETE FROM files").rowcount == 100
    holder = Holder(forks, cache, tmp_path)
    begin(runs[1:], gates[1])
    assert forks.exit_code(runs[1]) == 0
    assert runs[1].batches == []
    assert runs[1].vectors == runs[0].vectors
    assert runs[1].vectors.items() <= undisturbed.items()
    assert WAITING not in runs[1].log
    holder.go_on()
    assert forks.exit_code(holder.run) == 0


def test_ctrl_c_ends_a_run_that_waits(
    forks: Forks, cache: Path, gate: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    other = forks.start(cache, gate, count=FEWER)
    holder = Holder(forks, cache, tmp_path)
    gate.touch()
    wait_until(lambda: WAITING in other.log)
    os.kill(other.process, signal.SIGINT)
    assert forks.exit_code(other) == 130
    assert f"The bottlenecks of 0 of {FEWER} photos are kept" in other.log
    # Nobody else is disturbed by it.
    holder.go_on()
    assert forks.exit_code(holder.run) == 0
    assert holder.run.vectors == first_of(undisturbed)


def test_interruptions_keep_what_is_stored(
    forks: Forks, cache: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    rng = random.Random(5)  # noqa: S311 - not for safety
    gates = [tmp_path / f"gate{number}" for number in range(INTERRUPTIONS + 1)]
    # Reading takes longer than computing, so that photos are on their way all the time.
    runs = [forks.start(cache, gate, photo_pause=0.001) for gate in gates[:1]]
    for number in range(INTERRUPTIONS):
        runs.append(forks.start(cache, gates[number + 1], photo_pause=0.001))
        run = runs[number]
        begin([run], gates[number])
        wait_for_batches(run, 1)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(run.process, signal.SIGINT)
        assert forks.exit_code(run) == 130
        assert set_aside(cache) == []
        ((stored,),) = asked(cache, "SELECT count(*) FROM bottlenecks")
        told = re.search(rf"The bottlenecks of (\d+) of {PHOTO_COUNT} photos are kept", run.log)
        assert told
        assert int(told[1]) == stored
        assert lock_files(cache) == []

    begin(runs[-1:], gates[-1])
    assert forks.exit_code(runs[-1]) == 0
    assert sum(runs[-1].batches) == PHOTO_COUNT - stored
    assert runs[-1].vectors == undisturbed


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that are read in this process, which takes longer than computing them."""
    paths: list[str] = []
    read = reading.read

    def read_slowly(path: str) -> bytes:
        time.sleep(0.002)
        paths.append(path)
        return read(path)

    monkeypatch.setattr(reading, "read", read_slowly)
    return paths


def check_that_a_run_ends(
    photos: Path, module: Path, cache: Path, reads: list[str], error: type[BaseException]
) -> None:
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    backbone = load_backbone(str(module))
    with BottleneckCache(str(cache)) as opened, pytest.raises(error) as raised:
        extract(catalog, backbone, opened, engine=EngineChoice(), fail_on_bad_image=True)
    count = len(reads)
    assert BATCH_SIZE <= count < PHOTO_COUNT
    time.sleep(0.1)
    assert len(reads) == count
    assert set_aside(cache) == []
    # Its traceback lives on until here, as that of retrain.py does until the process ends.
    assert raised.tb is not None


@pytest.mark.parametrize(
    ("place", "name", "error"),
    [(EngineChoice, "make", EngineError), (BottleneckCache, "store", CacheError)],
)
def test_a_run_that_fails_reads_no_more_photos(
    request: pytest.FixtureRequest, place: type, name: str, error: type[Exception]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    request.getfixturevalue("monkeypatch").setattr(place, name, fail)
    photos, module, cache, reads = (
        request.getfixturevalue(name) for name in ("photos", "module", "cache", "reads")
    )
    check_that_a_run_ends(photos, module, cache, reads, error)


@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_run_that_is_interrupted_reads_no_more_photos(
    request: pytest.FixtureRequest, *, is_dropped: bool
) -> None:
    photos, module, cache, reads, interrupt_unheard, monkeypatch = (
        request.getfixturevalue(name)
        for name in ("photos", "module", "cache", "reads", "interrupt_unheard", "monkeypatch")
    )
    read = reading.read

    def read_and_interrupt(path: str) -> bytes:
        if len(reads) == 10 * BATCH_SIZE:
            if is_dropped:
                interrupt_unheard()
            else:
                # It reaches the main thread, which waits for photos that TensorFlow hands over.
                signal.raise_signal(signal.SIGINT)
        return read(path)

    monkeypatch.setattr(reading, "read", read_and_interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # As scripts and Python programs have it: what Python drops at its end is noted.
        with interruptions_noted():
            check_that_a_run_ends(photos, module, cache, reads, KeyboardInterrupt)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_stored_when_a_run_is_interrupted_is_counted(
    photos: Path,
    module: Path,
    cache: Path,
    logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = BottleneckCache.store

    def store_and_interrupt(opened: BottleneckCache, *what: Any) -> None:
        store(opened, *what)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(BottleneckCache, "store", store_and_interrupt)
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    backbone = load_backbone(str(module))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (
            interruptions_noted(),
            BottleneckCache(str(cache)) as opened,
            pytest.raises(KeyboardInterrupt),
        ):
            extract(catalog, backbone, opened, engine=EngineChoice(), fail_on_bad_image=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert f"bottlenecks of {BATCH_SIZE} of {PHOTO_COUNT} photos are kept" in logged.text
    assert vector_count(cache) == BATCH_SIZE


def test_ctrl_c_keeps_the_bottlenecks_and_the_same_command_goes_on(
    tmp_path: Path, module: Path, cache: Path, logged: pytest.LogCaptureFixture
) -> None:
    # One photo, large enough to take a while, with as many endings, which decoders leave alone;
    # more of them than are decoded before the first vector is computed.
    count = FEWER
    pixels = np.mgrid[:900, :1200, :3].sum(axis=0) % 256
    contents = encoded(pixels.astype(np.uint8), "JPEG")
    for number in range(count):
        label = tmp_path / "photos" / LABELS[number % len(LABELS)]
        label.mkdir(parents=True, exist_ok=True)
        (label / f"{number}.jpg").write_bytes(contents + number.to_bytes(2, "big"))
    settings: dict[str, Any] = {
        "image_dir": str(tmp_path / "photos"),
        "tfhub_module": str(module),
        "bottleneck_dir": str(cache),
        "output_graph": str(tmp_path / "graph.pb"),
        "output_labels": str(tmp_path / "labels.txt"),
        "summaries_dir": str(tmp_path / "logs"),
        "checkpoint_path": str(tmp_path / "checkpoint"),
        "how_many_training_steps": 1,
    }
    with hearing_signals(), (tmp_path / "log").open("w") as log_file:
        process = subprocess.Popen(
            [sys.executable, "retrain.py", *(f"--{name}={to}" for name, to in settings.items())],
            cwd=ROOT,
            stderr=log_file,
        )
    try:
        wait_until(lambda: vector_count(cache) > 2 * BATCH_SIZE or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    log = (tmp_path / "log").read_text()
    assert process.returncode == 130, log
    assert "Traceback" not in log
    assert log.splitlines()[-1] == "ERROR: Interrupted."
    match = re.search(rf"bottlenecks of (\d+) of {count} photos are kept; the same command", log)
    assert match, log
    kept = int(match[1])
    assert 0 < kept < count
    assert set_aside(cache) == []
    assert asked(cache, "SELECT count(*) FROM bottlenecks") == [(kept,)]

    logged.clear()
    assert command.run(RetrainConfig(**settings, named=frozenset(settings))) == 0
    expected = f"{count} photos: {count - kept} computed, 0 copies of others, {kept} from the cache"
    assert any(expected in message for message in logged.messages)


def test_ctrl_c_ends_retrain_py_while_it_waits(
    tmp_path: Path, photos: Path, module: Path, cache: Path
) -> None:
    backbone = load_backbone(str(module))
    recipe = Recipe(backbone.fingerprint, *backbone.image_size, pixels=images.PIPELINE_VERSION)
    cache.mkdir()
    line = [sys.executable, "retrain.py", f"--image_dir={photos}", f"--tfhub_module={module}"]
    log = tmp_path / "log"
    with computing_alone(cache, str(photos), recipe), log.open("w") as log_file:
        with hearing_signals():
            process = subprocess.Popen(
                [*line, f"--bottleneck_dir={cache}", f"--output_graph={tmp_path / 'graph.pb'}"],
                cwd=ROOT,
                stderr=log_file,
            )
        try:
            wait_until(lambda: WAITING in log.read_text() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            wait_until(lambda: process.poll() is not None)
        finally:
            process.kill()
            process.wait()
    said = log.read_text()
    assert process.returncode == 130, said
    assert f"which is computing these bottlenecks (process {os.getpid()} on " in said
    assert said.splitlines()[-1] == "ERROR: Interrupted."
    assert "Traceback" not in said


def vector_count(cache: Path) -> int:
    """Returns how many vectors a cache holds that may not have been made yet."""
    file = cache / FILE_NAME
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_schema").fetchall()
        if ("bottlenecks",) not in tables:
            return 0
        ((count,),) = database.execute("SELECT count(*) FROM bottlenecks").fetchall()
        return int(count)
