"""What photos and modules may go through between two runs on one cache."""

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import Colour, encoded, save_module, solid

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache import known_files
from image_retraining.cache.frozen_modules import FrozenModule, FrozenModules
from image_retraining.cache.lock import computing_alone
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache, Recipe
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import Engine
from image_retraining.features.extraction import extract
from image_retraining.photos import pixels, reading
from image_retraining.photos.folder import scan

SECOND = 1_000_000_000
# Width and height of the photos, and of those that the module takes.
SIDE = 8
# The photos: one a label, and its vector is its colour.
COLOURS: dict[str, Colour] = {"ash": (90, 91, 92), "fern": (30, 200, 40), "rose": (210, 25, 30)}
VIOLET: Colour = (120, 60, 240)


def colour_of_one_pixel(photos: Any) -> Any:
    return 255 * photos[:, 0, 0, :]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_module(tmp_path_factory.mktemp("modules") / "pixel", colour_of_one_pixel)


@pytest.fixture(scope="module")
def backbone(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    loaded = load_backbone(str(module))
    # The first run of a process takes seconds, and edits are to come within two of a run.
    folder = tmp_path_factory.mktemp("first")
    run(drawn(folder / "photos", COLOURS), loaded, folder / "cache")
    return loaded


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return drawn(tmp_path / "photos", COLOURS)


@pytest.fixture
def cache_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the cache believe that files written just now were written an hour ago."""
    clocks = {**vars(time), "time_ns": lambda: time.time_ns() + 3600 * SECOND}
    monkeypatch.setattr(known_files, "time", SimpleNamespace(**clocks))


@pytest.fixture
def coarse_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the time stamps of files tick every 2 s, as on FAT; the next tick is 2 s away."""
    start = time.time_ns()

    def stat(path: str) -> Any:
        status = os.stat(path)
        fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        for name in ("st_mtime_ns", "st_ctime_ns"):
            fields[name] -= (fields[name] - start) % (2 * SECOND)
        return SimpleNamespace(**fields)

    monkeypatch.setattr(known_files, "os", SimpleNamespace(**{**vars(os), "stat": stat}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos read so far, each by the name of its folder."""
    names: list[str] = []
    read = reading.read

    def read_and_note(path: str) -> bytes:
        names.append(Path(path).parent.name)
        return read(path)

    monkeypatch.setattr(reading, "read", read_and_note)
    return names


def drawn(folder: Path, colours: dict[str, Colour]) -> Path:
    """Makes a folder of photos that are all of one size, in bytes as well."""
    for label, colour in colours.items():
        (folder / label).mkdir(parents=True)
        (folder / label / "1.bmp").write_bytes(bmp(colour))
    return folder


def bmp(colour: Colour) -> bytes:
    return encoded(solid(colour, size=SIDE), "BMP")


@dataclass(frozen=True, slots=True)
class CountingEngine:
    """Counts the photos that are no padding; none here is black."""

    engine: Engine
    counts: list[int]
    image_size: tuple[int, int]
    feature_size: int
    streams: int = 1

    def __call__(self, photos: Any) -> Any:
        self.counts.append(int(np.count_nonzero(photos.any(axis=(1, 2, 3)))))
        return self.engine(photos)


@dataclass(frozen=True, slots=True)
class CountingEngineChoice(EngineChoice):
    counts: list[int] = field(default_factory=list)

    def make(self, frozen: FrozenModule) -> Engine:
        engine = EngineChoice.make(self, frozen)
        return CountingEngine(engine, self.counts, engine.image_size, engine.feature_size)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    Attributes:
        colours: label → vector of its photo.
        computed: how many vectors were computed.
    """

    colours: dict[str, Colour]
    computed: int


def run(photos: Path, backbone: Backbone, cache_folder: Path) -> Outcome:
    with BottleneckCache(str(cache_folder)) as cache:
        return run_with(photos, backbone, cache)


def run_with(photos: Path, backbone: Backbone, cache: BottleneckCache) -> Outcome:
    catalog = scan(str(photos), validation_percentage=0, testing_percentage=0)
    choice = CountingEngineChoice()
    gathered = extract(catalog, backbone, cache, engine=choice, fail_on_bad_image=True)
    colours = {}
    for part in gathered.sets.values():
        for path, vector in zip(part.paths, part.features, strict=True):
            red, green, blue = np.rint(vector).astype(int).tolist()
            colours[Path(path).parent.name] = (red, green, blue)
    return Outcome(colours, sum(choice.counts))


# Photos that change


def overwrite(photo: Path, contents: bytes) -> None:
    photo.write_bytes(contents)


def overwrite_and_set_the_clock_back(photo: Path, contents: bytes) -> None:
    before = photo.stat()
    photo.write_bytes(contents)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert photo.stat().st_mtime_ns == before.st_mtime_ns


def replace(photo: Path, contents: bytes) -> None:
    before = photo.stat()
    other = photo.with_name("other")
    other.write_bytes(contents)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(photo)
    assert photo.stat().st_mtime_ns == before.st_mtime_ns


EDITS = [overwrite, overwrite_and_set_the_clock_back, replace]


@pytest.mark.usefixtures("coarse_clock")
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_within_the_same_tick_of_the_clock_is_seen(
    photos: Path, backbone: Backbone, cache_folder: Path, edit: Callable[[Path, bytes], None]
) -> None:
    assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 3)
    edit(photos / "fern" / "1.bmp", bmp(VIOLET))
    assert run(photos, backbone, cache_folder) == Outcome({**COLOURS, "fern": VIOLET}, 1)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_remembered_photo_is_seen(
    photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    reads: list[str],
    edit: Callable[[Path, bytes], None],
) -> None:
    assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 3)
    reads.clear()
    edit(photos / "fern" / "1.bmp", bmp(VIOLET))
    assert run(photos, backbone, cache_folder) == Outcome({**COLOURS, "fern": VIOLET}, 1)
    assert reads == ["fern"]


@pytest.mark.usefixtures("settled")
def test_a_photo_touched_but_equal_is_read_once_more_and_not_computed(
    photos: Path, backbone: Backbone, cache_folder: Path, reads: list[str]
) -> None:
    run(photos, backbone, cache_folder)
    for expected in (["fern"], []):
        if expected:
            os.utime(photos / "fern" / "1.bmp", (1e9, 1e9))
        reads.clear()
        assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 0)
        assert reads == expected


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("known", [COLOURS["fern"], COLOURS["rose"]], ids=["back", "as_another"])
def test_a_photo_edited_to_be_what_was_seen_before_is_not_computed(
    photos: Path, backbone: Backbone, cache_folder: Path, known: Colour
) -> None:
    run(photos, backbone, cache_folder)
    for colour, computed in ((VIOLET, 1), (known, 0)):
        (photos / "fern" / "1.bmp").write_bytes(bmp(colour))
        expected = Outcome({**COLOURS, "fern": colour}, computed)
        assert run(photos, backbone, cache_folder) == expected


def swap_photos(one: Path, other: Path) -> None:
    swap_folders(one / "1.bmp", other / "1.bmp")


def swap_folders(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("swap", [swap_photos, swap_folders])
def test_photos_of_one_size_and_time_that_swap_names_keep_their_vectors(
    photos: Path, backbone: Backbone, cache_folder: Path, swap: Callable[[Path, Path], None]
) -> None:
    files = [photos / label / "1.bmp" for label in ("fern", "rose")]
    # As unpacking an archive does it: many files within one tick of the kernel's clock.
    while True:
        for file in files:
            os.utime(file, (1e9, 1e9))
        one, other = (file.stat() for file in files)
        if one.st_ctime_ns == other.st_ctime_ns:
            break
    assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 3)
    swap(photos / "fern", photos / "rose")
    swapped = {**COLOURS, "fern": COLOURS["rose"], "rose": COLOURS["fern"]}
    assert run(photos, backbone, cache_folder) == Outcome(swapped, 0)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("spelling", ["absolute", "relative"])
def test_data_sets_of_equal_names_share_a_cache_and_nothing_else(
    tmp_path: Path,
    backbone: Backbone,
    cache_folder: Path,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    spelling: str,
) -> None:
    others: dict[str, Colour] = {"ash": (1, 2, 3), "fern": VIOLET, "rose": (9, 8, 7)}
    sets = {tmp_path / "one": COLOURS, tmp_path / "two": others}
    for folder, colours in sets.items():
        drawn(folder / "photos", colours)
    for computed in (3, 0):
        for folder, colours in sets.items():
            monkeypatch.chdir(folder)
            reads.clear()
            photos = folder / "photos" if spelling == "absolute" else Path("photos")
            assert run(photos, backbone, cache_folder) == Outcome(colours, computed)
            assert len(reads) == computed


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("edited", ["fern", "rose"])
def test_a_photo_edited_while_another_run_is_waited_for_changes_no_copy_of_it(
    photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    logged: pytest.LogCaptureFixture,
    edited: str,
) -> None:
    """It was read before, so that it counts as what it was; the next run finds what it is."""
    shutil.copyfile(photos / "rose" / "1.bmp", photos / "fern" / "1.bmp")
    same = {**COLOURS, "fern": COLOURS["rose"]}
    recipe = Recipe(backbone.fingerprint, SIDE, SIDE, pixels.PIPELINE_VERSION)
    outcomes: list[Outcome] = []
    waiting = threading.Thread(
        target=lambda: outcomes.append(run(photos, backbone, cache_folder)), daemon=True
    )
    cache_folder.mkdir()
    with computing_alone(cache_folder, str(photos), recipe):
        waiting.start()
        wait_until(lambda: any("Waiting for another run" in line for line in logged.messages))
        overwrite(photos / edited / "1.bmp", bmp(VIOLET))
    waiting.join()
    assert outcomes == [Outcome(same, 2)]
    assert run(photos, backbone, cache_folder) == Outcome({**same, edited: VIOLET}, 1)


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("waited in vain")


# Modules that change


def test_a_module_whose_weights_change_gets_vectors_of_its_own_and_its_old_ones_back(
    photos: Path, cache_folder: Path, tmp_path: Path, module: Path
) -> None:
    weights = tf.saved_model.load(str(module))
    weights.scale.assign(3)
    tf.saved_model.save(weights, str(tmp_path / "tripled"), signatures=weights.signatures)
    tripled = {label: (3 * r, 3 * g, 3 * b) for label, (r, g, b) in COLOURS.items()}
    handle = tmp_path / "module"
    outcomes = []
    for content in (module, tmp_path / "tripled", module, tmp_path / "tripled"):
        shutil.rmtree(handle, ignore_errors=True)
        shutil.copytree(content, handle)
        with BottleneckCache(str(cache_folder)) as cache:
            backbone = load_backbone(str(handle), kept=FrozenModules(cache.file))
            outcomes.append(run_with(photos, backbone, cache))
    assert outcomes == [
        Outcome(COLOURS, 3),
        Outcome(tripled, 3),
        Outcome(COLOURS, 0),
        Outcome(tripled, 0),
    ]


# Vectors that change


@pytest.mark.parametrize(
    "damage",
    ["crc = crc + 1", "vector = substr(vector, 1, 8)", "vector = zeroblob(12)", "vector = 'text'"],
)
def test_a_damaged_vector_is_computed_anew_and_mended(
    photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    logged: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    run(photos, backbone, cache_folder)
    with closing(sqlite3.connect(cache_folder / FILE_NAME)) as database, database:
        photo = hashlib.sha256(bmp(COLOURS["fern"])).digest()
        changed = database.execute(f"UPDATE bottlenecks SET {damage} WHERE photo = ?", [photo])  # noqa: S608
        assert changed.rowcount == 1
    logged.clear()
    assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 1)
    assert len([message for message in logged.messages if "damaged" in message]) == 1
    logged.clear()
    assert run(photos, backbone, cache_folder) == Outcome(COLOURS, 0)
    assert [message for message in logged.messages if "damaged" in message] == []
