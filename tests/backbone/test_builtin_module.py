"""The module that comes with the tool, and how tools/ make one of a trained network."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import builtin_student
import keras
import numpy as np
import pytest
import tensorflow as tf
from builtin_student import FEATURES, HubModule, folded, student

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.backbone.sources import hub, library
from image_retraining.backbone.sources.builtin import BUILTIN_FOLDER
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import Enclosed, Quantization, write_tflite
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.records import Floats, Head
from image_retraining.photos.pixels import pixels

ROOT = Path(__file__).resolve().parents[2]
SIZE = (128, 128)


@pytest.fixture(scope="module")
def builtin() -> Backbone:
    return load_backbone("builtin")


@pytest.fixture(scope="module")
def photos() -> Floats:
    """Returns float32 [20, 128, 128, 3]: four drawn photos of each of five shapes."""
    folders = sorted((ROOT / "sample_images").iterdir())
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[:4]]
    assert len(paths) == 20
    return np.stack([pixels(path.read_bytes(), SIZE).numpy() for path in paths])


def features(backbone: Backbone, photos: Floats, engine: str = "tensorflow") -> Floats:
    missing = BATCH_SIZE - len(photos)
    padded = np.pad(photos, [(0, missing), (0, 0), (0, 0), (0, 0)])
    return EngineChoice(engine).make(backbone)(padded)[: len(photos)]


def test_it_works_offline(photos: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(hub, "resolve", no_network)
    backbone = load_backbone("builtin")
    assert (backbone.handle, backbone.image_size) == ("builtin", SIZE)
    assert features(backbone, photos).shape == (20, backbone.feature_size)
    assert 512 <= backbone.feature_size <= 1280


def test_it_is_small() -> None:
    paths = [os.path.join(top, name) for top, _, names in os.walk(BUILTIN_FOLDER) for name in names]
    assert sum(os.path.getsize(path) for path in paths) <= 4_000_000


def test_its_fingerprint_is_pinned(builtin: Backbone) -> None:
    # Another one costs people their cached vectors: change this knowingly, and say so in CHANGELOG.
    assert builtin.fingerprint == "c3a4e8d73303eea5125f1fbc0f4c757a40f193e3a09bc7226cd2c13d88de9b47"


def test_it_is_an_ordinary_hub_module(builtin: Backbone, photos: Floats) -> None:
    module = library.load(BUILTIN_FOLDER)
    wanted = features(builtin, photos)
    np.testing.assert_allclose(module(tf.constant(photos)), wanted, atol=1e-4)
    served = module.signatures["serving_default"](images=tf.constant(photos))
    np.testing.assert_allclose(served["default"], wanted, atol=1e-4)


def test_its_graph_is_of_plain_ops_and_float32(builtin: Backbone) -> None:
    nodes = builtin.graph_def.node
    assert not builtin.graph_def.HasField("library")
    assert {node.op for node in nodes} <= {
        *("Placeholder", "Const", "Conv2D", "DepthwiseConv2dNative", "Add", "AddV2", "BiasAdd"),
        *("Mul", "Sub", "Relu6", "Mean", "Identity"),
    }
    stored = {node.attr["dtype"].type for node in nodes if node.op == "Const"}
    assert tf.float16.as_datatype_enum not in stored


def test_features_have_the_scale_that_the_learning_rate_wants(
    builtin: Backbone, photos: Floats
) -> None:
    vectors = features(builtin, photos)
    assert np.isfinite(vectors).all()
    assert 0.1 < vectors.mean() < 1
    assert 0.3 < vectors.std() < 1.2


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_photo_of_one_grey_has_features(builtin: Backbone, level: float) -> None:
    vectors = features(builtin, np.full([1, *SIZE, 3], level, np.float32))
    assert np.isfinite(vectors).all()
    assert vectors.std() > 0


def test_features_of_a_photo_do_not_depend_on_its_neighbours(
    builtin: Backbone, photos: Floats
) -> None:
    together = features(builtin, photos)
    alone = np.concatenate([features(builtin, photo[np.newaxis]) for photo in photos[:4]])
    np.testing.assert_allclose(together[:4], alone, atol=1e-5)
    # Photos that had equal features would pass the above.
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_openvino_gives_the_same_features(builtin: Backbone, photos: Floats) -> None:
    got, wanted = features(builtin, photos, "openvino"), features(builtin, photos)
    np.testing.assert_allclose(got, wanted, atol=1e-4 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(("kind", "atol"), [("none", 1e-4), ("float16", 0.02), ("int8", 0.25)])
def test_tflite_gives_the_same_answers(
    builtin: Backbone, photos: Floats, tmp_path: Path, kind: str, atol: float
) -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((builtin.feature_size, 5), np.float32) / np.float32(20)
    head = Head(weights, np.zeros(5, np.float32))
    graph_def = build_graph(builtin, head, final_tensor_name="final_result")
    write_graph(tmp_path / "g.pb", graph_def)
    write_tflite(
        tmp_path / "m.tflite",
        graph_def,
        output_layer="final_result",
        quantization=Quantization(kind, [photos] if kind == "int8" else ()),
        enclosed=Enclosed(tuple("abcde")),
    )
    wanted = FrozenGraph(tmp_path / "g.pb").scores(photos)
    np.testing.assert_allclose(TFLiteModel(tmp_path / "m.tflite").scores(photos), wanted, atol=atol)
    assert np.ptp(wanted, axis=0).max() > 2 * atol


def test_its_own_image_size_may_be_named() -> None:
    assert load_backbone("builtin", image_size=SIZE).image_size == SIZE


@pytest.mark.parametrize("size", [(224, 224), (128, 127)])
def test_another_image_size_is_refused(size: tuple[int, int]) -> None:
    message = f"Got {size} for builtin, which takes photos of (128, 128) (height, width)"
    with pytest.raises(ModuleError, match=re.escape(message)):
        load_backbone("builtin", image_size=size)


def test_a_trained_network_becomes_a_module_of_equal_answers(tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    trained = student()
    rng = np.random.default_rng(3)
    seen = (rng.random([8, 64, 64, 3]) * rng.random([8, 1, 1, 3])).astype(np.float32)
    # Some steps of normalisation make its running numbers worth folding.
    for _ in range(15):
        trained(seen, training=True)
    for layer in trained.layers:
        if hasattr(layer, "gamma"):
            layer.gamma.assign(0.5 + np.random.default_rng(4).random(layer.gamma.shape))
            layer.beta.assign(np.random.default_rng(5).random(layer.beta.shape) - 0.3)
    wanted = trained(seen, training=False).numpy()
    weights = folded(trained)
    plain = builtin_student.features(seen, weights)
    np.testing.assert_allclose(plain, wanted, atol=1e-4 * wanted.max())
    HubModule(weights, side=64, gain=2.0).save(str(tmp_path / "module"))
    backbone = load_backbone(str(tmp_path / "module"))
    assert (backbone.image_size, backbone.feature_size) == ((64, 64), FEATURES)
    # Kernels of float16 have a relative error of up to 2^-11, in each of 40 layers.
    got = features(backbone, seen)
    np.testing.assert_allclose(got, 2 * wanted, atol=0.02 * wanted.max())
    assert wanted.std() > 0.1
