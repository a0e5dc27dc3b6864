import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import text_import
from conftest import COLOURS, as_nobody, colour_statistics, encoded, mode_of, save_module, solid
from import_bottlenecks import ImportConfig, run
from text_bottlenecks import TextBottlenecks, module_part, modules_named, read_text_bottlenecks
from text_import import ImportedError, import_bottlenecks

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice, choose_engine
from image_retraining.features.extraction import extract
from image_retraining.foundation.errors import (
    CacheError,
    DownloadError,
    EngineError,
    ModuleError,
    SettingError,
)
from image_retraining.foundation.records import Catalog, Extraction, Floats, ImageRecord, Split
from image_retraining.photos.folder import scan
from image_retraining.photos.pixels import pixels

ROOT = Path(__file__).resolve().parents[2]
HANDLE = "https://tfhub.dev/google/x/1"
PART = "https~tfhub.dev~google~x~1"
OLDER, NEWER = 1_000_000_000, 1_000_000_100


# The text files


@pytest.mark.parametrize(
    ("handle", "part"),
    [
        (HANDLE, PART),
        (
            "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5",
            "https~tfhub.dev~google~imagenet~mobilenet_v2_100_224~feature_vector~5",
        ),
        ("http://127.0.0.1:8080/m", "http~127.0.0.1~8080~m"),
        ("gs://bucket/module", "gs~bucket~module"),
        ("/home/me/modules/x", "~home~me~modules~x"),
        ("modules/x/", "modules~x~"),
        ("C:\\modules\\x", "C~~modules~x"),
        ("C:/modules/x", "C~~modules~x"),
        ("\\\\server\\share", "~~server~share"),
        ("a://b://c", "a~b~c"),
        ("a:///b", "a~~b"),
        ("x~1", "x~1"),
        ("模块/x", "模块~x"),
        ("builtin", "builtin"),
    ],
)
def test_a_module_is_named_in_files_as_the_example_named_it(handle: str, part: str) -> None:
    assert module_part(handle) == part


@pytest.fixture
def two_photos(tmp_path: Path) -> Catalog:
    """Two photos of an hour ago, in two classes."""
    records = []
    for label_id, label in enumerate(("daisy", "玫瑰")):
        path = tmp_path / "photos" / label / f"{label}_1.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"petals")
        os.utime(path, (OLDER, OLDER))
        records.append(ImageRecord(str(path), label_id, Split.TRAINING))
    return Catalog(("daisy", "玫瑰"), tuple(records), str(tmp_path / "photos"))


def text_path(folder: Path, photo: str, label: str, handle: str = HANDLE) -> Path:
    return folder / label / f"{os.path.basename(photo)}_{module_part(handle)}.txt"


def write_texts(
    folder: Path, catalog: Catalog, texts: Mapping[int, bytes], handle: str = HANDLE
) -> list[Path]:
    """Writes the text files of photos, by their positions; returns their paths."""
    paths = []
    for position, text in texts.items():
        record = catalog.records[position]
        path = text_path(folder, record.path, catalog.labels[record.label_id], handle)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        paths.append(path)
    return paths


def as_text(vector: Floats) -> bytes:
    """Returns the numbers as the example wrote them."""
    return ",".join(str(float(number)) for number in vector).encode()


def texts_of(folder: Path, catalog: Catalog) -> TextBottlenecks:
    return read_text_bottlenecks(str(folder), catalog, HANDLE, feature_size=3)


def test_a_file_is_found_where_the_example_wrote_it(two_photos: Catalog, tmp_path: Path) -> None:
    # Of get_bottleneck_path in TensorFlow Hub's examples/image_retraining/retrain.py.
    golden = tmp_path / "text" / "daisy" / "daisy_1.jpg_https~tfhub.dev~google~x~1.txt"
    golden.parent.mkdir(parents=True)
    golden.write_text("0.1,2.5e-05,30000000.0")
    found = texts_of(tmp_path / "text", two_photos)
    assert list(found.vectors) == [0]
    assert found.vectors[0].dtype == np.float32
    assert found.vectors[0].tolist() == np.array([0.1, 2.5e-05, 3e7], np.float32).tolist()
    assert (found.without, found.outdated, found.unusable) == (1, 0, {})


@pytest.mark.parametrize("spelling", ["{}/../photos", "{}/./", "{}//", "{}/daisy/.."])
def test_a_file_is_found_however_the_folder_of_photos_is_spelled(
    two_photos: Catalog, tmp_path: Path, spelling: str
) -> None:
    # Once: with `..` in it no file was found.
    write_texts(tmp_path / "text", two_photos, {0: b"1,2,3", 1: b"4,5,6"})
    image_dir = spelling.format(two_photos.image_dir)
    records = [
        replace(record, path=record.path.replace(two_photos.image_dir, image_dir))
        for record in two_photos.records
    ]
    found = texts_of(tmp_path / "text", replace(two_photos, records=tuple(records)))
    assert list(found.vectors) == [0, 1]


def test_numbers_come_out_as_they_were(two_photos: Catalog, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=[2, 3]).astype(np.float32)
    vectors[0] = np.array([0, -0.0, np.finfo(np.float32).smallest_subnormal], np.float32)
    write_texts(tmp_path, two_photos, dict(enumerate(map(as_text, vectors))))
    found = texts_of(tmp_path, two_photos)
    assert [found.vectors[place].tobytes() for place in (0, 1)] == [v.tobytes() for v in vectors]


UNUSABLE = {
    "too few": b"1,2",
    "too many": b"1,2,3,4",
    "empty": b"",
    "comma behind": b"1,2,3,",
    "gap": b"1,,3",
    "words": b"one,two,three",
    "page": b"<!DOCTYPE html>\n<title>404</title>,2,3",
    "other separator": b"1;2;3",
    "brackets": b"[1,2,3]",
    "not a number": b"1,nan,3",
    "infinite": b"1,2,-inf",
    "too large": b"1,2,1e39",
    "far too large": b"1,2,1e999",
    "not ASCII": "1,2,３".encode(),
    "not UTF-8": b"1,\xff,3",
    "bytes of floats": np.array([1, 2, 3], np.float32).tobytes(),
    "zeros": bytes(12),
    "long": b"x" * 100_000,
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_damaged_file_is_left_out_with_the_reason(
    two_photos: Catalog, tmp_path: Path, text: bytes
) -> None:
    damaged, _ = write_texts(tmp_path, two_photos, {0: text, 1: b"4,5,6"})
    found = texts_of(tmp_path, two_photos)
    assert {place: vector.tolist() for place, vector in found.vectors.items()} == {1: [4, 5, 6]}
    assert list(found.unusable) == [str(damaged)]
    (reason,) = found.unusable.values()
    assert 0 < len(reason) < 300
    assert len(reason.splitlines()) == 1
    assert (found.without, found.outdated) == (0, 0)


def test_the_numbers_of_another_module_are_counted(two_photos: Catalog, tmp_path: Path) -> None:
    write_texts(tmp_path, two_photos, {0: b"1,2"})
    (reason,) = texts_of(tmp_path, two_photos).unusable.values()
    assert reason == "it holds 2 numbers where the module gives 3"


def test_a_folder_in_place_of_a_file_is_left_out(two_photos: Catalog, tmp_path: Path) -> None:
    (path,) = write_texts(tmp_path, two_photos, {0: b""})
    path.unlink()
    path.mkdir()
    found = texts_of(tmp_path, two_photos)
    assert list(found.unusable) == [str(path)]
    assert found.vectors == {}


def test_a_file_in_place_of_a_class_folder_is_left_out(two_photos: Catalog, tmp_path: Path) -> None:
    (tmp_path / "daisy").write_text("no folder")
    found = texts_of(tmp_path, two_photos)
    assert found.vectors == {}
    assert found.without + len(found.unusable) == 2


@pytest.mark.parametrize(
    ("photo", "text", "is_outdated"),
    [(OLDER, NEWER, False), (OLDER, OLDER, False), (NEWER, OLDER, True)],
)
def test_a_photo_newer_than_its_file_is_left_out(
    two_photos: Catalog, tmp_path: Path, *, photo: int, text: int, is_outdated: bool
) -> None:
    (path,) = write_texts(tmp_path, two_photos, {0: b"1,2,3"})
    os.utime(path, (text, text))
    os.utime(two_photos.records[0].path, (photo, photo))
    found = texts_of(tmp_path, two_photos)
    assert found.outdated == is_outdated
    assert list(found.vectors) == ([] if is_outdated else [0])


def test_a_photo_in_a_folder_of_its_class_has_no_file(tmp_path: Path) -> None:
    """The example looked at the photos that lie in the class folder itself, and at no others.

    Once: one of the same name, deeper down, was given the vector of another photo.
    """
    deep = ("rose/a.jpg", "rose/2023/a.jpg", "rose/rose/a.jpg", "rose/2023/b.jpg", "tulip/a.jpg")
    for name in deep:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, (OLDER, OLDER))
    catalog = scan(str(tmp_path), validation_percentage=0, testing_percentage=0)
    texts = tmp_path / "text"
    for name in ("rose/a.jpg", "rose/b.jpg", "tulip/a.jpg"):
        path = text_path(texts, name, os.path.dirname(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1,2,3")
    found = texts_of(texts, catalog)
    names = [os.path.relpath(catalog.records[place].path, tmp_path) for place in found.vectors]
    assert names == ["rose/a.jpg", "tulip/a.jpg"]
    assert found.without == 3


def test_modules_are_counted_by_their_names(tmp_path: Path) -> None:
    names = {
        "daisy": [f"a.jpg_{PART}.txt", f"b_c.jpg_{PART}.txt", "a.jpg_https~x~1.txt", "notes.txt"],
        "rose": [f"a.jpg_{PART}.txt", "a.jpg_https~x~1.csv", "a.jpg_~home~me~x.txt", ".hidden"],
        "no class": [f"a.jpg_{PART}.txt"],
    }
    for label, files in names.items():
        (tmp_path / label).mkdir()
        for name in files:
            (tmp_path / label / name).touch()
    (tmp_path / "file").touch()
    labels = ("daisy", "rose", "file", "missing")
    assert modules_named(str(tmp_path), labels) == {PART: 3, "https~x~1": 1}


# Imports


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return replace(load_backbone(str(colour_module)), handle=HANDLE)


@pytest.fixture
def catalog(colour_photos: Path) -> Catalog:
    """90 photos, the texts of which are newer."""
    found = scan(str(colour_photos), validation_percentage=20, testing_percentage=20)
    for record in found.records:
        os.utime(record.path, (OLDER, OLDER))
    return found


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """Returns float32 [90, 6], those of the module, give or take what another decoder would."""
    contents = [
        encoded(solid(colour, noise=9, seed=number))
        for colour in COLOURS.values()
        for number in range(30)
    ]
    exact = colour_statistics(np.stack([pixels(data, (8, 8)) for data in contents])).numpy()
    noise = np.random.default_rng(1).uniform(-1e-3, 1e-3, exact.shape)
    noisy: Floats = (exact + noise * exact.max(axis=1, keepdims=True)).astype(np.float32)
    return noisy


def write_vectors(
    folder: Path, catalog: Catalog, vectors: Floats, positions: range = range(90)
) -> list[Path]:
    return write_texts(folder, catalog, {place: as_text(vectors[place]) for place in positions})


def imported(folder: Path, catalog: Catalog, backbone: Backbone, cache: BottleneckCache) -> None:
    import_bottlenecks(str(folder), catalog, backbone, cache, EngineChoice().make(backbone))


def extracted(
    catalog: Catalog,
    backbone: Backbone,
    cache: BottleneckCache,
    choice: EngineChoice | None = None,
) -> Extraction:
    engine = choice or EngineChoice()
    return extract(catalog, backbone, cache, engine=engine, fail_on_bad_image=False)


def by_path(extraction: Extraction) -> dict[str, Any]:
    return {
        path: vector
        for photos in extraction.sets.values()
        for path, vector in zip(photos.paths, photos.features, strict=True)
    }


def summary(logged: pytest.LogCaptureFixture) -> str:
    """Returns what the last extraction says it did, without the time it took."""
    line = [message for message in logged.messages if message.startswith("Bottlenecks of ")][-1]
    return line.rpartition(", in ")[0]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return tmp_path / "texts"


def test_imported_vectors_are_used_and_the_rest_computed(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    logged: pytest.LogCaptureFixture,
) -> None:
    write_vectors(texts, catalog, vectors, range(20, 70))
    with BottleneckCache(None) as cache:
        computed = by_path(extracted(catalog, backbone, cache))
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        found = by_path(extracted(catalog, backbone, cache))
        assert summary(logged) == (
            "Bottlenecks of 90 photos: 40 computed, 0 copies of others, 50 from the cache"
        )
        assert by_path(extracted(catalog, backbone, cache)).keys() == found.keys()
        assert "0 computed" in summary(logged)
    for place, record in enumerate(catalog.records):
        wanted = vectors[place] if 20 <= place < 70 else computed[record.path]
        np.testing.assert_array_equal(found[record.path], wanted)
        assert (found[record.path] != computed[record.path]).any() == (20 <= place < 70)


def test_any_number_of_photos_is_imported(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_import, "_STORED_AT_ONCE", 7)
    for count in (1, 7, 33):
        write_vectors(texts, catalog, vectors, range(count))
        with BottleneckCache(None) as cache:
            imported(texts, catalog, backbone, cache)
            found = by_path(extracted(catalog, backbone, cache))
        for record, vector in zip(catalog.records[:count], vectors, strict=False):
            np.testing.assert_array_equal(found[record.path], vector)


def test_imported_vectors_last(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    write_vectors(texts, catalog, vectors)
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        imported(texts, catalog, backbone, cache)
    shutil.rmtree(texts)
    # By their content, wherever the photos lie.
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")
    moved = scan(str(tmp_path / "elsewhere"), validation_percentage=0, testing_percentage=0)
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        found = extracted(moved, backbone, cache)
    assert "0 computed" in summary(logged)
    np.testing.assert_array_equal(found.sets[Split.TRAINING].features, vectors)


def test_a_photo_edited_after_the_import_is_computed(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    logged: pytest.LogCaptureFixture,
) -> None:
    write_vectors(texts, catalog, vectors)
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        Path(catalog.records[5].path).write_bytes(encoded(solid((1, 2, 3))))
        extracted(catalog, backbone, cache)
    assert "1 computed" in summary(logged)


def test_a_module_with_other_weights_gets_none_of_them(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    changed = save_module(tmp_path / "changed", lambda photos: 1.001 * colour_statistics(photos))
    other = replace(load_backbone(str(changed)), handle=HANDLE)
    write_vectors(texts, catalog, vectors)
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        extracted(catalog, other, cache)
    assert "90 computed" in summary(logged)


@pytest.mark.parametrize("name", ["tensorflow", "openvino"])
def test_only_float32_makes_do_with_imported_vectors(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    logged: pytest.LogCaptureFixture,
    name: str,
) -> None:
    write_vectors(texts, catalog, vectors)
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        extracted(catalog, backbone, cache, EngineChoice(name))
        assert "0 computed" in summary(logged)
        try:
            choice = choose_engine(name, "bfloat16")
        except EngineError:
            pytest.skip("the processor lacks bfloat16")
        extracted(catalog, backbone, cache, choice)
        assert "90 computed" in summary(logged)


def test_what_was_computed_goes_before_what_is_imported(
    texts: Path, catalog: Catalog, vectors: Floats, backbone: Backbone
) -> None:
    write_vectors(texts, catalog, vectors)
    with BottleneckCache(None) as cache:
        before = by_path(extracted(catalog, backbone, cache))
        imported(texts, catalog, backbone, cache)
        after = by_path(extracted(catalog, backbone, cache))
    for path, vector in before.items():
        np.testing.assert_array_equal(after[path], vector)


def test_the_summary_counts_what_became_of_all_photos(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    logged: pytest.LogCaptureFixture,
) -> None:
    paths = write_vectors(texts, catalog, vectors)
    for path in paths[:3]:
        path.unlink()
    for path in paths[10:15]:
        os.utime(path, (OLDER - 1, OLDER - 1))
    for path in paths[50:57]:
        path.write_text("no numbers")
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        (line,) = (message for message in logged.messages if "Imported" in message)
        assert line == (
            "Imported the bottlenecks of 75 photos; 3 photos have no text file, 5 have changed "
            "since, 7 text files are unusable."
        )
        warnings = [message for message in logged.messages if "is left out" in message]
        # Of many, a few are named.
        assert [warning.partition(" is left out: ")[0] for warning in warnings] == [
            f"WARNING: {path}" for path in paths[50:55]
        ]
        extracted(catalog, backbone, cache)
    assert "15 computed, 0 copies of others, 75 from the cache" in summary(logged)


# What is refused


def refused(
    folder: Path, catalog: Catalog, backbone: Backbone, cache: BottleneckCache | None = None
) -> str:
    with BottleneckCache(None) as new_cache, pytest.raises(ImportedError) as caught:
        imported(folder, catalog, backbone, cache or new_cache)
    assert len(str(caught.value).splitlines()) == 1
    assert "--text_dir" in str(caught.value)
    return str(caught.value)


def wrong_everywhere(vectors: Floats) -> Floats:
    return 1.05 * vectors


def wrong_in_one_number(vectors: Floats) -> Floats:
    wrong = vectors.copy()
    wrong[:, 3] += 0.02 * vectors.max()
    return wrong


def wrong_in_one_class(vectors: Floats) -> Floats:
    return np.concatenate([vectors[:60], vectors[:30]])


def one_behind(vectors: Floats) -> Floats:
    """Those of the photo of the same name in another class."""
    return np.roll(vectors, 30, axis=0)


def zeros(vectors: Floats) -> Floats:
    return np.zeros_like(vectors)


@pytest.mark.parametrize(
    "wrong", [wrong_everywhere, wrong_in_one_number, wrong_in_one_class, one_behind, zeros]
)
def test_vectors_that_are_not_the_modules_are_refused(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    logged: pytest.LogCaptureFixture,
    wrong: Callable[[Floats], Floats],
) -> None:
    write_vectors(texts, catalog, wrong(vectors))
    with BottleneckCache(None) as cache:
        message = refused(texts, catalog, backbone, cache)
        assert "must hold feature vectors of --tfhub_module" in message
        assert "nothing was imported" in message
        assert any(f"For {record.path} " in message for record in catalog.records)
        extracted(catalog, backbone, cache)
    assert "90 computed" in summary(logged)


def test_one_wrong_vector_of_a_few_is_refused(
    texts: Path, catalog: Catalog, vectors: Floats, backbone: Backbone
) -> None:
    for place in (0, 17, 31):
        wrong = vectors.copy()
        wrong[place, 0] += 0.02 * wrong.max()
        write_vectors(texts, catalog, wrong, range(32))
        assert f"For {catalog.records[place].path} " in refused(texts, catalog, backbone)


def test_files_of_other_modules_are_named(
    texts: Path, catalog: Catalog, vectors: Floats, backbone: Backbone
) -> None:
    some = {place: as_text(vectors[place]) for place in range(5)}
    write_texts(texts, catalog, some, "https://tfhub.dev/google/x/2")
    write_texts(texts, catalog, {40: b"1"}, "http://other:80/y")
    message = refused(texts, catalog, backbone)
    assert "5 of https~tfhub.dev~google~x~2; 1 of http~other~80~y" in message
    assert f"<module> being {PART} for this" in message
    assert f"Got {texts}, which has none that can be used" in message


def test_a_folder_without_texts_is_refused(
    texts: Path, catalog: Catalog, backbone: Backbone
) -> None:
    assert f"Got {texts}, which has none that can be used." in refused(texts, catalog, backbone)
    texts.mkdir()
    assert f"Got {texts}, which has none that can be used." in refused(texts, catalog, backbone)
    (texts / "red").mkdir()
    assert f"Got {texts}, which has none that can be used." in refused(texts, catalog, backbone)


def test_a_folder_of_old_and_damaged_texts_is_refused(
    texts: Path, catalog: Catalog, vectors: Floats, backbone: Backbone
) -> None:
    paths = write_vectors(texts, catalog, vectors, range(9))
    for path in paths[:5]:
        os.utime(path, (OLDER - 1, OLDER - 1))
    for path in paths[5:]:
        path.write_text("1,2")
    message = refused(texts, catalog, backbone)
    assert "5 are older than their photo" in message
    assert f"4 are unusable, such as {paths[5]}: it holds 2 numbers" in message
    assert f"9 of {PART}" in message


@pytest.mark.parametrize("locked", ["", "red"])
def test_a_folder_that_may_not_be_read_is_refused(
    tmp_path: Path, catalog: Catalog, vectors: Floats, backbone: Backbone, locked: str
) -> None:
    # Once: listing it for the message ended in a traceback.
    red = [place for place, r in enumerate(catalog.records) if catalog.labels[r.label_id] == "red"]
    texts = tmp_path / "texts"
    write_vectors(texts, catalog, vectors, range(red[0], red[-1] + 1))
    with mode_of(texts / locked, 0), as_nobody(tmp_path):
        message = refused(texts, catalog, backbone)
    assert "which has none that can be used" in message


# Photos that cannot be read


def vanish(path: Path) -> None:
    path.unlink()


def be_no_photo(path: Path) -> None:
    path.write_bytes(b"no photo")
    os.utime(path, (OLDER, OLDER))


def be_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    os.utime(path, (OLDER, OLDER))


@pytest.mark.parametrize("breakage", [vanish, be_no_photo, be_a_folder])
def test_a_photo_that_cannot_be_read_does_not_end_the_import(
    texts: Path,
    catalog: Catalog,
    vectors: Floats,
    backbone: Backbone,
    breakage: Callable[[Path], None],
) -> None:
    write_vectors(texts, catalog, vectors)
    broken = {catalog.records[place].path for place in (0, 1, 3, 45, 89)}
    for path in broken:
        breakage(Path(path))
    with BottleneckCache(None) as cache:
        imported(texts, catalog, backbone, cache)
        extraction = extracted(catalog, backbone, cache)
    found = by_path(extraction)
    unreadable = {photo.path for photo in extraction.unreadable}
    assert unreadable <= broken
    assert found.keys() | unreadable == {record.path for record in catalog.records}
    for record, vector in zip(catalog.records, vectors, strict=True):
        if record.path not in broken:
            np.testing.assert_array_equal(found[record.path], vector)


def test_what_could_not_be_tested_is_not_believed(
    texts: Path, catalog: Catalog, vectors: Floats, backbone: Backbone
) -> None:
    # Once: when none of the tested photos could be decoded, all vectors were taken in.
    write_vectors(texts, catalog, 2 * vectors)
    step = -(-len(catalog.records) // 32)
    for record in catalog.records[::step]:
        be_no_photo(Path(record.path))
    with BottleneckCache(None) as cache:
        refused(texts, catalog, backbone, cache)


# As a person does it


@pytest.fixture
def given(texts: Path, colour_photos: Path, colour_module: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "image_dir": str(colour_photos),
        "tfhub_module": str(colour_module),
        "text_dir": str(texts),
        "bottleneck_dir": str(tmp_path / "cache"),
    }


def write_all(given: dict[str, Any], catalog: Catalog, vectors: Floats) -> None:
    """Writes text files for as many photos as there are vectors, of the module that is given."""
    some = {place: as_text(vector) for place, vector in enumerate(vectors)}
    write_texts(Path(given["text_dir"]), catalog, some, given["tfhub_module"])


def tool(given: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    flags = [f"--{name}={value}" for name, value in given.items()]
    return subprocess.run(
        [sys.executable, "tools/import_bottlenecks.py", *flags],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_person_imports_and_the_next_run_computes_the_rest(
    given: dict[str, Any], catalog: Catalog, vectors: Floats, logged: pytest.LogCaptureFixture
) -> None:
    write_all(given, catalog, vectors[:80])
    done = tool(given)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "Imported the bottlenecks of 80 photos; 10 photos have no text file, 0 have changed since, "
        "0 text files are unusable."
    )
    with BottleneckCache(given["bottleneck_dir"]) as cache:
        found = by_path(extracted(catalog, load_backbone(given["tfhub_module"]), cache))
    assert "10 computed, 0 copies of others, 80 from the cache" in summary(logged)
    for record, vector in zip(catalog.records[:80], vectors, strict=False):
        np.testing.assert_array_equal(found[record.path], vector)


def test_a_person_is_told_what_is_wrong(given: dict[str, Any]) -> None:
    with pytest.raises(ImportedError) as raised:
        run(ImportConfig(**given))
    told = str(raised.value)
    assert told.startswith("--text_dir must be a folder of files <class>/<photo>_<module>")
    assert f"Got {given['text_dir']}, which has none that can be used." in told


@pytest.mark.parametrize("engine", ["auto", "tensorflow", "openvino"])
def test_any_engine_tests_the_vectors(
    given: dict[str, Any], catalog: Catalog, vectors: Floats, engine: str
) -> None:
    config = ImportConfig(**given, bottleneck_engine=engine)
    write_all(given, catalog, 2 * vectors)
    with pytest.raises(ImportedError, match="nothing was imported"):
        run(config)
    write_all(given, catalog, vectors)
    assert run(config) == 0


def test_a_module_that_leaves_the_size_open_is_given_one(
    given: dict[str, Any], catalog: Catalog, vectors: Floats, tmp_path: Path
) -> None:
    module = save_module(tmp_path / "open", colour_statistics, (None, None, None, 3))
    given["tfhub_module"] = str(module)
    write_all(given, catalog, vectors)
    with pytest.raises(ModuleError, match="--image_size=224"):
        run(ImportConfig(**given))
    assert run(ImportConfig(**given, image_size="8")) == 0


def test_no_module_stands_in_for_the_one_of_then(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the default one, as in retrain.py."""
    monkeypatch.setenv("no_proxy", "*")
    given["tfhub_module"] = "http://127.0.0.1:9/m"
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/m cannot be downloaded"):
        run(ImportConfig(**given))


def test_a_cache_that_cannot_be_written_to_is_refused(
    given: dict[str, Any], tmp_path: Path
) -> None:
    """Where retrain.py goes on with one in memory, which would be of no use here."""
    folder = tmp_path / "cache"
    folder.mkdir()
    with mode_of(folder, 0o555), as_nobody(tmp_path), pytest.raises(CacheError):
        run(ImportConfig(**given))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"text_dir": ""}, "--text_dir must name the folder"),
        ({"image_size": "224x"}, "--image_size must be pixels"),
        ({"bottleneck_dir": ""}, "--bottleneck_dir must name a folder"),
    ],
)
def test_broken_settings_are_refused(
    given: dict[str, Any], changes: dict[str, str], rule: str
) -> None:
    with pytest.raises(SettingError, match=rule):
        run(ImportConfig(**{**given, **changes}))
