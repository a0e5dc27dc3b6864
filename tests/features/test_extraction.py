import contextlib
import errno
import hashlib
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import colour_statistics, encoded, save_module, solid

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache import known_files
from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.cache.known_files import FileState, PhotoFile, PhotoFiles
from image_retraining.cache.lock import computing_alone
from image_retraining.cache.upkeep import care
from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE, Engine
from image_retraining.features.extraction import extract
from image_retraining.features.readable import of_readable
from image_retraining.features.trust import Trust
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, Extraction, ImageRecord, Split
from image_retraining.photos import pixels, reading
from image_retraining.photos.distortions import PLAIN, Distortion, Views
from image_retraining.photos.folder import scan

PHOTO_COUNT = 90


@dataclass(frozen=True)
class WatchedBackbone(Backbone):
    """Notes how many photos of each batch are no padding, and may break off at a batch."""

    batches: list[int] = field(default_factory=list)
    interrupted_at: int | None = None

    @property
    def computed(self) -> int:
        return sum(self.batches)


class WatchedEngine:
    def __init__(self, engine: Engine, watching: WatchedBackbone) -> None:
        self.engine = engine
        self.watching = watching
        self.image_size = engine.image_size
        self.feature_size = engine.feature_size
        self.streams = engine.streams

    def __call__(self, photos: Any) -> Any:
        if len(self.watching.batches) == self.watching.interrupted_at:
            raise KeyboardInterrupt
        self.watching.batches.append(int(np.count_nonzero(photos.any(axis=(1, 2, 3)))))
        return self.engine(photos)


@dataclass(frozen=True, slots=True)
class WatchedEngineChoice(EngineChoice):
    def make(self, frozen: FrozenModule) -> Engine:
        engine = EngineChoice.make(self, frozen)
        return WatchedEngine(engine, frozen) if isinstance(frozen, WatchedBackbone) else engine


def watched(backbone: Backbone, *, interrupted_at: int | None = None) -> WatchedBackbone:
    return WatchedBackbone(**vars(backbone), interrupted_at=interrupted_at)


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture(scope="module")
def mixing_backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A backbone with the ops whose rounding may depend on a photo's place in the batch."""
    random = np.random.default_rng(0)
    kernel = random.normal(size=[3, 3, 3, 40]).astype(np.float32)
    weights = random.normal(size=[8 * 8 * 40, 70]).astype(np.float32)

    def mix(photos: Any) -> Any:
        maps = tf.nn.relu(tf.nn.conv2d(photos, kernel, strides=1, padding="SAME"))
        return tf.matmul(tf.reshape(maps, [-1, len(weights)]), weights)

    return load_backbone(str(save_module(tmp_path_factory.mktemp("modules") / "mix", mix)))


@pytest.fixture
def cache_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the cache believe that files written just now were written an hour ago."""
    clocks = {**vars(time), "time_ns": lambda: time.time_ns() + 3600 * 10**9}
    monkeypatch.setattr(known_files, "time", SimpleNamespace(**clocks))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos read so far."""
    paths: list[str] = []
    read = reading.read

    def read_and_note(path: str) -> bytes:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(reading, "read", read_and_note)
    return paths


def cataloged(folder: Path, validation: int = 20, testing: int = 20) -> Catalog:
    return scan(str(folder), validation_percentage=validation, testing_percentage=testing)


def extracted(
    catalog: Catalog, backbone: Backbone, cache_folder: Path, *, fail_on_bad_image: bool = False
) -> Extraction:
    with BottleneckCache(str(cache_folder)) as cache:
        return extract(
            catalog,
            backbone,
            cache,
            engine=WatchedEngineChoice(),
            fail_on_bad_image=fail_on_bad_image,
        )


def by_path(extraction: Extraction) -> dict[str, bytes]:
    """Returns path → bits of the feature vector, over all splits."""
    return {
        path: vector.tobytes()
        for features in extraction.sets.values()
        for path, vector in zip(features.paths, features.features, strict=True)
    }


def by_content(extraction: Extraction) -> dict[bytes, bytes]:
    """Returns contents → bits of the feature vector, over all splits."""
    return {Path(path).read_bytes(): vector for path, vector in by_path(extraction).items()}


def one_at_a_time(module: Path, *paths: str, size: tuple[int, int] = (8, 8)) -> list[Any]:
    """Returns the vectors that the module, as it was saved, gives for each photo alone."""
    loaded = tf.saved_model.load(str(module))
    signature = loaded.signatures["serving_default"]
    vectors = []
    for path in paths:
        (answer,) = signature(pixels.pixels(Path(path).read_bytes(), size)[tf.newaxis]).values()
        vectors.append(answer[0].numpy())
    return vectors


# What comes out


def test_vectors_are_those_of_the_module(
    colour_photos: Path, colour_module: Path, backbone: Backbone, cache_folder: Path
) -> None:
    extraction = extracted(cataloged(colour_photos), backbone, cache_folder)
    vectors = by_path(extraction)
    assert len(vectors) == PHOTO_COUNT
    for vector, expected in zip(
        vectors.values(), one_at_a_time(colour_module, *vectors), strict=True
    ):
        found = np.frombuffer(vector, np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


ALL = Distortion(flip_left_right=True, random_crop=30, random_scale=20, random_brightness=40)
VIEWS = Views(ALL, 3, 5)


def with_views(
    catalog: Catalog, backbone: Backbone, cache_folder: Path, views: Views = VIEWS
) -> Extraction:
    with BottleneckCache(str(cache_folder)) as cache:
        return extract(
            catalog,
            backbone,
            cache,
            engine=WatchedEngineChoice(),
            views=views,
            fail_on_bad_image=False,
        )


def test_views_are_what_the_module_gives_for_distorted_photos(
    colour_photos: Path, colour_module: Path, backbone: Backbone, cache_folder: Path
) -> None:
    (colour_photos / "red" / "bad_training_3.png").write_bytes(b"no photo")
    catalog = cataloged(colour_photos)
    copy = Path(catalog.records[0].path)
    copy.with_name("copy_1.png").write_bytes(copy.read_bytes())
    extraction = with_views(cataloged(colour_photos), backbone, cache_folder)
    plain = extracted(cataloged(colour_photos), backbone, cache_folder.with_name("plain"))
    module = tf.saved_model.load(str(colour_module))
    for split, photos in extraction.sets.items():
        assert photos.features.tobytes() == plain.sets[split].features.tobytes()
        contents = [Path(path).read_bytes() for path in photos.paths]
        assert list(photos.digests) == [hashlib.sha256(data).digest() for data in contents]
        if split is not Split.TRAINING:
            assert photos.views is None
            continue
        assert photos.views is not None
        assert photos.views.shape == (len(photos), 3, 6)
        for place in range(0, len(photos), 7):
            rows = [VIEWS.variation(number, photos.digests[place]) for number in (1, 2, 3)]
            varied = pixels.variations(contents[place], (8, 8), np.array(rows, np.float32))
            (expected,) = module.signatures["serving_default"](photos=varied).values()
            np.testing.assert_allclose(photos.views[place], expected, rtol=1e-5, atol=1e-5)
            assert len({row.tobytes() for row in photos.views[place]}) == 3


def test_views_that_look_alike_are_computed_once(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    views = Views(Distortion(flip_left_right=True), 8, 0)
    catalog, first = cataloged(colour_photos), watched(backbone)
    extraction = with_views(catalog, first, cache_folder, views)
    training = extraction.sets[Split.TRAINING]
    # Each photo, and the mirror image of nearly all that are learnt from.
    assert PHOTO_COUNT < first.computed <= PHOTO_COUNT + len(training)
    again = watched(backbone)
    same = with_views(catalog, again, cache_folder, views).sets[Split.TRAINING]
    assert again.computed == 0
    assert training.views is not None
    assert same.views is not None
    assert same.views.tobytes() == training.views.tobytes()
    for place, digest in enumerate(training.digests):
        for number in range(1, 9):
            if views.variation(number, digest) == PLAIN:
                assert (training.views[place, number - 1] == training.features[place]).all()
    # Another run with views of the same kind finds what it needs.
    other = watched(backbone)
    with_views(catalog, other, cache_folder, replace(views, seed=1))
    assert other.computed <= PHOTO_COUNT + len(training) - first.computed


def test_an_interrupted_run_keeps_its_views(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    catalog = cataloged(colour_photos)
    whole = with_views(catalog, backbone, cache_folder.with_name("whole"))
    interrupted = watched(backbone, interrupted_at=3)
    with pytest.raises(KeyboardInterrupt):
        with_views(catalog, interrupted, cache_folder)
    resumed = watched(backbone)
    again = with_views(catalog, resumed, cache_folder)
    training = again.sets[Split.TRAINING]
    assert training.views is not None
    assert (
        training.views.tobytes() == np.ascontiguousarray(whole.sets[Split.TRAINING].views).tobytes()
    )
    total = PHOTO_COUNT + 3 * len(training)
    # Of the batches before, all are kept but at most those on their way.
    assert total - interrupted.computed <= resumed.computed <= total - interrupted.computed + 96


@pytest.mark.parametrize(("validation", "testing"), [(20, 20), (0, 30), (50, 50)])
def test_the_sets_are_the_catalog_by_split(
    colour_photos: Path, backbone: Backbone, cache_folder: Path, validation: int, testing: int
) -> None:
    catalog = cataloged(colour_photos, validation, testing)
    extraction = extracted(catalog, backbone, cache_folder)
    assert set(extraction.sets) == set(Split)
    for split, features in extraction.sets.items():
        records = [record for record in catalog.records if record.split is split]
        assert features.paths == tuple(record.path for record in records)
        assert features.label_ids.dtype == np.int32
        assert features.label_ids.tolist() == [record.label_id for record in records]
        assert features.label_ids.tolist() == sorted(features.label_ids.tolist())
        assert features.features.dtype == np.float32
        assert features.features.shape == (len(records), backbone.feature_size)
    assert sum(map(len, extraction.sets.values())) == PHOTO_COUNT
    assert extraction.unreadable == ()


def test_a_vector_does_not_depend_on_its_neighbours(
    colour_photos: Path, mixing_backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(colour_photos)
    together = by_path(extracted(catalog, mixing_backbone, tmp_path / "all"))
    parts = [catalog.records[:1], catalog.records[1::2], catalog.records[:40], catalog.records[57:]]
    for number, records in enumerate(parts):
        part = extracted(replace(catalog, records=records), mixing_backbone, tmp_path / str(number))
        assert by_path(part) == {record.path: together[record.path] for record in records}


# What is computed again


def test_the_second_run_computes_nothing(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    catalog = cataloged(colour_photos)
    first, second = watched(backbone), watched(backbone, interrupted_at=0)
    before = extracted(catalog, first, cache_folder)
    after = extracted(catalog, second, cache_folder)
    assert first.computed == PHOTO_COUNT
    assert second.computed == 0
    assert by_path(after) == by_path(before)
    for split, features in before.sets.items():
        assert after.sets[split].paths == features.paths
        assert after.sets[split].label_ids.tolist() == features.label_ids.tolist()


@pytest.mark.usefixtures("settled")
def test_the_second_run_reads_no_photo(
    colour_photos: Path, backbone: Backbone, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = cataloged(colour_photos)
    before = extracted(catalog, backbone, cache_folder)

    def fail(path: str) -> bytes:
        raise AssertionError(path)

    monkeypatch.setattr(reading, "read", fail)
    assert by_path(extracted(catalog, backbone, cache_folder)) == by_path(before)


def move(photos: Path) -> Catalog:
    return cataloged(photos.rename(photos.with_name("elsewhere")))


def copy(photos: Path) -> Catalog:
    return cataloged(Path(shutil.copytree(photos, photos.with_name("copies"))))


def rename_photo(photos: Path) -> Catalog:
    (photos / "red" / "red_00.png").rename(photos / "red" / "zz.jpg")
    return cataloged(photos)


def rename_label(photos: Path) -> Catalog:
    (photos / "blue").rename(photos / "violet")
    return cataloged(photos)


def split_anew(photos: Path) -> Catalog:
    return cataloged(photos, validation=45, testing=5)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [move, copy, rename_photo, rename_label, split_anew])
def test_names_and_places_decide_nothing(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    change: Callable[[Path], Catalog],
) -> None:
    before = by_content(extracted(cataloged(colour_photos), backbone, cache_folder))
    catalog = change(colour_photos)
    again = watched(backbone)
    after = extracted(catalog, again, cache_folder)
    assert again.batches == []
    assert len(by_path(after)) == PHOTO_COUNT
    assert by_content(after) == before


def replace_contents(path: Path, contents: bytes) -> None:
    """Overwrites a file, until the kernel's clock, which ticks every few ms, shows it."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.write_bytes(contents)


@pytest.mark.usefixtures("settled")
def test_only_an_edited_photo_is_computed_again(
    colour_photos: Path, colour_module: Path, backbone: Backbone, cache_folder: Path
) -> None:
    edited = colour_photos / "green" / "green_07.png"
    edited.write_bytes(encoded(solid((30, 200, 40)), "BMP"))
    catalog = cataloged(colour_photos)
    before = by_path(extracted(catalog, backbone, cache_folder))

    contents = encoded(solid((90, 180, 10)), "BMP")
    assert len(contents) == edited.stat().st_size
    replace_contents(edited, contents)
    again = watched(backbone)
    after = by_path(extracted(catalog, again, cache_folder))

    assert again.batches == [1]
    assert {path for path in before if after[path] != before[path]} == {str(edited)}
    np.testing.assert_allclose(
        np.frombuffer(after[str(edited)], np.float32),
        one_at_a_time(colour_module, str(edited))[0],
        rtol=1e-6,
    )


@pytest.mark.usefixtures("settled")
def test_a_photo_edited_while_it_is_read_gets_the_vectors_of_what_was_read(
    colour_photos: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = str(colour_photos / "green" / "green_07.png")
    catalog = cataloged(colour_photos)
    undisturbed = by_path(extracted(catalog, backbone, tmp_path / "other"))
    new_contents = encoded(solid((90, 180, 10)))
    read = reading.read

    def read_and_edit(path: str) -> bytes:
        contents = read(path)
        if path == edited and contents != new_contents:
            replace_contents(Path(path), new_contents)
        return contents

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read", read_and_edit)
        assert by_path(extracted(catalog, backbone, tmp_path / "cache")) == undisturbed
    again = watched(backbone)
    assert by_path(extracted(catalog, again, tmp_path / "cache"))[edited] != undisturbed[edited]
    assert again.batches == [1]


def test_each_photo_is_read_once(
    colour_photos: Path, backbone: Backbone, cache_folder: Path, reads: list[str]
) -> None:
    catalog = cataloged(colour_photos)
    with_views(catalog, backbone, cache_folder)
    assert sorted(reads) == sorted(record.path for record in catalog.records)


class Elsewhere:
    """An extraction in another thread, as if it were another run."""

    def __init__(self, *what: Any) -> None:
        self.extraction: Extraction | None = None
        self._thread = threading.Thread(target=self._work, args=what, daemon=True)
        self._thread.start()

    def _work(self, *what: Any) -> None:
        self.extraction = extracted(*what)

    def outcome(self) -> Extraction:
        """Waits for its end, for a while."""
        self._thread.join(60)
        assert self.extraction is not None
        return self.extraction


def recipe_of(backbone: Backbone) -> Recipe:
    return Recipe(backbone.fingerprint, *backbone.image_size, pixels=pixels.PIPELINE_VERSION)


@pytest.mark.usefixtures("settled")
def test_what_another_run_has_computed_meanwhile_is_neither_computed_nor_read(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    logged: pytest.LogCaptureFixture,
    reads: list[str],
) -> None:
    catalog = cataloged(colour_photos)
    expected = extracted(catalog, backbone, cache_folder.with_name("other"))
    reads.clear()
    run = watched(backbone)
    with (
        BottleneckCache(str(cache_folder)) as cache,
        computing_alone(cache_folder, str(colour_photos), recipe_of(backbone)),
    ):
        elsewhere = Elsewhere(catalog, run, cache_folder)
        wait_until(lambda: any("Waiting for another run" in line for line in logged.messages))
        assert len(reads) == BATCH_SIZE
        by = f"TensorFlow {tf.__version__}"
        trust = Trust(cache, recipe_of(backbone), computed_by=by, anew=lambda _: {})
        trust.before_storing()
        for part in expected.sets.values():
            cache.store(recipe_of(backbone), dict(zip(part.digests, part.features, strict=True)))
            PhotoFiles(cache.file).remember(
                PhotoFile(path, FileState.of(path), b"", digest, "")
                for path, digest in zip(part.paths, part.digests, strict=True)
            )
        trust.after_storing()
    assert by_path(elsewhere.outcome()) == by_path(expected)
    assert run.batches == []
    assert len(reads) == BATCH_SIZE


@pytest.mark.parametrize("breakage", ["truncated", "none"])
def test_a_run_that_has_nothing_to_compute_waits_for_nobody(
    colour_photos: Path, backbone: Backbone, cache_folder: Path, breakage: str
) -> None:
    """Even where a photo has no vector, for it is none."""
    catalog = cataloged(colour_photos)
    if breakage == "truncated":
        for number in (0, 40, 89):
            be_truncated_png(Path(catalog.records[number].path))
    before = extracted(catalog, backbone, cache_folder)
    run = watched(backbone)
    with computing_alone(cache_folder, str(colour_photos), recipe_of(backbone)):
        after = Elsewhere(catalog, run, cache_folder).outcome()
    assert by_path(after) == by_path(before)
    assert after.unreadable == before.unreadable
    assert len(after.unreadable) == 3 * (breakage == "truncated")
    assert run.batches == []


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("waited in vain")


def test_copies_are_computed_once(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    original = colour_photos / "blue" / "blue_03.png"
    copies = [
        colour_photos / "blue" / "aaa.png",
        colour_photos / "green" / "mmm.png",
        colour_photos / "red" / "zzz.png",
    ]
    for path in copies:
        shutil.copyfile(original, path)
    first = watched(backbone)
    vectors = by_path(extracted(cataloged(colour_photos), first, cache_folder))
    assert first.computed == PHOTO_COUNT
    assert len(vectors) == PHOTO_COUNT + len(copies)
    assert {vectors[str(path)] for path in copies} == {vectors[str(original)]}


def test_another_module_has_its_own_vectors(
    colour_photos: Path, backbone: Backbone, cache_folder: Path, tmp_path: Path
) -> None:
    def negative(photos: Any) -> Any:
        return -colour_statistics(photos)

    catalog = cataloged(colour_photos)
    before = extracted(catalog, backbone, cache_folder)
    other = watched(load_backbone(str(save_module(tmp_path / "negative", negative))))
    after = extracted(catalog, other, cache_folder)
    assert other.computed == PHOTO_COUNT
    for split, features in after.sets.items():
        np.testing.assert_allclose(features.features, -before.sets[split].features, rtol=1e-6)


def test_another_image_size_has_its_own_vectors(
    colour_photos: Path, cache_folder: Path, tmp_path: Path
) -> None:
    module = save_module(tmp_path / "open", colour_statistics, (None, None, None, 3))
    catalog = cataloged(colour_photos)
    for size in ((8, 8), (8, 6), (6, 8)):
        backbone = watched(load_backbone(str(module), image_size=size))
        vectors = by_path(extracted(catalog, backbone, cache_folder))
        assert backbone.computed == PHOTO_COUNT
        path = catalog.records[-1].path
        np.testing.assert_allclose(
            np.frombuffer(vectors[path], np.float32),
            one_at_a_time(module, path, size=size)[0],
            rtol=1e-6,
        )


def test_an_interrupted_run_goes_on_where_it_was(
    colour_photos: Path, mixing_backbone: Backbone, tmp_path: Path
) -> None:
    catalog = cataloged(colour_photos)
    undisturbed = by_path(extracted(catalog, mixing_backbone, tmp_path / "other"))
    broken_off = watched(mixing_backbone, interrupted_at=2)
    with pytest.raises(KeyboardInterrupt):
        extracted(catalog, broken_off, tmp_path / "cache")
    assert broken_off.batches == [BATCH_SIZE, BATCH_SIZE]

    rest = watched(mixing_backbone)
    assert by_path(extracted(catalog, rest, tmp_path / "cache")) == undisturbed
    assert rest.batches == [PHOTO_COUNT - 2 * BATCH_SIZE]


# Photos that cannot be read


def be_empty(path: Path) -> None:
    path.write_bytes(b"")


def be_truncated_png(path: Path) -> None:
    contents = encoded(solid((1, 200, 3), noise=90, size=40))
    path.write_bytes(contents[: len(contents) // 2])


def be_truncated_jpeg(path: Path) -> None:
    contents = encoded(solid((1, 200, 3), noise=90, size=64), "JPEG")
    path.write_bytes(contents[: len(contents) // 2])


def be_html(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html>\n<html>\n<title>404 Not Found</title>\n</html>\n")


def vanish(path: Path) -> None:
    path.unlink()


def be_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What becomes of a photo after the folder was scanned, and what the reason says.
BREAKAGES: list[tuple[Callable[[Path], None], str]] = [
    (be_empty, "empty"),
    (be_truncated_png, "PNG"),
    (be_truncated_jpeg, "JPEG"),
    (be_html, "image"),
    (vanish, os.strerror(errno.ENOENT)),
    (be_a_folder, os.strerror(errno.EISDIR)),
]


@pytest.mark.parametrize(("breakage", "reason"), BREAKAGES)
def test_a_photo_that_cannot_be_read_is_left_out(
    colour_photos: Path,
    backbone: Backbone,
    tmp_path: Path,
    breakage: Callable[[Path], None],
    reason: str,
) -> None:
    catalog = cataloged(colour_photos)
    sound = by_path(extracted(catalog, backbone, tmp_path / "other"))
    # The first of all, two in a row, the last of a batch, the first of the next, the last of all.
    broken = [catalog.records[number].path for number in (0, 10, 11, 31, 32, 89)]
    for path in broken:
        breakage(Path(path))
        del sound[path]
    for _ in range(2):
        extraction = extracted(catalog, backbone, tmp_path / "cache")
        assert by_path(extraction) == sound
        assert [photo.path for photo in extraction.unreadable] == broken
        for photo in extraction.unreadable:
            assert reason in photo.reason
            assert "\n" not in photo.reason
            assert photo.path not in photo.reason


def test_photos_broken_in_all_ways_are_listed_in_the_order_of_the_catalog(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    catalog = cataloged(colour_photos)
    # Those that cannot be decoded are noted later than those that cannot be opened.
    broken = [catalog.records[number].path for number in range(3, 3 + 4 * 5, 4)]
    for path, breakage in zip(
        broken, (be_html, vanish, be_empty, be_a_folder, be_truncated_png), strict=True
    ):
        breakage(Path(path))
    extraction = extracted(catalog, backbone, cache_folder)
    assert [photo.path for photo in extraction.unreadable] == broken
    assert len(by_path(extraction)) == PHOTO_COUNT - len(broken)


def test_copies_of_a_broken_photo_are_all_listed(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    catalog = cataloged(colour_photos)
    broken = [catalog.records[number].path for number in (5, 6, 70)]
    for path in broken:
        be_html(Path(path))
    extraction = extracted(catalog, backbone, cache_folder)
    assert [photo.path for photo in extraction.unreadable] == broken
    assert len({photo.reason for photo in extraction.unreadable}) == 1


def cut_jpeg(level: int, share: float) -> bytes:
    """Returns a JPEG of noise of whose data only the first share is left, with the end mark."""
    noise = np.random.default_rng(level).integers(0, 256, [160, 80, 3])
    contents = encoded(noise, "JPEG")
    start = contents.index(b"\xff\xda") + 14
    return contents[: start + int((len(contents) - start) * share)].rstrip(b"\xff") + b"\xff\xd9"


@pytest.mark.parametrize("run", ["the first", "from the cache", "renamed", "with views"])
def test_damaged_photos_are_named_and_left_out_where_most_is_missing(
    colour_photos: Path, cache_folder: Path, backbone: Backbone, run: str
) -> None:
    damaged = {"blue/cut.jpg": 0.7, "green/cut.jpg": 0.3, "red/cut.jpg": 0.8}
    for number, (name, share) in enumerate(damaged.items()):
        (colour_photos / name).write_bytes(cut_jpeg(number, share))
    for copy, original in {"a.jpg": "blue/cut.jpg", "b.jpg": "green/cut.jpg"}.items():
        shutil.copy(colour_photos / original, colour_photos / "red" / copy)
    extract_with = with_views if run == "with views" else extracted
    extraction = extract_with(cataloged(colour_photos), backbone, cache_folder)
    if run == "renamed":
        (colour_photos / "red").rename(colour_photos / "rot")
    if run in ("from the cache", "renamed"):
        again = watched(backbone)
        extraction = extracted(cataloged(colour_photos), again, cache_folder)
        assert again.computed == 0
    red = "rot" if run == "renamed" else "red"

    def named(photos: Any) -> list[str]:
        return [os.path.relpath(photo.path, colour_photos) for photo in photos]

    assert named(extraction.unreadable) == ["green/cut.jpg", f"{red}/b.jpg"]
    assert named(extraction.doubtful) == ["blue/cut.jpg", f"{red}/a.jpg", f"{red}/cut.jpg"]
    assert all(photo.reason.startswith("about 60%") for photo in extraction.unreadable)
    missing = [photo.damage[:7] for photo in extraction.doubtful]
    assert missing[0] == missing[1] != missing[2]
    learnt = {path for photos in extraction.sets.values() for path in photos.paths}
    assert not learnt & {photo.path for photo in extraction.unreadable}
    assert learnt >= {photo.path for photo in extraction.doubtful}


def test_a_photo_of_which_most_is_missing_stops_the_run_when_it_is_to(
    colour_photos: Path, cache_folder: Path, backbone: Backbone
) -> None:
    (colour_photos / "red/cut.jpg").write_bytes(cut_jpeg(0, 0.3))
    for _ in range(2):
        with pytest.raises(PhotoError, match=r"cut.jpg: about 60% of it is missing"):
            extracted(cataloged(colour_photos), backbone, cache_folder, fail_on_bad_image=True)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Takes root's right to read everything away, should the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's are for their owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_photo_that_may_not_be_read_is_left_out(
    open_folder: Path,
    backbone: Backbone,
    cache_folder: Path,
    request: pytest.FixtureRequest,
) -> None:
    records = []
    for number, mode in enumerate((0o644, 0o000, 0o644)):
        path = open_folder / f"{number}.png"
        path.write_bytes(encoded(solid((9, 9, 90 + number))))
        path.chmod(mode)
        records.append(ImageRecord(str(path), number, Split.TRAINING))
    catalog = Catalog(("a", "b", "c"), tuple(records), "photos")
    with BottleneckCache(str(cache_folder)) as cache:
        request.getfixturevalue("nobody")
        extraction = extract(
            catalog, backbone, cache, engine=EngineChoice(), fail_on_bad_image=False
        )
    (photo,) = extraction.unreadable
    assert photo.path == records[1].path
    assert photo.reason == os.strerror(errno.EACCES)
    assert extraction.sets[Split.TRAINING].label_ids.tolist() == [0, 2]


@pytest.mark.parametrize(("breakage", "reason"), BREAKAGES)
def test_a_broken_photo_stops_the_run_when_it_is_to(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    breakage: Callable[[Path], None],
    reason: str,
) -> None:
    catalog = cataloged(colour_photos)
    broken = catalog.records[40].path
    breakage(Path(broken))
    with pytest.raises(PhotoError, match="--on_bad_image=fail") as raised:
        extracted(catalog, backbone, cache_folder, fail_on_bad_image=True)
    assert f"Got {broken}: " in str(raised.value)
    assert reason in str(raised.value)


def test_sound_photos_do_not_stop_the_run(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> None:
    catalog = cataloged(colour_photos)
    extraction = extracted(catalog, backbone, cache_folder, fail_on_bad_image=True)
    assert len(by_path(extraction)) == PHOTO_COUNT


@pytest.mark.parametrize(("breakage", "reason"), BREAKAGES)
def test_a_catalog_of_broken_photos_only_is_refused(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    breakage: Callable[[Path], None],
    reason: str,
) -> None:
    catalog = cataloged(colour_photos)
    for record in catalog.records:
        breakage(Path(record.path))
    with pytest.raises(
        PhotoError, match=f"Of {PHOTO_COUNT} photos in . classes none can"
    ) as raised:
        of_readable(catalog, extracted(catalog, backbone, cache_folder))
    assert f"the first that cannot is {catalog.records[0].path}: " in str(raised.value)
    assert reason in str(raised.value)


# Vectors of another day


@pytest.mark.usefixtures("settled")
def test_another_tensorflow_looks_at_a_handful(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = cataloged(colour_photos)
    before = extracted(catalog, backbone, cache_folder)
    for computed in (8, 0):
        reads.clear()
        monkeypatch.setattr(tf, "__version__", "99.1")
        run = watched(backbone)
        assert by_path(extracted(catalog, run, cache_folder)) == by_path(before)
        assert run.computed == len(reads) == computed


def off_by_one_in_a_hundred(cache_folder: Path, backbone: Backbone, found: Extraction) -> None:
    """Changes all vectors, as another decoder would."""
    with BottleneckCache(str(cache_folder)) as cache:
        for part in found.sets.values():
            vectors = dict(zip(part.digests, part.features * np.float32(1.01), strict=True))
            cache.store(recipe_of(backbone), vectors)


@pytest.fixture
def changed(
    colour_photos: Path, backbone: Backbone, cache_folder: Path
) -> tuple[Catalog, Extraction]:
    """Photos and their true vectors; the cache has those of another decoder."""
    catalog = cataloged(colour_photos)
    true = extracted(catalog, backbone, cache_folder)
    off_by_one_in_a_hundred(cache_folder, backbone, true)
    return catalog, true


@pytest.mark.parametrize("places", ["the same", "others", "some others, some new"])
def test_what_another_tensorflow_computes_otherwise_is_set_aside(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    places: str,
) -> None:
    before = with_views(cataloged(colour_photos), backbone, cache_folder)
    off_by_one_in_a_hundred(cache_folder, backbone, before)
    if places != "the same":
        # Whoever reads them finds their vectors, and that may be a thread that feeds TensorFlow.
        colour_photos = colour_photos.rename(colour_photos.with_name("moved"))
    if places == "some others, some new":
        for number in range(40):
            photo = colour_photos / "blue" / f"a_new_{number}.png"
            photo.write_bytes(encoded(solid((9, 9, 200 - number))))
    catalog = cataloged(colour_photos)
    expected = with_views(catalog, backbone, cache_folder.with_name("fresh"))
    monkeypatch.setattr(tf, "__version__", "99.1")
    found = with_views(catalog, backbone, cache_folder)
    assert by_path(found) == by_path(expected)
    (line,) = (line for line in logged.messages if "set aside" in line)
    assert line.startswith("WARNING: TensorFlow 99.1 computes other vectors than those in ")
    assert " is off by 0.0099 of its length." in line or " is off by 0.01 of its length." in line
    again = watched(backbone)
    assert by_path(with_views(catalog, again, cache_folder)) == by_path(expected)
    assert again.computed == 0
    assert cache_info(cache_folder).count("float32, set aside ") == 2


def cache_info(folder: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        care(str(folder), prune_days=0)
    return said.getvalue()


@pytest.mark.usefixtures("settled")
def test_vectors_of_another_folder_are_looked_at_before_more_come_to_them(
    changed: tuple[Catalog, Extraction],
    backbone: Backbone,
    cache_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Once: what the new version stored itself was all that was looked at.
    catalog, expected = changed
    for number in range(PHOTO_COUNT):
        (tmp_path / "other" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        photo = tmp_path / "other" / f"{number % 2}" / f"{number}.png"
        photo.write_bytes(encoded(solid((number, 200, 7))))
    other = cataloged(tmp_path / "other")
    monkeypatch.setattr(tf, "__version__", "99.1")
    for number in range(2):
        run = watched(backbone)
        extracted(other, run, cache_folder)
        assert run.computed == (0 if number else 8 + PHOTO_COUNT)
    assert by_path(extracted(catalog, backbone, cache_folder)) == by_path(expected)


@pytest.mark.usefixtures("settled")
def test_what_was_begun_anew_is_looked_at_anew(
    changed: tuple[Catalog, Extraction],
    backbone: Backbone,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Once: back at the version before, what the later one had stored was used without a look.
    catalog, expected = changed
    here = tf.__version__
    monkeypatch.setattr(tf, "__version__", "99.1")
    extracted(catalog, backbone, cache_folder)
    off_by_one_in_a_hundred(cache_folder, backbone, expected)
    monkeypatch.setattr(tf, "__version__", here)
    assert by_path(extracted(catalog, backbone, cache_folder)) == by_path(expected)


def test_what_is_computed_today_needs_no_look(
    changed: tuple[Catalog, Extraction], backbone: Backbone, cache_folder: Path
) -> None:
    # Whatever it is: else a second run would read photos.
    catalog, _ = changed
    again = watched(backbone)
    extracted(catalog, again, cache_folder)
    assert again.computed == 0


@pytest.mark.usefixtures("settled")
def test_where_no_photo_can_be_read_any_more_nothing_is_known(
    colour_photos: Path,
    backbone: Backbone,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = cataloged(colour_photos)
    before = extracted(catalog, backbone, cache_folder)
    monkeypatch.setattr(tf, "__version__", "99.1")
    read, run = reading.read, watched(backbone)

    def refuse(path: str) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(reading, "read", refuse)
    assert by_path(extracted(catalog, run, cache_folder)) == by_path(before)
    monkeypatch.setattr(reading, "read", read)
    assert by_path(extracted(catalog, run, cache_folder)) == by_path(before)
    assert run.computed == 8
