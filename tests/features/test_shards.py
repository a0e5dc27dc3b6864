import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import fsspec
import numpy as np
import pytest
from conftest import encoded, solid
from pyarrow import parquet

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache import known_files
from image_retraining.cache.known_files import FileState, PhotoFiles
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.extraction import extract, gather
from image_retraining.features.shards import computing, module_file, places, shard_file
from image_retraining.features.shards.crew import Done
from image_retraining.features.shards.distribution import Distribution
from image_retraining.features.shards.shard import PhotoReference, Shard, shards
from image_retraining.features.shards.shard_file import Computed, DamagedShardError
from image_retraining.features.work import Computation
from image_retraining.foundation.errors import ClusterError, OutputError, PhotoError
from image_retraining.foundation.records import Catalog, Extraction, Split
from image_retraining.photos.distortions import NO_VIEWS, Distortion, Views
from image_retraining.photos.folder import scan

# What ends a JPEG.
END = b"\xff\xd9"
VIEWS = Views(Distortion(flip_left_right=True, random_crop=20, random_rotation=15), 3, 5)


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the cache believe that files written just now were written an hour ago."""
    clocks = {**vars(time), "time_ns": lambda: time.time_ns() + 3600 * 10**9}
    monkeypatch.setattr(known_files, "time", SimpleNamespace(**clocks))


@pytest.fixture
def photos(colour_photos: Path) -> Path:
    """Photos, among them one that is turned, one half of one, a copy, and two that are none."""
    red = colour_photos / "red"
    halved = encoded(solid((90, 0, 0), noise=60, size=200), "JPEG", quality=95)
    turned = encoded(
        solid((200, 9, 9), noise=90),
        "JPEG",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    (red / "halved_1.jpg").write_bytes(halved[: int(len(halved) * 0.7)] + END)
    (red / "mostly_gone_1.jpg").write_bytes(halved[: int(len(halved) * 0.2)] + END)
    (red / "turned_1.jpg").write_bytes(turned)
    (red / "none_1.png").write_bytes(b"no photo")
    (red / "empty_1.png").write_bytes(b"")
    shutil.copy(red / "red_01.png", red / "copy_1.png")
    return colour_photos


def cataloged(folder: object) -> Catalog:
    return scan(str(folder), validation_percentage=20, testing_percentage=20)


@dataclass
class Here:
    """Computes shards in this process, the last that was submitted first."""

    most: int | None = None
    computed: list[Shard] = field(default_factory=list)
    waiting: list[Shard] = field(default_factory=list)
    largest_queue: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.waiting.clear()

    def worker_count(self) -> int:
        return 2

    def submit(self, shard: Shard) -> None:
        self.waiting.append(shard)
        self.largest_queue = max(self.largest_queue, len(self.waiting))

    def next_done(self, seconds: float) -> Done | None:
        assert seconds > 0
        if len(self.computed) == self.most:
            raise KeyboardInterrupt
        shard = self.waiting.pop()
        assert computing.compute(shard) == shard.file_name
        self.computed.append(shard)
        return Done(shard)


def distributed(
    catalog: Catalog,
    backbone: Backbone,
    folder: Path,
    crew: Any,
    *,
    fail_on_bad_image: bool = False,
    shard_dir: str = "",
) -> Extraction:
    distribution = Distribution(shard_dir or str(folder / "shards"), lambda: crew, largest=16)
    with BottleneckCache(str(folder)) as cache:
        return gather(
            catalog,
            cache,
            Computation(backbone, EngineChoice(), VIEWS),
            workers=distribution,
            fail_on_bad_image=fail_on_bad_image,
        )


def locally(catalog: Catalog, backbone: Backbone, folder: Path, views: Views = VIEWS) -> Extraction:
    with BottleneckCache(str(folder)) as cache:
        return extract(
            catalog, backbone, cache, engine=EngineChoice(), views=views, fail_on_bad_image=False
        )


def assert_same(found: Extraction, wanted: Extraction) -> None:
    """Asserts that all is equal to the last bit."""
    for split in Split:
        one, other = found.sets[split], wanted.sets[split]
        assert one.paths == other.paths
        assert one.digests == other.digests
        assert one.features.tobytes() == other.features.tobytes()
        assert (one.views is None) == (other.views is None)
        if one.views is not None and other.views is not None:
            assert one.views.tobytes() == other.views.tobytes()
    assert found.unreadable == wanted.unreadable
    assert found.doubtful == wanted.doubtful
    assert found.turned_count == wanted.turned_count


# A run that has others compute


def test_what_others_compute_is_what_is_computed_here(
    photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog, crew = cataloged(photos), Here()
    wanted = locally(catalog, backbone, tmp_path / "here")
    found = distributed(catalog, backbone, tmp_path / "there", crew)
    assert_same(found, wanted)
    assert len(found.unreadable) == 3
    assert len(found.doubtful) == 1
    assert found.turned_count == 1
    # Of 96 photos, and never more on the way than the workers take.
    assert [len(shard.photos) for shard in crew.computed] == [16] * 6
    assert crew.largest_queue == 4
    left = list((tmp_path / "there" / "shards").iterdir())
    assert [path.name[-11:] for path in left] == [".module.npz"]


def test_the_next_run_asks_nobody(photos: Path, backbone: Backbone, tmp_path: Path) -> None:
    catalog = cataloged(photos)
    first = distributed(catalog, backbone, tmp_path, Here())
    again = Here()
    assert_same(distributed(catalog, backbone, tmp_path, again), first)
    # But for those without vectors, which any run tries again.
    assert {Path(p.path).name for s in again.computed for p in s.photos} == {
        "none_1.png",
        "empty_1.png",
    }
    assert_same(locally(catalog, backbone, tmp_path), first)


def test_a_killed_run_computes_only_what_is_missing(
    photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(photos)
    with pytest.raises(KeyboardInterrupt):
        distributed(catalog, backbone, tmp_path, first := Here(most=2))
    again = Here()
    found = distributed(catalog, backbone, tmp_path, again)
    done = {photo.path for shard in first.computed for photo in shard.photos}
    twice = done & {photo.path for shard in again.computed for photo in shard.photos}
    assert len(done) == 32
    assert {Path(path).name for path in twice} <= {"none_1.png", "empty_1.png"}
    assert_same(found, locally(catalog, backbone, tmp_path / "here"))


def test_what_workers_finish_after_the_run_died_is_found(
    photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(photos)
    with pytest.raises(KeyboardInterrupt):
        distributed(catalog, backbone, tmp_path, first := Here(most=0))
    assert first.computed == []
    whole = whole_shard(catalog, backbone, tmp_path / "shards")
    late = replace(whole, photos=whole.photos[:40])
    computing.compute(late)
    changed = Path(late.photos[3].path)
    changed.write_bytes(encoded(solid((1, 2, 3), noise=50, seed=77)))
    (tmp_path / "shards" / "of_another.parquet").write_bytes(b"half of a shard")
    again = Here()
    found = distributed(catalog, backbone, tmp_path, again)
    computed = [photo.path for shard in again.computed for photo in shard.photos]
    assert len(computed) == 96 - 40 + 1
    assert str(changed) in computed
    assert_same(found, locally(catalog, backbone, tmp_path / "here"))
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    assert names == {"of_another.parquet", whole.module}


def test_the_first_bad_photo_can_end_it(photos: Path, backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"(none|empty|mostly_gone)_1\.\w+: "):
        distributed(cataloged(photos), backbone, tmp_path, Here(), fail_on_bad_image=True)


def test_photos_that_are_gone_are_left_out(
    photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(photos)
    (photos / "blue" / "blue_07.png").unlink()
    found = distributed(catalog, backbone, tmp_path, Here())
    assert found.unreadable[0].reason == "No such file or directory"
    assert len(found.unreadable) == 4


def test_what_a_worker_does_not_see_is_computed_here(
    photos: Path, backbone: Backbone, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    hidden = photos / "blue" / "blue_07.png"

    class Blind(Here):
        def next_done(self, seconds: float) -> Done | None:
            hidden.rename(photos / "away")
            try:
                return super().next_done(seconds)
            finally:
                (photos / "away").rename(hidden)

    catalog = cataloged(photos)
    found = distributed(catalog, backbone, tmp_path / "there", Blind())
    assert_same(found, locally(catalog, backbone, tmp_path / "here"))
    assert f"as {hidden}: No such file or directory. They are computed here." in logged.text


def test_what_workers_finish_when_all_is_cached_is_removed(
    photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(photos)
    for bad in ("none_1.png", "empty_1.png"):
        (photos / "red" / bad).unlink()
    catalog = cataloged(photos)
    first = distributed(catalog, backbone, tmp_path, Here())
    whole = whole_shard(catalog, backbone, tmp_path / "shards")
    elsewhere = shutil.copy(whole.photos[0].path, tmp_path / "elsewhere.png")
    late = whole.photos[:40]
    foreign = PhotoReference(str(elsewhere), FileState.of(str(elsewhere)), has_views=False)
    computing.compute(replace(whole, photos=late))
    computing.compute(others := replace(whole, photos=(*late, foreign)))
    again = Here()
    assert_same(distributed(catalog, backbone, tmp_path, again), first)
    assert again.computed == []
    # Another run may wait for what is of other photos, too.
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    assert names == {others.file_name, whole.module}


def test_of_what_workers_have_finished_one_photo_may_have_gone(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    whole = whole_shard(cataloged(colour_photos), backbone, tmp_path / "shards")
    late = replace(whole, photos=whole.photos[:40])
    computing.compute(late)
    Path(late.photos[7].path).unlink()
    catalog, again = cataloged(colour_photos), Here()
    found = distributed(catalog, backbone, tmp_path, again)
    assert sum(len(shard.photos) for shard in again.computed) == 90 - 40
    assert_same(found, locally(catalog, backbone, tmp_path / "here"))
    assert [path.name for path in (tmp_path / "shards").iterdir()] == [whole.module]


def test_that_no_worker_is_left_is_told(
    colour_photos: Path, backbone: Backbone, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    class Leaving(Here):
        def worker_count(self) -> int:
            has_left = self.waiting and "No worker is left" not in logged.text
            return 0 if has_left else 2

        def next_done(self, seconds: float) -> Done | None:
            return None if self.worker_count() == 0 else super().next_done(seconds)

    distributed(cataloged(colour_photos), backbone, tmp_path, Leaving())
    assert logged.text.count("No worker is left: waiting for one.") == 1


def test_a_damaged_file_is_computed_here(
    photos: Path, backbone: Backbone, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    class Damaging(Here):
        def next_done(self, seconds: float) -> Done | None:
            done = super().next_done(seconds)
            assert done is not None
            if len(self.computed) == 2:
                flipped = bytearray(Path(done.shard.place).read_bytes())
                flipped[900] ^= 1
                Path(done.shard.place).write_bytes(flipped)
            return done

    catalog = cataloged(photos)
    found = distributed(catalog, backbone, tmp_path / "there", Damaging())
    assert logged.text.count("cannot be read") == 1
    assert "; computed here" in logged.text
    assert_same(found, locally(catalog, backbone, tmp_path / "here"))


def test_a_folder_that_cannot_be_written_is_told(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"/file cannot be written: Not a directory\."):
        distributed(
            cataloged(colour_photos),
            backbone,
            tmp_path,
            Here(),
            shard_dir=str(tmp_path / "file"),
        )


# Photos and shards with an address


@pytest.fixture
def store(photos: Path) -> Iterator[str]:
    """The photos in a store that has addresses, where there are no links and no inodes."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(f"{photos}/", "/bucket/photos/", recursive=True)
    yield "memory://bucket/photos"
    memory.store.clear()


def test_photos_with_an_address_are_like_others(
    store: str, photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    here, there = cataloged(photos), cataloged(store)
    assert there.labels == here.labels
    inside = [Path(record.path).relative_to(photos).as_posix() for record in here.records]
    assert [record.path for record in there.records] == [f"{store}/{path}" for path in inside]
    assert [record.split for record in there.records] == [r.split for r in here.records]
    wanted = locally(here, backbone, tmp_path / "here")
    for crew in (Here(), None):
        if crew is None:
            found = locally(there, backbone, tmp_path / "alone")
        else:
            found = distributed(
                there, backbone, tmp_path / "there", crew, shard_dir="memory://bucket/shards"
            )
        for split in Split:
            assert found.sets[split].digests == wanted.sets[split].digests
            assert found.sets[split].features.tobytes() == wanted.sets[split].features.tobytes()
        assert [one.reason for one in found.unreadable] == [u.reason for u in wanted.unreadable]
    names = places.names("memory://bucket/shards")
    assert [name[-11:] for name in names] == [".module.npz"]


def test_a_photo_in_a_store_that_changes_is_read_anew(
    store: str, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(store)
    first = locally(catalog, backbone, tmp_path, NO_VIEWS)
    with BottleneckCache(str(tmp_path)) as cache:
        known = PhotoFiles(cache.file).known([record.path for record in catalog.records])
        # What is none is read each time.
        assert len(known) >= len(catalog.records) - 2
    changed = catalog.records[0].path
    fsspec.filesystem("memory").pipe_file(
        changed.removeprefix("memory:/"), encoded(solid((7, 8, 9)))
    )
    second = locally(catalog, backbone, tmp_path, NO_VIEWS)
    one, other = by_path(first), by_path(second)
    assert {path for path in one if one[path] != other[path]} == {changed}


def by_path(extraction: Extraction) -> dict[str, bytes]:
    return {
        path: vector.tobytes()
        for photos in extraction.sets.values()
        for path, vector in zip(photos.paths, photos.features, strict=True)
    }


# A shard


def whole_shard(
    catalog: Catalog, backbone: Backbone, folder: object, views: Views = VIEWS
) -> Shard:
    computation = Computation(backbone, EngineChoice(), views)
    references = tuple(
        PhotoReference(r.path, FileState.of(r.path), r.split is Split.TRAINING)
        for r in catalog.records
    )
    name = module_file.put(str(folder), backbone)
    return Shard(str(folder), name, computing.terms_of(computation), references)


def test_a_shard_is_computed_once(
    photos: Path, backbone: Backbone, tmp_path: Path, placed: list[Path]
) -> None:
    shard = whole_shard(cataloged(photos), backbone, tmp_path / "shards")
    assert computing.compute(shard) == shard.file_name
    place = Path(shard.place)
    contents, state = place.read_bytes(), place.stat()
    assert computing.compute(shard) == shard.file_name
    assert place.stat().st_mtime_ns == state.st_mtime_ns
    assert placed == [tmp_path / "shards" / shard.module, place]
    # Whoever computes it elsewhere writes the same.
    place.unlink()
    computing.compute(shard)
    assert place.read_bytes() == contents
    # Half of it, as a disk that is full may leave: computed anew.
    place.write_bytes(contents[: len(contents) // 2])
    computing.compute(shard)
    assert place.read_bytes() == contents


def test_its_file_is_one_that_others_read(photos: Path, backbone: Backbone, tmp_path: Path) -> None:
    catalog = cataloged(photos)
    shard = whole_shard(catalog, backbone, tmp_path)
    computing.compute(shard)
    table = parquet.read_table(shard.place).to_pylist()
    assert [os.fsdecode(row["path"]) for row in table] == [r.path for r in catalog.records]
    wanted = locally(catalog, backbone, tmp_path / "here")
    vectors = by_path(wanted)
    for row in table:
        path = os.fsdecode(row["path"])
        if row["error"]:
            assert row["vectors"] is None
            continue
        found = np.array(row["vectors"], np.float32).reshape(-1, 6)
        assert found[0].tobytes() == vectors[path]
        assert row["digest"] == hashlib.sha256(Path(path).read_bytes()).digest()
    assert sum(bool(row["error"]) for row in table) == 3
    assert sum(bool(row["warning"]) for row in table) == 2
    assert {row["preparation"] for row in table} == {"", "orientation=6"}


def test_a_shard_goes_by_all_that_decides(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shard = whole_shard(cataloged(colour_photos), backbone, tmp_path)
    photo = shard.photos[0]
    newer = replace(photo, state=replace(photo.state, mtime_ns=photo.state.mtime_ns + 1))
    others = [
        replace(shard, photos=shard.photos[1:]),
        replace(shard, photos=shard.photos[::-1]),
        replace(shard, photos=(newer, *shard.photos[1:])),
        replace(shard, photos=(replace(photo, has_views=not photo.has_views), *shard.photos[1:])),
        replace(shard, terms=replace(shard.terms, views=replace(VIEWS, seed=6))),
        replace(shard, terms=replace(shard.terms, engine="openvino")),
        replace(shard, terms=replace(shard.terms, recipe=replace(shard.terms.recipe, height=9))),
        replace(shard, terms=replace(shard.terms, computed_by="TensorFlow 3")),
    ]
    assert len({one.file_name for one in (shard, *others)}) == 1 + len(others)
    # Where it lies, and when the files were looked at, decides nothing.
    later = tuple(replace(p, state=replace(p.state, taken_ns=1)) for p in shard.photos)
    assert replace(shard, folder="elsewhere", photos=later).file_name == shard.file_name


def test_halves_and_parts_have_all_photos(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shard = whole_shard(cataloged(colour_photos), backbone, tmp_path)
    parts = list(shards(shard, iter(shard.photos), lambda count: 45 - count // 4))
    assert [len(part.photos) for part in parts] == [45, 34, 11]
    assert tuple(photo for part in parts for photo in part.photos) == shard.photos
    odd = replace(shard, photos=shard.photos[:3])
    assert [len(half.photos) for half in odd.halves()] == [1, 2]
    assert odd.halves()[0].photos + odd.halves()[1].photos == odd.photos


# Processes that are none to compute it


def test_other_versions_are_refused(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shard = whole_shard(cataloged(colour_photos), backbone, tmp_path)
    other = replace(shard, terms=replace(shard.terms, computed_by="TensorFlow 2.20.0"))
    with pytest.raises(ClusterError, match=r"there, and TensorFlow 2\.20\.0 here\. Install the s"):
        computing.compute(other)


def test_who_does_not_reach_the_module_says_so(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shard = whole_shard(cataloged(colour_photos), backbone, tmp_path)
    with pytest.raises(ClusterError, match=r"must reach --shard_dir .*No such file or directory\."):
        computing.compute(replace(shard, folder=str(tmp_path / "not_here")))
    (tmp_path / "damaged").mkdir()
    damaged = bytearray((tmp_path / shard.module).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged" / shard.module).write_bytes(damaged)
    with pytest.raises(ClusterError, match=r"is damaged .*Remove it, and run again"):
        computing.compute(replace(shard, folder=str(tmp_path / "damaged")))


def test_who_does_not_reach_the_photos_says_so(
    colour_photos: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shard = whole_shard(cataloged(colour_photos), backbone, tmp_path / "shards")
    colour_photos.rename(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match=r"Of the 90 of a shard there is none, as .*_00\.png\."):
        computing.compute(shard)
    assert not Path(shard.place).exists()


# Files


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"no shard at all, but something else",
        lambda contents: contents[:-1],
        lambda contents: contents[: len(contents) // 2],
        lambda contents: contents[:200] + bytes([contents[200] ^ 255]) + contents[201:],
    ],
    ids=["empty", "text", "less a byte", "half", "another byte"],
)
def test_a_file_that_is_not_whole_is_none(damage: Any) -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    photo = Computed("a\udcff.jpg", FileState(1, 2, 3, 2**63, 5), b"d" * 32, vectors=vectors)
    whole = shard_file.contents_of("terms", [photo] * 40)
    (found, *_) = shard_file.photos_in(whole, "terms", 3)
    assert found.vectors is not None
    assert found.vectors.tobytes() == vectors.tobytes()
    assert (found.path, found.state.kept) == (photo.path, photo.state.kept)
    assert found.state.taken_ns == photo.state.taken_ns
    with pytest.raises(DamagedShardError):
        shard_file.photos_in(whole, "other terms", 3)
    with pytest.raises(DamagedShardError):
        shard_file.photos_in(damage(whole), "terms", 3)


def test_a_module_file_is_the_module(backbone: Backbone, tmp_path: Path) -> None:
    name = module_file.put(str(tmp_path), backbone)
    written = (tmp_path / name).stat()
    found = module_file.get(str(tmp_path), name)
    assert (found.graph, found.fingerprint) == (backbone.graph, backbone.fingerprint)
    assert found.image_size == backbone.image_size == (8, 8)
    assert found.sample_vectors.tobytes() == backbone.sample_vectors.tobytes()
    assert module_file.put(str(tmp_path), found) == name
    assert (tmp_path / name).stat().st_mtime_ns == written.st_mtime_ns
    assert module_file.put(str(tmp_path), replace(backbone, output_name="other:0")) != name
