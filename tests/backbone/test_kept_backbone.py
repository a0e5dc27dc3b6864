"""Modules that were loaded and frozen once, and are read back."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import colour_statistics, save_module
from modules_made_here import (
    WEIGHTS,
    features,
    packed,
    photos_spec,
    random_photos,
    save_callable,
    save_signature,
    save_tf1_hub,
    served,
)

from image_retraining.backbone import loading
from image_retraining.backbone.freezing import FREEZING_VERSION
from image_retraining.backbone.graphs import graph_bytes
from image_retraining.backbone.handles import OFFLINE_MODULE
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.backbone.sources import library
from image_retraining.cache.frozen_modules import FrozenModules
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.settings import part_of
from image_retraining.retraining import extracting
from image_retraining.retraining.config import RetrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]
OPEN = photos_spec(None, None, None, 3)


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where downloads go to and archives are unpacked; a proxy would spoil 127.0.0.1."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    monkeypatch.delenv("TFHUB_MODEL_LOAD_FORMAT", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[FrozenModules]:
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        yield FrozenModules(cache.file)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the folder of each module that is loaded."""
    folders: list[str] = []
    load = library.load

    def note(folder: str) -> Any:
        folders.append(folder)
        return load(folder)

    monkeypatch.setattr(library, "load", note)
    return folders


def check_same(found: Backbone, wanted: Backbone) -> None:
    """Compares all that there is but the handles, to the bit."""
    assert graph_bytes(found.graph_def) == graph_bytes(wanted.graph_def)
    assert found.sample_vectors.dtype == np.float32
    assert found.sample_vectors.shape == wanted.sample_vectors.shape
    assert found.sample_vectors.tobytes() == wanted.sample_vectors.tobytes()
    for name in ("fingerprint", "input_name", "output_name", "image_size", "feature_size"):
        assert getattr(found, name) == getattr(wanted, name)
    photos = random_photos(BATCH_SIZE, *wanted.image_size)
    # Apart from them, because TensorFlow writes defaults into a graph that it is given.
    apart = (copy.deepcopy(backbone) for backbone in (found, wanted))
    got, expected = (EngineChoice().make(backbone)(photos) for backbone in apart)
    assert got.tobytes() == expected.tobytes()


def with_loop(weights: Any, photos: Any) -> Any:
    """Gives features that take a loop and a branch to compute."""
    vectors = features(weights, photos)
    _, vectors = tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, 1.5 * x), [0, vectors])
    return tf.cond(tf.shape(photos)[0] > 0, lambda: vectors, lambda: -vectors)


def with_names(weights: Any, photos: Any) -> Any:
    return {"feature_vector": features(weights, photos), "logits": photos[:, 0, 0]}


def called(self: Any, photos: Any) -> Any:
    return features(self.weights, photos)


KINDS: list[tuple[Callable[[Path], Path], tuple[int, int] | None]] = [
    (save_signature, None),
    (save_signature, (8, 8)),
    (lambda folder: save_signature(folder, with_names), None),
    (lambda folder: save_signature(folder, with_loop), None),
    (lambda folder: save_signature(folder, features, OPEN), (6, 9)),
    (lambda folder: save_callable(folder, called), None),
    (save_tf1_hub, None),
    (lambda folder: save_tf1_hub(folder, use_resource=False), None),
]


@pytest.mark.parametrize(("save", "size"), KINDS)
def test_a_kept_module_is_the_loaded_one(
    tmp_path: Path,
    loads: list[str],
    save: Callable[[Path], Path],
    size: tuple[int, int] | None,
) -> None:
    handle = str(save(tmp_path / "module"))
    alone = load_backbone(handle, image_size=size)
    found = []
    # Another opening of the file is another run.
    for _ in range(3):
        with BottleneckCache(str(tmp_path / "cache")) as cache:
            found.append(load_backbone(handle, image_size=size, kept=FrozenModules(cache.file)))
    assert loads == [handle, handle]
    for backbone in found:
        assert backbone.handle == handle
        check_same(backbone, alone)


def test_without_a_place_to_keep_it_a_module_is_loaded_each_time(
    colour_module: Path, loads: list[str]
) -> None:
    for _ in range(2):
        load_backbone(str(colour_module))
    assert loads == [str(colour_module)] * 2


CHILD = """
import json, sys
from image_retraining.backbone.loading import load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.backbone.freezing import FREEZING_VERSION
from image_retraining.cache.frozen_modules import FrozenModules

folder, *handles = sys.argv[1:]
with BottleneckCache(folder) as cache:
    for handle in handles:
        backbone = load_backbone(handle, kept=FrozenModules(cache.file))
        imported = sorted(name for name in sys.modules if name.startswith("tensorflow_hub"))
        print(json.dumps([backbone.fingerprint, imported]))
"""


def test_a_kept_module_does_without_tensorflow_hub(tmp_path: Path, colour_module: Path) -> None:
    other = save_signature(tmp_path / "other")
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        kept = load_backbone(str(colour_module), kept=FrozenModules(cache.file))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "cache"), str(colour_module), str(other)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    of_kept, of_other = map(json.loads, done.stdout.splitlines())
    assert of_kept == [kept.fingerprint, []]
    # A module that must be loaded needs it.
    assert "tensorflow_hub" in of_other[1]


# What is loaded anew


def scaled(folder: Path, factor: float) -> Path:
    """Writes, over what was there, a module whose weights are so much larger."""
    shutil.rmtree(folder, ignore_errors=True)
    return save_signature(folder, lambda weights, photos: features(factor * weights, photos))


def test_changed_weights_are_loaded_anew(
    tmp_path: Path, kept: FrozenModules, loads: list[str]
) -> None:
    handle = str(tmp_path / "module")
    for number, factor in enumerate((1.0, 2.0, 3.0), start=1):
        scaled(tmp_path / "module", factor)
        for _ in range(2):
            backbone = load_backbone(handle, kept=kept)
            photos = random_photos(BATCH_SIZE)
            expected = factor * photos.mean(axis=(1, 2)) @ WEIGHTS
            np.testing.assert_allclose(
                EngineChoice().make(backbone)(photos), expected, rtol=1e-4, atol=1e-5
            )
        assert len(loads) == number


def test_one_changed_bit_is_loaded_anew(
    tmp_path: Path, kept: FrozenModules, loads: list[str]
) -> None:
    folder = save_signature(tmp_path / "module")
    before = load_backbone(str(folder), kept=kept)
    (weights,) = (folder / "variables").glob("*.data-*")
    data = bytearray(weights.read_bytes())
    # The sign of the first number.
    place = data.index(WEIGHTS.tobytes()) + 3
    data[place] ^= 0x80
    weights.write_bytes(data)
    # TensorFlow knows by a checksum that the file is damaged, which a kept module would hide.
    with pytest.raises(ModuleError, match="cannot be loaded"):
        load_backbone(str(folder), kept=kept)
    data[place] ^= 0x80
    weights.write_bytes(data)
    check_same(load_backbone(str(folder), kept=kept), before)
    assert len(loads) == 2


def test_another_image_size_is_loaded_anew(
    tmp_path: Path, kept: FrozenModules, loads: list[str]
) -> None:
    handle = str(save_signature(tmp_path / "module", features, OPEN))
    sizes = [(8, 6), (6, 8), (8, 8), (86, 8), (8, 68)]
    first = [load_backbone(handle, image_size=size, kept=kept) for size in sizes]
    assert len(loads) == len(sizes)
    again = [load_backbone(handle, image_size=size, kept=kept) for size in sizes]
    assert len(loads) == len(sizes)
    for size, before, after in zip(sizes, first, again, strict=True):
        assert after.image_size == size
        check_same(after, before)


def test_a_kept_module_hides_no_wrong_image_size(
    tmp_path: Path, kept: FrozenModules, colour_module: Path
) -> None:
    open_module = str(save_signature(tmp_path / "open", features, OPEN))
    load_backbone(str(colour_module), kept=kept)
    load_backbone(open_module, image_size=(8, 8), kept=kept)
    for _ in range(2):
        with pytest.raises(ModuleError, match="--image_size is for modules that leave it open"):
            load_backbone(str(colour_module), image_size=(8, 9), kept=kept)
        with pytest.raises(ModuleError, match="leaves the size of its photos open"):
            load_backbone(open_module, kept=kept)


def test_what_another_release_froze_is_loaded_anew(
    colour_module: Path, kept: FrozenModules, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_backbone(str(colour_module), kept=kept)
    monkeypatch.setattr(loading, "FREEZING_VERSION", FREEZING_VERSION + 1)
    for _ in range(2):
        load_backbone(str(colour_module), kept=kept)
    assert len(loads) == 2


@pytest.mark.parametrize("part", ["graph", "sample", "description"])
def test_a_damaged_kept_module_is_loaded_anew(
    tmp_path: Path, colour_module: Path, loads: list[str], part: str
) -> None:
    before = load_backbone(str(colour_module))
    folder = tmp_path / "cache"
    found = []
    for number in range(3):
        with BottleneckCache(str(folder)) as cache:
            found.append(load_backbone(str(colour_module), kept=FrozenModules(cache.file)))
            if number == 0:
                statement = f"UPDATE modules SET {part} = substr({part}, 2)"  # noqa: S608
                cache.file.write(
                    lambda database, statement=statement: database.execute(statement)  # type: ignore[misc]
                )
    # Alone, for the first of the three, and after the damage.
    assert len(loads) == 3
    for backbone in found:
        check_same(backbone, before)


def test_a_module_that_cannot_be_used_is_not_kept(
    tmp_path: Path, kept: FrozenModules, loads: list[str]
) -> None:
    def rows(photos: Any) -> Any:
        return tf.reduce_mean(photos, [1])

    handle = str(save_module(tmp_path / "module", rows))
    for _ in range(2):
        with pytest.raises(ModuleError, match="It must put out feature vectors"):
            load_backbone(handle, kept=kept)
    assert len(loads) == 2


# Names


def test_a_module_goes_by_what_people_call_it_now(
    tmp_path: Path, kept: FrozenModules, loads: list[str]
) -> None:
    folder = save_signature(tmp_path / "module")
    first = load_backbone(str(folder), kept=kept)
    moved = folder.rename(tmp_path / "moved 玫瑰")
    copied = Path(shutil.copytree(moved, tmp_path / "copied"))
    (copied / ".hidden").write_text("does not count")
    archive = tmp_path / "module.tar.gz"
    archive.write_bytes(packed(copied))
    for handle in (str(moved), str(copied), f"{copied}/", str(archive)):
        backbone = load_backbone(handle, kept=kept)
        assert backbone.handle == handle
        check_same(backbone, first)
    with served(packed(copied)) as server:
        backbone = load_backbone(server.url, kept=kept)
    assert backbone.handle == server.url
    check_same(backbone, first)
    assert loads == [str(folder)]


def test_a_module_is_kept_by_the_name_it_was_loaded_by(
    tmp_path: Path, kept: FrozenModules, colour_module: Path
) -> None:
    load_backbone(str(colour_module), kept=kept)
    load_backbone(str(shutil.copytree(colour_module, tmp_path / "copied")), kept=kept)
    with BottleneckCache(str(tmp_path / "cache")) as cache:
        rows = cache.file.read(lambda database: database.execute("SELECT handle FROM modules"))
        assert rows.fetchall() == [(str(colour_module),)]


# The module that needs no network


def test_the_offline_module_is_kept_once(
    kept: FrozenModules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Of small photos, which are soon computed.
    size = (64, 64)
    alone = load_backbone(OFFLINE_MODULE, image_size=size)
    first = load_backbone(OFFLINE_MODULE, image_size=size, kept=kept)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(FrozenModules, "keep", fail)
    again = load_backbone(OFFLINE_MODULE, image_size=size, kept=kept)
    dead = (tmp_path / "no module").as_uri().replace("file:///", "http://127.0.0.1:1/")
    stand_in = load_backbone(dead, image_size=size, is_default=True, kept=kept)
    for backbone in (first, again, stand_in):
        assert backbone.handle == OFFLINE_MODULE
        check_same(backbone, alone)


# As retrain.py does it


def test_the_second_run_loads_no_module(
    tmp_path: Path, colour_module: Path, loads: list[str], logged: pytest.LogCaptureFixture
) -> None:
    config = RetrainConfig(tfhub_module=str(colour_module), named=frozenset({"tfhub_module"}))
    lines = []
    for _ in range(2):
        with BottleneckCache(str(tmp_path / "cache")) as cache:
            extracting.load(cache, part_of(config, extracting.ModuleSettings))
        lines.append(logged.messages[-1])
    assert loads == [str(colour_module)]
    assert (tmp_path / "cache" / FILE_NAME).exists()
    assert lines == [f"Module {colour_module}: photos of 8 x 8 pixels, 6 features"] * 2


def test_a_run_without_a_cache_loads_its_module(colour_module: Path, loads: list[str]) -> None:
    for _ in range(2):
        with BottleneckCache(None) as cache:
            for _ in range(2):
                kept = FrozenModules(cache.file)
                backbone = load_backbone(str(colour_module), kept=kept)
    assert len(loads) == 2
    photos = random_photos(BATCH_SIZE)
    np.testing.assert_allclose(
        EngineChoice().make(backbone)(photos), colour_statistics(photos), rtol=1e-5
    )
