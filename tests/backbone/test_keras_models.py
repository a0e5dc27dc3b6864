"""Networks of keras.applications and people's own Keras models, as modules."""

import inspect
import itertools
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.backend import config
from keras.src.legacy.saving import legacy_h5_format
from modules_made_here import served, vectors_of

from image_retraining.backbone.keras_names import NETWORKS, KerasName
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.backbone.sources import keras_models
from image_retraining.backbone.sources.source import Request
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.records import Floats

# The smallest of each family, and a size that it takes; making most of them takes seconds. Those of
# PREPARED, below, are modules too.
FAMILIES = {
    "ResNet50": 32,
    "ResNet50V2": 32,
    "InceptionV3": 75,
    "Xception": 71,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "NASNetMobile": 32,
    "ConvNeXtTiny": 32,
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' own folder, and that where modules are kept."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "modules"))
    # Keras reads KERAS_HOME but once, when it is imported.
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "keras"))
    # Else it takes one in /tmp.
    (tmp_path / "keras").mkdir()
    return tmp_path / "keras"


@pytest.fixture(scope="module")
def photos() -> Floats:
    """Returns float32 [3, 32, 32, 3], 0 to 1."""
    return np.random.default_rng(1).random([3, 32, 32, 3], np.float32)


def same(found: Floats, wanted: Floats) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def check_is_a_module(backbone: Backbone, photos: Floats) -> Floats:
    """Returns the feature vectors of photos, which are the same in both engines."""
    assert not backbone.graph_def.HasField("library")
    vectors = vectors_of(backbone, photos)
    assert vectors.shape == (len(photos), backbone.feature_size)
    assert np.isfinite(vectors).all()
    # Photos that had equal features would pass all else.
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3 * np.abs(vectors).max()
    same(vectors_of(backbone, photos, "openvino"), vectors)
    return vectors


def asked(handle: str, **more: Any) -> Request:
    return Request(handle=handle, image_size=(32, 32), patience=1, **more)


def found(request: Request, photos: Floats) -> tuple[str, Floats]:
    """Returns a module's fingerprint and what it gives, before it is frozen, which takes longer."""
    module = keras_models.KerasModels().find(request)
    return module.fingerprint, module.load().answer(tf.constant(photos)).numpy()


# Names


class _ShapeAskedError(Exception):
    pass


def test_the_networks_and_their_sizes_are_those_of_the_installed_keras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {}

    def note(name: str, *_: Any, default_size: int, **__: Any) -> None:
        found[name] = default_size
        raise _ShapeAskedError(name)

    for name, network in vars(keras.applications).items():
        if inspect.isfunction(network) and not name.startswith("MobileNetV3"):
            module = sys.modules[network.__module__]
            tools = getattr(module, "imagenet_utils", module)
            monkeypatch.setattr(tools, "obtain_input_shape", partial(note, name))
            with pytest.raises(_ShapeAskedError, match=name):
                network(weights=None)
    # Keras leaves their size open; that is what they were trained on.
    assert {**found, "MobileNetV3Large": 224, "MobileNetV3Small": 224} == NETWORKS


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        ("keras:MobilNetV2", "Got MobilNetV2. Did you mean keras:MobileNetV2 or "),
        ("keras:vgg16", "Got vgg16. Did you mean keras:VGG16 or keras:VGG19?"),
        ("keras:", "Got nothing. They are ConvNeXtBase, "),
        ("keras:resnet", "Did you mean keras:ResNet50 or "),
        ("keras:VGG16:weights.h5", "Got weights.h5, which is not there."),
    ],
)
def test_a_name_that_is_none_gets_the_nearest_ones(handle: str, words: str) -> None:
    with pytest.raises(ModuleError, match=re.escape(words)):
        KerasName.of(handle)


# Networks


SOON_MADE = ("VGG16", "MobileNet", "MobileNetV3Small")


def slow(network: str) -> Any:
    return pytest.param(network, marks=() if network in SOON_MADE else pytest.mark.real)


@pytest.mark.parametrize("network", [slow(name) for name in FAMILIES])
def test_each_family_is_a_module(network: str) -> None:
    side = FAMILIES[network]
    photos = np.random.default_rng(2).random([3, side, side, 3], np.float32)
    backbone = load_backbone(f"keras:{network}:random", image_size=(side, side))
    assert backbone.image_size == (side, side)
    check_is_a_module(backbone, photos)


def test_a_network_has_its_own_size() -> None:
    # Frozen up to its first layer, which is soon done.
    backbone = load_backbone("keras:MobileNet:random", feature_layer="conv1")
    assert backbone.image_size == (224, 224)


def caffe(photos: Floats) -> Floats:
    return 255 * photos[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def centred(photos: Floats) -> Floats:
    return 2 * photos - 1


def standardised(photos: Floats) -> Floats:
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    found: Floats = (photos - mean) / deviation
    return found


def stored(model: Any, path: Path) -> str:
    model.save_weights(path)
    return str(path)


def stored_as_published(model: Any, path: Path) -> str:
    """Writes weights in the older of Keras' formats, in which those of ImageNet are published."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return str(path)


@pytest.fixture(scope="module")
def mobile() -> Any:
    """MobileNet with weights of its own, without its top."""
    keras.utils.set_random_seed(4)
    return keras.applications.MobileNet(include_top=False, weights=None)


@pytest.fixture(scope="module")
def weights(mobile: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of its weights."""
    return stored(mobile, tmp_path_factory.mktemp("weights") / "w.weights.h5")


# Means and deviations as the networks' papers give them.
PREPARED = {"VGG16": caffe, "MobileNet": centred, "DenseNet121": standardised}


@pytest.mark.parametrize("network", [slow(name) for name in PREPARED])
def test_what_a_network_does_to_pixels_first_is_inside(
    network: str, photos: Floats, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(4)
    made = getattr(keras.applications, network)(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    wanted = made(PREPARED[network](photos), training=False).numpy()
    file = stored(made, tmp_path / "w.weights.h5")
    backbone = load_backbone(f"keras:{network}:{file}", image_size=(32, 32))
    same(check_is_a_module(backbone, photos), wanted)
    assert backbone.credit == ""


@pytest.mark.parametrize("network", ["MobileNet", slow("ResNet50"), slow("MobileNetV3Small")])
def test_weights_of_the_full_network_do_as_well(
    network: str, photos: Floats, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(5)
    full = getattr(keras.applications, network)(weights=None)
    without_top = getattr(keras.applications, network)(include_top=False, weights=None)
    without_top.set_weights(full.get_weights()[: len(without_top.weights)])
    files = [
        stored(full, tmp_path / "full.weights.h5"),
        stored_as_published(full, tmp_path / "full.h5"),
        stored(without_top, tmp_path / "top.weights.h5"),
        stored_as_published(without_top, tmp_path / "top.h5"),
    ]
    (first, vectors), *others = (found(asked(f"keras:{network}:{path}"), photos) for path in files)
    for fingerprint, same_vectors in others:
        assert fingerprint == first
        np.testing.assert_array_equal(same_vectors, vectors)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"weights"), "cannot be taken for either"),
        (
            lambda path: keras.applications.MobileNetV2(weights=None).save_weights(path),
            "must hold Keras weights of MobileNet",
        ),
    ],
)
def test_other_weights_are_told(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    path = tmp_path / "w.weights.h5"
    make(path)
    with pytest.raises(ModuleError, match=words):
        load_backbone(f"keras:MobileNet:{path}", image_size=(32, 32))


def test_a_size_that_is_too_small_gets_the_rule() -> None:
    with pytest.raises(ModuleError, match=r"Got \(32, 32\) \(height, width\).*at least 75x75"):
        load_backbone("keras:InceptionV3", image_size=(32, 32))


POOLED: dict[str, Callable[[Floats], Floats]] = {
    "average": lambda last: last.mean(axis=(1, 2)),
    "max": lambda last: last.max(axis=(1, 2)),
    "flatten": lambda last: last.reshape(len(last), -1),
}


@pytest.fixture(scope="module")
def wide(photos: Floats) -> Floats:
    """Returns float32 [3, 32, 64, 3], 0 to 1."""
    return np.concatenate([photos, photos[::-1]], axis=2)


@pytest.mark.parametrize("pooling", list(POOLED))
def test_the_last_map_is_pooled(pooling: str, wide: Floats, mobile: Any, weights: str) -> None:
    wanted = POOLED[pooling](mobile(centred(wide), training=False).numpy())
    request = asked(f"keras:MobileNet:{weights}", pooling=pooling)
    _, vectors = found(replace(request, image_size=(32, 64)), wide)
    same(vectors, wanted)


@pytest.mark.parametrize("pooling", list(POOLED))
def test_the_map_of_a_layer_is_pooled(
    pooling: str, wide: Floats, mobile: Any, weights: str
) -> None:
    layer = "conv_pw_3_relu"
    to = keras.Model(mobile.inputs[0], mobile.get_layer(layer).output)
    wanted = POOLED[pooling](to(centred(wide), training=False).numpy())
    backbone = load_backbone(
        f"keras:MobileNet:{weights}", image_size=(32, 64), pooling=pooling, feature_layer=layer
    )
    assert backbone.feature_size == wanted.shape[1]
    same(vectors_of(backbone, wide), wanted)


def test_fingerprints_are_of_all_that_decides(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = map("modules {}".format, itertools.count())
    copy = str(shutil.copy(weights, tmp_path / "copy.weights.h5"))
    keras.utils.set_random_seed(8)
    retrained = keras.applications.MobileNet(include_top=False, weights=None)
    other = stored(retrained, tmp_path / "v.weights.h5")

    def fingerprint(weights: str, **more: str) -> str:
        # Nowhere is it noted.
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / next(places)))
        request = asked(f"keras:MobileNet:{weights}", **more)
        return keras_models.KerasModels().find(request).fingerprint

    first = fingerprint(weights)
    assert fingerprint(copy) == first
    others = [
        fingerprint(other),
        fingerprint("random"),
        fingerprint(weights, pooling="max"),
        fingerprint(weights, feature_layer="conv_pw_3_relu"),
    ]
    assert len({first, *others}) == 5
    # Nor does it depend on what was made before in the process.
    assert fingerprint("random") == others[1]


def test_a_network_that_is_known_is_not_made_again(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(weights, tmp_path / "w.weights.h5"))
    request = asked(f"keras:MobileNet:{file}")
    first = keras_models.KerasModels().find(request)
    with monkeypatch.context() as patched:
        patched.setattr(keras_models, "_made", None)
        assert keras_models.KerasModels().find(request).fingerprint == first.fingerprint
        # Written anew with the same content.
        file.write_bytes(file.read_bytes())
        assert keras_models.KerasModels().find(request).fingerprint == first.fingerprint
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(TypeError):
            keras_models.KerasModels().find(request)


# Downloads


@pytest.fixture
def from_address(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has Keras take the weights of MobileNet from another address."""
    module = sys.modules[keras.applications.MobileNet.__module__]
    return lambda address: monkeypatch.setattr(module, "BASE_WEIGHT_PATH", address)


def test_weights_that_cannot_be_had_tell_what_to_bring(
    from_address: Callable[[str], None], own_folder: Path, dead_url: str
) -> None:
    address = f"{dead_url}/"
    from_address(address)
    with pytest.raises(ModuleError) as caught:
        load_backbone("keras:MobileNet", image_size=(32, 32))
    words = str(caught.value)
    assert "Connection refused" in words
    assert f"{address}mobilenet_1_0_224_tf_no_top.h5" in words
    assert "--tfhub_module=keras:MobileNet:FILE" in words
    assert "HTTPS_PROXY" in words
    assert list(own_folder.rglob("*.h5")) == []
    with served(b"", status=404) as server:
        from_address(f"{server.url}/")
        with pytest.raises(ModuleError, match="404"):
            load_backbone("keras:MobileNet", image_size=(32, 32))
    assert len(server.requests) == 1


def test_weights_are_downloaded_once(
    from_address: Callable[[str], None], photos: Floats, mobile: Any, tmp_path: Path
) -> None:
    wanted = mobile(centred(photos), training=False).numpy().mean(axis=(1, 2))
    file = Path(stored_as_published(mobile, tmp_path / "w.h5"))
    with served(file.read_bytes()) as server:
        from_address(f"{server.url}/")
        backbone = load_backbone("keras:MobileNet", image_size=(32, 32))
        _, again = found(asked("keras:MobileNet"), photos)
    assert len(server.requests) == 1
    assert "MobileNet of Keras Applications" in backbone.credit
    same(vectors_of(backbone, photos), wanted)
    same(again, wanted)


# A person's own models


def small(*first: Any) -> Any:
    keras.utils.set_random_seed(11)
    return keras.Sequential(
        [
            keras.Input([32, 32, 3]),
            *first,
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6, activation="relu", name="hidden"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax", name="answer"),
        ]
    )


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_the_feature_vector_is_what_goes_into_the_last_dense_layer(
    ending: str, photos: Floats, tmp_path: Path
) -> None:
    model = small()
    path = tmp_path / f"model{ending}"
    model.save(path)
    wanted = keras.Model(model.inputs[0], model.get_layer("hidden").output)(photos).numpy()
    backbone = load_backbone(str(path))
    assert (backbone.image_size, backbone.feature_size) == ((32, 32), 6)
    same(vectors_of(backbone, photos), wanted)
    conv = load_backbone(str(path), feature_layer="conv", pooling="max")
    maps = keras.Model(model.inputs[0], model.get_layer("conv").output)(photos).numpy()
    same(vectors_of(conv, photos), maps.max(axis=(1, 2)))


@pytest.mark.parametrize(
    ("first", "largest"),
    [
        ([], 1),
        ([layers.Rescaling(1 / 255)], 255),
        ([layers.RandomFlip(), layers.Rescaling(1 / 127.5, offset=-1)], 255),
        ([layers.Rescaling(2, offset=-1)], 1),
        ([keras.Sequential([layers.RandomRotation(0.1), layers.Rescaling(1 / 255)])], 255),
    ],
)
def test_a_model_gets_the_pixels_that_it_rescales(
    first: list[Any], largest: int, photos: Floats, tmp_path: Path
) -> None:
    model = small(*first)
    model.save(tmp_path / "model.keras")
    features_of = keras.Model(model.inputs[0], model.get_layer("hidden").output)
    wanted = features_of(largest * photos, training=False).numpy()
    assert wanted.std() > 0
    same(vectors_of(load_backbone(str(tmp_path / "model.keras")), photos), wanted)


def without_dense() -> Any:
    return keras.Sequential([keras.Input([32, 32, 3]), layers.Conv2D(4, 3, name="only")])


def with_python() -> Any:
    return keras.Sequential(
        [keras.Input([32, 32, 3]), layers.Lambda(lambda x: x), layers.Flatten(), layers.Dense(2)]
    )


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (without_dense, {}, "has none. Name a layer with --feature_layer: only"),
        (small, {"feature_layer": "con"}, "Got con. The last ones: conv, global_average_pooling2d"),
        (small, {"image_size": (64, 64)}, "Got (64, 64)"),
        (with_python, {}, "needs none of its maker's Python code"),
    ],
)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_models_that_do_not_fit_get_the_rule(
    make: Callable[[], Any], settings: dict[str, Any], words: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model{ending}"
    make().save(path)
    with pytest.raises(ModuleError, match=re.escape(words)):
        load_backbone(str(path), **settings)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_file_that_is_no_model_is_told(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"model")
    with pytest.raises(ModuleError, match="cannot be loaded"):
        load_backbone(str(path))
    small().save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModuleError, match=r"keras:NAME:.*w\.weights\.h5"):
        load_backbone(str(tmp_path / "w.weights.h5"))
