import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import save_module
from modules_made_here import random_photos, save_tf1_hub

from image_retraining.backbone.graphs import graph_bytes
from image_retraining.backbone.handles import OFFLINE_MODULE
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines import machine as processor
from image_retraining.features.engines.choice import EngineChoice, choose_engine
from image_retraining.features.engines.engine import BATCH_SIZE, Engine
from image_retraining.features.extraction import extract
from image_retraining.foundation.errors import EngineError
from image_retraining.foundation.records import Catalog, Extraction, Floats, Split
from image_retraining.foundation.settings import part_of
from image_retraining.photos.folder import scan
from image_retraining.retraining import extracting
from image_retraining.retraining.config import RetrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(2)
KERNEL: Floats = RANDOM.normal(size=[3, 3, 3, 24]).astype(np.float32)
DEEP_KERNEL: Floats = RANDOM.normal(size=[3, 3, 24, 1]).astype(np.float32)
WIDE_KERNEL: Floats = RANDOM.normal(size=[1, 1, 24, 40]).astype(np.float32)
WEIGHTS: Floats = RANDOM.normal(size=[8 * 8 * 24, 50]).astype(np.float32)
NAMES = ("tensorflow", "openvino")
PRECISIONS = ("float32", "bfloat16")


def convolved(photos: Any) -> Any:
    return tf.nn.conv2d(photos, KERNEL, strides=1, padding="SAME")


def mean(photos: Any) -> Any:
    return tf.reduce_mean(photos, [1, 2])


def dense(photos: Any) -> Any:
    maps = tf.nn.relu(convolved(photos))
    return tf.matmul(tf.reshape(maps, [-1, len(WEIGHTS)]), WEIGHTS)


def mobile(photos: Any) -> Any:
    """What a MobileNet is made of."""
    maps, *_ = tf.compat.v1.nn.fused_batch_norm(
        convolved(photos),
        *(np.full([24], value, np.float32) for value in (0.5, 0.1, 0.2, 2.0)),
        is_training=False,
    )
    maps = tf.nn.relu6(maps)
    maps = tf.nn.relu6(tf.nn.depthwise_conv2d(maps, DEEP_KERNEL, [1, 2, 2, 1], "SAME"))
    return mean(tf.nn.conv2d(maps, WIDE_KERNEL, strides=1, padding="VALID"))


def residual(photos: Any) -> Any:
    """What other networks add to that."""
    maps = convolved(photos)
    maps = tf.nn.max_pool2d(maps, 3, 1, "SAME") + tf.nn.silu(maps) * tf.sigmoid(maps)
    attention = tf.nn.softmax(tf.reshape(maps, [-1, 64, 24]), axis=1)
    pooled = tf.reduce_sum(tf.reshape(maps, [-1, 64, 24]) * attention, axis=1)
    return tf.concat([pooled, mean(tf.image.resize(maps, [5, 7]))], axis=1)


def of_functions(function: Callable[[Any], Any]) -> Callable[[Path], Path]:
    return lambda folder: save_module(folder, function)


MODULES: dict[str, Callable[[Path], Path]] = {
    "dense": of_functions(dense),
    "mobile": of_functions(mobile),
    "residual": of_functions(residual),
    "tf1 hub": save_tf1_hub,
}


def loaded(folder: Path, make: Callable[[Path], Path]) -> Backbone:
    return load_backbone(str(make(folder / "module")))


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backbone]:
    folder = tmp_path_factory.mktemp("modules")
    made = {name: load_backbone(str(make(folder / name))) for name, make in MODULES.items()}
    return {**made, OFFLINE_MODULE: load_backbone(OFFLINE_MODULE, image_size=(96, 96))}


@pytest.fixture(params=[*MODULES, OFFLINE_MODULE])
def backbone(request: pytest.FixtureRequest, backbones: dict[str, Backbone]) -> Backbone:
    return backbones[request.param]


@pytest.fixture
def dense_backbone(backbones: dict[str, Backbone]) -> Backbone:
    """A backbone with the ops whose rounding may depend on a photo's place in the batch."""
    return backbones["dense"]


def has_bfloat16() -> bool:
    try:
        choose_engine("tensorflow", "bfloat16")
    except EngineError:
        return False
    return True


needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="the processor lacks bfloat16")
ALL_CHOICES = [
    pytest.param(
        EngineChoice(name, precision),
        id=f"{name} {precision}",
        marks=[needs_bfloat16] if precision == "bfloat16" else [],
    )
    for name in NAMES
    for precision in PRECISIONS
]


def batch_for(backbone: Backbone, count: int = BATCH_SIZE) -> Floats:
    photos: Floats = random_photos(count, *backbone.image_size)
    return photos


def difference(got: Floats, wanted: Floats) -> float:
    """Returns how far apart vectors are, relative to the largest number in them."""
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


# Vectors


def test_the_engines_agree(backbone: Backbone) -> None:
    photos = batch_for(backbone)
    by_tensorflow, by_openvino = (EngineChoice(name).make(backbone)(photos) for name in NAMES)
    assert by_tensorflow.shape == (BATCH_SIZE, backbone.feature_size)
    assert difference(by_openvino, by_tensorflow) < 1e-4


@pytest.mark.parametrize("backbone", ["mobile", "tf1 hub"], indirect=True)
@pytest.mark.parametrize("name", NAMES)
def test_an_engine_says_what_it_takes_and_gives(backbone: Backbone, name: str) -> None:
    engine = EngineChoice(name).make(backbone)
    assert engine.image_size == backbone.image_size
    assert engine.feature_size == backbone.feature_size
    assert engine.streams >= 1
    vectors = engine(batch_for(backbone))
    assert vectors.dtype == np.float32
    # A later batch must not write over the vectors of an earlier one.
    before = vectors.copy()
    engine(np.zeros_like(batch_for(backbone)))
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.parametrize("backbone", ["dense", "mobile", "residual", OFFLINE_MODULE], indirect=True)
@pytest.mark.parametrize("choice", ALL_CHOICES)
def test_a_vector_depends_on_its_photo_alone(backbone: Backbone, choice: EngineChoice) -> None:
    engine = choice.make(backbone)
    photos = batch_for(backbone)
    vectors = engine(photos)
    assert len(np.unique(vectors, axis=0)) == BATCH_SIZE
    for shift in (1, 16):
        np.testing.assert_array_equal(engine(np.roll(photos, shift, 0)), np.roll(vectors, shift, 0))
    for place in (0, 31):
        for neighbours in (np.zeros_like(photos), 1 - photos):
            neighbours[place] = photos[3]
            np.testing.assert_array_equal(engine(neighbours)[place], vectors[3])


@pytest.mark.parametrize("choice", ALL_CHOICES)
def test_batches_may_be_computed_at_a_time(dense_backbone: Backbone, choice: EngineChoice) -> None:
    engine = choice.make(dense_backbone)
    batches = [np.roll(batch_for(dense_backbone), number, 0) * 0.9**number for number in range(30)]
    one_by_one = [engine(photos) for photos in batches]
    with ThreadPoolExecutor(max_workers=max(4, engine.streams)) as workers:
        for together, alone in zip(workers.map(engine, batches), one_by_one, strict=True):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("choice", ALL_CHOICES)
def test_an_engine_made_anew_gives_the_same_bits(
    dense_backbone: Backbone, choice: EngineChoice
) -> None:
    photos = batch_for(dense_backbone)
    first, second = (choice.make(dense_backbone)(photos) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_making_an_engine_leaves_the_graph_as_it_is(name: str, tmp_path: Path) -> None:
    backbone = loaded(tmp_path, MODULES["mobile"])
    before = graph_bytes(backbone.graph_def)
    EngineChoice(name).make(backbone)
    assert graph_bytes(backbone.graph_def) == before


@needs_bfloat16
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["dense", "mobile", "residual"], indirect=True)
def test_bfloat16_differs_but_little(backbone: Backbone, name: str) -> None:
    photos = batch_for(backbone)
    exact, rough = (
        EngineChoice(name, precision).make(backbone)(photos) for precision in PRECISIONS
    )
    # bfloat16 has 8 bits where float32 has 24.
    assert 1e-4 < difference(rough, exact) < 0.03
    assert rough.dtype == np.float32


# Which engine computes

HERE: dict[str, Any] = {"openvino": True, "gpu": False, "bfloat16": True}
GPU: dict[str, Any] = {**HERE, "gpu": True}
NO_OPENVINO: dict[str, Any] = {**HERE, "openvino": False}
NO_BFLOAT16: dict[str, Any] = {**HERE, "bfloat16": False}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def pretend(*, openvino: bool, gpu: bool, bfloat16: bool) -> None:
        real_find_spec = importlib.util.find_spec

        def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
            if name == "openvino":
                return ModuleSpec(name, None) if openvino else None
            return real_find_spec(name, package)

        def list_devices(kind: str) -> list[Any]:
            return [SimpleNamespace(name="GPU:0", device_type="GPU")] * (gpu and kind == "GPU")

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        monkeypatch.setattr(tf.config, "list_physical_devices", list_devices)
        monkeypatch.setattr(processor, "_has_bfloat16", lambda: bfloat16)

    return pretend


@pytest.mark.parametrize(
    ("there", "wanted", "name"),
    [
        (HERE, "auto", "openvino"),
        (HERE, "tensorflow", "tensorflow"),
        (HERE, "openvino", "openvino"),
        (NO_OPENVINO, "auto", "tensorflow"),
        (NO_OPENVINO, "tensorflow", "tensorflow"),
        (GPU, "auto", "tensorflow"),
        (GPU, "tensorflow", "tensorflow"),
        (GPU, "openvino", "openvino"),
        ({**GPU, "openvino": False}, "auto", "tensorflow"),
        (NO_BFLOAT16, "auto", "openvino"),
    ],
)
def test_which_engine_computes(
    machine: Callable[..., None], there: dict[str, bool], wanted: str, name: str
) -> None:
    machine(**there)
    may_stand_in = wanted == "auto"
    assert choose_engine(wanted, "float32") == EngineChoice(name, "float32", may_stand_in)
    if there in (HERE, NO_OPENVINO) or (there == GPU and name == "openvino"):
        assert choose_engine(wanted, "bfloat16") == EngineChoice(name, "bfloat16", may_stand_in)


@pytest.mark.parametrize(
    ("there", "wanted", "precision", "words"),
    [
        (NO_OPENVINO, "openvino", "float32", "pip install -r requirements-openvino.txt"),
        (NO_OPENVINO, "openvino", "bfloat16", "pip install -r requirements-openvino.txt"),
        ({**GPU, "openvino": False}, "openvino", "float32", "openvino needs OpenVINO"),
        (NO_BFLOAT16, "auto", "bfloat16", "Use float32"),
        (NO_BFLOAT16, "openvino", "bfloat16", "needs a processor with bfloat16"),
        (NO_BFLOAT16, "tensorflow", "bfloat16", "needs a processor with bfloat16"),
        ({**GPU, "bfloat16": False}, "openvino", "bfloat16", "needs a processor with bfloat16"),
        (GPU, "auto", "bfloat16", "--bottleneck_engine=openvino"),
        (GPU, "tensorflow", "bfloat16", "computes on a GPU"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(
    machine: Callable[..., None], there: dict[str, bool], wanted: str, precision: str, words: str
) -> None:
    machine(**there)
    with pytest.raises(EngineError) as caught:
        choose_engine(wanted, precision)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "flags", ["fpu sse avx2 avx512_bf16", "fpu amx_tile amx_bf16 amx_int8", "fp asimd bf16 i8mm"]
)
def test_linux_tells_of_bfloat16(described: Callable[[str], None], flags: str) -> None:
    described(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert choose_engine("tensorflow", "bfloat16").precision == "bfloat16"


@pytest.mark.parametrize("flags", ["fpu sse avx512f avx512_vnni", "svebf16only xbf16 bf16x", ""])
def test_linux_tells_of_no_bfloat16(described: Callable[[str], None], flags: str) -> None:
    described(f"flags\t\t: {flags}\n" if flags else "")
    with pytest.raises(EngineError, match="lacks"):
        choose_engine("tensorflow", "bfloat16")


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a text in the place of Linux's description of the processor; '' for none."""

    def describe(text: str) -> None:
        if text:
            (tmp_path / "cpuinfo").write_text(text)
        places = {"/proc/cpuinfo": tmp_path / "cpuinfo"}
        monkeypatch.setattr(processor, "Path", places.__getitem__)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])

    return describe


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (EngineChoice(), "float32"),
        (EngineChoice("openvino", "float32", may_stand_in=True), "float32"),
        (EngineChoice("tensorflow", "bfloat16"), "bfloat16 tensorflow"),
        (EngineChoice("openvino", "bfloat16"), "bfloat16 openvino"),
    ],
)
def test_only_vectors_in_bfloat16_are_an_engines_own(choice: EngineChoice, expected: str) -> None:
    assert choice.recipe_precision == expected


# Modules that OpenVINO does not take


def with_unknown_op(photos: Any) -> Any:
    return tf.math.lgamma(1 + mean(photos))


def with_the_batch_in_each(photos: Any) -> Any:
    """Gives vectors that differ with the number of photos in the batch."""
    return mean(photos) + tf.cast(tf.shape(photos)[:1], tf.float32)


UNFIT = [
    pytest.param(with_unknown_op, "OpenVINO does not take this module", id="unknown op"),
    pytest.param(with_the_batch_in_each, "OpenVINO's vectors for this module are off", id="other"),
]


@pytest.mark.parametrize(("function", "words"), UNFIT)
def test_tensorflow_stands_in_where_nobody_asked_for_openvino(
    function: Callable[[Any], Any], words: str, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    backbone = loaded(tmp_path, of_functions(function))
    engine = EngineChoice("openvino", may_stand_in=True).make(backbone)
    (line,) = (message for message in logged.messages if "OpenVINO" in message)
    assert line.startswith(words)
    assert line.endswith(" TensorFlow computes instead.")
    assert len(line.splitlines()) == 1
    photos = batch_for(backbone)
    np.testing.assert_array_equal(engine(photos), EngineChoice().make(backbone)(photos))


@pytest.mark.parametrize(("function", "words"), UNFIT)
def test_nothing_stands_in_for_an_engine_that_was_asked_for(
    function: Callable[[Any], Any], words: str, tmp_path: Path
) -> None:
    backbone = loaded(tmp_path, of_functions(function))
    with pytest.raises(EngineError, match=words):
        EngineChoice("openvino").make(backbone)


def test_nothing_stands_in_for_bfloat16(tmp_path: Path) -> None:
    # The vectors would go by the name of another engine.
    backbone = loaded(tmp_path, of_functions(with_unknown_op))
    with pytest.raises(EngineError, match="OpenVINO does not take this module"):
        EngineChoice("openvino", "bfloat16", may_stand_in=True).make(backbone)


def test_the_reason_names_the_unknown_op(tmp_path: Path) -> None:
    backbone = loaded(tmp_path, of_functions(with_unknown_op))
    with pytest.raises(EngineError, match="Lgamma"):
        EngineChoice("openvino").make(backbone)


def none(photos: Any) -> Any:
    return tf.nn.relu(-1 - mean(photos))


@pytest.mark.parametrize("choice", ALL_CHOICES)
def test_a_module_may_answer_the_samples_with_zeros(choice: EngineChoice, tmp_path: Path) -> None:
    backbone = loaded(tmp_path, of_functions(none))
    np.testing.assert_array_equal(choice.make(backbone)(batch_for(backbone)), np.zeros([32, 3]))


def test_an_openvino_that_cannot_be_imported_is_one_that_does_not_compute(
    dense_backbone: Backbone,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    broken = 'raise ImportError("libopenvino.so: cannot open shared object file")\n'
    (tmp_path / "openvino.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EngineError, match=r"libopenvino\.so"):
        EngineChoice("openvino").make(dense_backbone)
    engine = EngineChoice("openvino", may_stand_in=True).make(dense_backbone)
    assert any("TensorFlow computes instead" in message for message in logged.messages)
    photos = batch_for(dense_backbone)
    np.testing.assert_array_equal(engine(photos), EngineChoice().make(dense_backbone)(photos))


MANNERS = """
import logging, sys
import numpy as np
from absl import logging as absl_logging
from image_retraining.backbone.loading import load_backbone
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE

absl_logging.use_absl_handler()
backbone = load_backbone("builtin", image_size=(96, 96))
before = list(logging.root.handlers)
assert before
seen = []
alarming = ("socket.", "urllib.", "subprocess.", "os.fork", "os.system", "os.posix_spawn")
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(alarming) else None)
EngineChoice("openvino").make(backbone)(np.zeros([BATCH_SIZE, *backbone.image_size, 3], "f4"))
assert "openvino" in sys.modules
assert sys.modules["openvino_telemetry"] is None
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
assert logging.root.handlers == before, logging.root.handlers
assert not seen, seen
"""


def test_openvino_comes_with_manners(tmp_path: Path) -> None:
    """It tells its makers nothing, leaves no file and takes no log handler."""
    done = subprocess.run(
        [sys.executable, "-c", MANNERS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Keras, which comes with TensorFlow, makes its folder; OpenVINO's telemetry made 'intel'.
    assert {path.name for path in tmp_path.iterdir()} <= {".keras"}


# Whole extractions


def cataloged(folder: Path, validation: int = 20, testing: int = 20) -> Catalog:
    return scan(str(folder), validation_percentage=validation, testing_percentage=testing)


def extracted(
    catalog: Catalog, backbone: Backbone, cache: BottleneckCache, choice: EngineChoice
) -> Extraction:
    return extract(catalog, backbone, cache, engine=choice, fail_on_bad_image=False)


def bits(extraction: Extraction, splits: Iterable[Split] = Split) -> dict[str, bytes]:
    """Returns path → bits of the feature vector, over some splits."""
    return {
        path: vector.tobytes()
        for split in splits
        for path, vector in zip(
            extraction.sets[split].paths, extraction.sets[split].features, strict=True
        )
    }


def computed_count(logged: pytest.LogCaptureFixture) -> int:
    """Returns how many vectors the last extraction computed, by its log line."""
    line = [message for message in logged.messages if message.startswith("Bottlenecks of ")][-1]
    return int(line.partition(": ")[2].partition(" computed")[0])


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=" then ".join)
def test_float32_vectors_of_one_engine_serve_the_other(
    colour_photos: Path,
    dense_backbone: Backbone,
    logged: pytest.LogCaptureFixture,
    names: tuple[str, str],
) -> None:
    catalog = cataloged(colour_photos)
    with BottleneckCache(None) as cache:
        before = extracted(catalog, dense_backbone, cache, EngineChoice(names[0]))
        assert computed_count(logged) == len(catalog.records)
        after = extracted(catalog, dense_backbone, cache, EngineChoice(names[1]))
        assert computed_count(logged) == 0
    assert bits(after) == bits(before)


@needs_bfloat16
def test_bfloat16_vectors_are_kept_apart(
    colour_photos: Path, dense_backbone: Backbone, logged: pytest.LogCaptureFixture
) -> None:
    catalog = cataloged(colour_photos)
    choices = [EngineChoice(name, precision) for precision in PRECISIONS for name in NAMES]
    expected = [len(catalog.records), 0, len(catalog.records), len(catalog.records)]
    found = []
    with BottleneckCache(None) as cache:
        for choice, count in zip(choices, expected, strict=True):
            found.append(bits(extracted(catalog, dense_backbone, cache, choice)))
            assert computed_count(logged) == count
        for choice, before in zip(choices, found, strict=True):
            assert bits(extracted(catalog, dense_backbone, cache, choice)) == before
            assert computed_count(logged) == 0
    exact, _, *rough = found
    for vectors in rough:
        assert vectors.keys() == exact.keys()
        assert all(vectors[path] != exact[path] for path in exact)


def gathered(catalog: Catalog, backbone: Backbone, **settings: Any) -> Extraction:
    wanted = part_of(RetrainConfig(**settings), extracting.ExtractionSettings)
    with BottleneckCache(None) as cache:
        return extracting.extract(catalog, backbone, cache, wanted)


@needs_bfloat16
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("validation", "testing", "judged"),
    [(20, 20, Split.TESTING), (20, 0, Split.VALIDATION), (0, 0, Split.TRAINING)],
)
def test_photos_that_the_graph_is_judged_by_stay_in_float32(
    colour_photos: Path,
    dense_backbone: Backbone,
    name: str,
    validation: int,
    testing: int,
    judged: Split,
) -> None:
    catalog = cataloged(colour_photos, validation, testing)
    exact, rough = (
        gathered(catalog, dense_backbone, bottleneck_engine=name, bottleneck_precision=precision)
        for precision in PRECISIONS
    )
    others = [split for split in Split if split is not judged]
    assert bits(rough, [judged]) == bits(exact, [judged])
    assert bits(rough, [judged])
    before, after = bits(exact, others), bits(rough, others)
    assert list(after) == list(before)
    assert all(after[path] != before[path] for path in before)
    for split in Split:
        assert rough.sets[split].paths == exact.sets[split].paths
        assert rough.sets[split].label_ids.tolist() == exact.sets[split].label_ids.tolist()


def break_photos(catalog: Catalog, *, of: Iterable[Split], every: int = 1) -> list[str]:
    """Damages some of the photos of some splits, and returns their paths."""
    paths = [record.path for record in catalog.records if record.split in set(of)][::every]
    for path in paths:
        Path(path).write_bytes(b"no photo")
    return paths


@needs_bfloat16
def test_broken_photos_of_all_splits_come_in_the_order_of_the_catalog(
    colour_photos: Path, dense_backbone: Backbone
) -> None:
    catalog = cataloged(colour_photos)
    broken = break_photos(catalog, of=Split, every=4)
    extraction = gathered(catalog, dense_backbone, bottleneck_precision="bfloat16")
    assert [photo.path for photo in extraction.unreadable] == broken
    assert bits(extraction).keys() == {record.path for record in catalog.records} - {*broken}


@needs_bfloat16
def test_photos_that_the_graph_is_judged_by_can_be_read(
    colour_photos: Path, dense_backbone: Backbone
) -> None:
    # Once: the graph was refused, for it was proven on validation photos in bfloat16.
    catalog = cataloged(colour_photos)
    break_photos(catalog, of=[Split.TESTING])
    exact, rough = (
        gathered(catalog, dense_backbone, bottleneck_precision=precision)
        for precision in PRECISIONS
    )
    assert bits(rough, [Split.VALIDATION]) == bits(exact, [Split.VALIDATION])
    assert bits(rough, [Split.TRAINING]) != bits(exact, [Split.TRAINING])
    assert [photo.path for photo in rough.unreadable] == [photo.path for photo in exact.unreadable]


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=[needs_bfloat16])])
@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TESTING])
def test_a_split_of_broken_photos_only_costs_no_other(
    colour_photos: Path, dense_backbone: Backbone, precision: str, split: Split
) -> None:
    catalog = cataloged(colour_photos)
    broken = break_photos(catalog, of=[split])
    extraction = gathered(catalog, dense_backbone, bottleneck_precision=precision)
    assert [photo.path for photo in extraction.unreadable] == broken
    assert len(extraction.sets[split]) == 0
    assert len(bits(extraction)) == len(catalog.records) - len(broken)


def test_an_engine_is_made_only_when_there_is_something_to_compute(
    colour_photos: Path, dense_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = cataloged(colour_photos)
    with BottleneckCache(None) as cache:
        before = extracted(catalog, dense_backbone, cache, EngineChoice())

        def fail(*_: object, **__: object) -> Engine:
            raise AssertionError

        monkeypatch.setattr(EngineChoice, "make", fail)
        assert bits(extracted(catalog, dense_backbone, cache, EngineChoice())) == bits(before)
