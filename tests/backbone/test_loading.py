import gc
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from modules_made_here import (
    FEATURE_SIZE,
    TRAINING_SHIFT,
    archive_with,
    empty_folder,
    expected_features,
    features,
    no_folder,
    packed,
    photos_spec,
    random_photos,
    save_callable,
    save_signature,
    save_tf1_hub,
    served,
    some_file,
)

from image_retraining.backbone import loading
from image_retraining.backbone.handles import MODULE_RULE
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.backbone.sources.folder import fingerprint
from image_retraining.backbone.sources.source import Request
from image_retraining.backbone.sources.table import find
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.foundation.errors import DownloadError, ModuleError

NOT_PLAIN = {
    *("VarHandleOp", "ReadVariableOp", "VariableV2", "Variable", "AssignVariableOp"),
    *("PartitionedCall", "StatefulPartitionedCall"),
}


@pytest.fixture(scope="module")
def plain_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_signature(tmp_path_factory.mktemp("modules") / "plain")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that downloads go to; a proxy would spoil 127.0.0.1."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFHUB_MODEL_LOAD_FORMAT", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def assert_gives_the_features(backbone: Backbone, height: int = 8, width: int = 8) -> None:
    assert backbone.image_size == (height, width)
    assert backbone.feature_size == FEATURE_SIZE
    photos = random_photos(3, height, width)
    answer = EngineChoice().make(backbone)(photos)
    assert answer.shape == (3, FEATURE_SIZE)
    assert answer.dtype == tf.float32
    np.testing.assert_allclose(answer, expected_features(photos), rtol=1e-4, atol=1e-5)


def assert_is_plain(backbone: Backbone) -> None:
    assert not {node.op for node in backbone.graph_def.node} & NOT_PLAIN
    assert not backbone.graph_def.HasField("library")


# --- TF2 SavedModels with a signature


@pytest.mark.parametrize("signature", ["serving_default", "default"])
@pytest.mark.parametrize("name", ["photos", "inputs", "keras_tensor_12"])
def test_a_signature_gives_the_features(signature: str, name: str, tmp_path: Path) -> None:
    spec = photos_spec(name=name)
    folder = save_signature(tmp_path / "m", features, spec, signature=signature)
    assert_gives_the_features(load_backbone(str(folder)))


def test_a_backbone_says_what_it_is(plain_module: Path) -> None:
    backbone = load_backbone(str(plain_module))
    assert backbone.handle == str(plain_module)
    assert backbone.fingerprint == fingerprint(str(plain_module))
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(backbone.graph_def, name="")
    photos = graph.get_tensor_by_name(backbone.input_name)
    assert (photos.dtype, photos.shape.as_list()) == (tf.float32, [None, 8, 8, 3])
    vectors = graph.get_tensor_by_name(backbone.output_name)
    assert (vectors.dtype, vectors.shape.as_list()) == (tf.float32, [None, FEATURE_SIZE])


def test_a_frozen_graph_is_of_constants_and_plain_ops(plain_module: Path) -> None:
    backbone = load_backbone(str(plain_module))
    assert "MatMul" in {node.op for node in backbone.graph_def.node}
    assert_is_plain(backbone)


def photo_by_photo(weights: Any, photos: Any) -> Any:
    vectors = tf.map_fn(lambda photo: features(weights, photo[tf.newaxis])[0], photos)
    return tf.cond(tf.reduce_all(photos < 2), lambda: vectors, lambda: -vectors)


# Once: a frozen loop fails inside of tf.function; in a session or wrap_function it works.
def test_a_module_with_loops_and_branches_gives_the_features(tmp_path: Path) -> None:
    backbone = load_backbone(str(save_signature(tmp_path / "m", photo_by_photo)))
    assert_gives_the_features(backbone)
    assert_is_plain(backbone)


def with_numbers(weights: Any, photos: Any) -> Any:
    left, right = tf.split(features(weights, photos), [2, 3], axis=1, name="1")
    return tf.concat([left, right], axis=1, name="scope/2")


def with_our_names(weights: Any, photos: Any) -> Any:
    doubled = tf.constant(2.0, name="3") * features(weights, photos)
    one = tf.constant(1.0, name="constant_1")
    return doubled / tf.add(tf.add(one, 0.0, name="constant_0"), one, name="constant_2")


# Once: the second output of the first was looked for under its old name, in a graph that was kept.
@pytest.mark.parametrize("answer", [with_numbers, with_our_names])
def test_nodes_of_a_module_may_have_numbers_for_names(answer: Any, tmp_path: Path) -> None:
    backbone = load_backbone(str(save_signature(tmp_path / "m", answer)))
    assert_gives_the_features(backbone)
    names = [node.name for node in backbone.graph_def.node]
    assert len(set(names)) == len(names)


def test_a_frozen_graph_gives_what_the_module_itself_gives(plain_module: Path) -> None:
    photos = random_photos(7)
    module = tf.saved_model.load(str(plain_module))
    (itself,) = module.signatures["serving_default"](photos=photos).values()
    frozen = EngineChoice().make(load_backbone(str(plain_module)))(photos)
    np.testing.assert_allclose(frozen, itself, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_a_batch_may_have_any_size(count: int, plain_module: Path) -> None:
    photos = random_photos(count)
    answer = EngineChoice().make(load_backbone(str(plain_module)))(photos)
    assert answer.shape == (count, FEATURE_SIZE)
    np.testing.assert_allclose(answer, expected_features(photos), rtol=1e-4, atol=1e-5)


def test_the_engine_outlives_what_it_was_made_of(tmp_path: Path) -> None:
    folder = save_signature(tmp_path / "m")
    engine = EngineChoice().make(load_backbone(str(folder)))
    for path in folder.rglob("*.*"):
        path.unlink()
    gc.collect()
    photos = random_photos(2)
    np.testing.assert_allclose(engine(photos), expected_features(photos), rtol=1e-4, atol=1e-5)


# --- which of several outputs


def feature_map(weights: Any, photos: Any) -> Any:
    """Returns float32 [N, 8, 8, FEATURE_SIZE]."""
    return tf.tensordot(photos, weights, axes=1)


def several_outputs(*names: str) -> Callable[[Any, Any], dict[str, Any]]:
    """Returns an answer: the features by the first name, by the others a map and other vectors."""

    def answer(weights: Any, photos: Any) -> dict[str, Any]:
        right = features(weights, photos)
        return {
            names[0]: right,
            "a_feature_map": feature_map(weights, photos),
            "of_no_type": tf.cast(right, tf.int32),
        } | {name: tf.concat([right, right], 1) - 1 for name in names[1:]}

    return answer


@pytest.mark.parametrize(
    "names",
    [
        ("default",),
        ("feature_vector",),
        ("logits",),
        ("output_1",),
        ("default", "a_vector", "logits"),
        ("feature_vector", "a_vector", "logits"),
        ("default", "feature_vector"),
        ("output_0", "output_1"),
    ],
    ids="+".join,
)
def test_of_several_outputs_the_feature_vector_is_taken(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    folder = save_signature(tmp_path / "m", several_outputs(*names))
    assert_gives_the_features(load_backbone(str(folder)))


def test_a_choice_between_vectors_is_logged(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    folder = save_signature(tmp_path / "m", several_outputs("feature_vector", "logits"))
    load_backbone(str(folder))
    (message,) = {message for message in logged.messages if "is taken" in message}
    assert "'feature_vector' is taken" in message
    assert "logits" in message


def test_scores_of_a_classifier_serve_as_features(tmp_path: Path) -> None:
    folder = save_signature(
        tmp_path / "m", lambda weights, photos: {"logits": features(weights, photos)}
    )
    assert_gives_the_features(load_backbone(str(folder)))


def of_unknown_size(weights: Any, photos: Any) -> Any:
    """Returns the features, in a shape that tracing cannot know."""
    size = tf.cast(tf.reduce_max(tf.ones_like(photos)) * FEATURE_SIZE, tf.int32)
    return tf.reshape(features(weights, photos), tf.stack([-1, size]))


def test_a_feature_size_that_the_graph_does_not_know_is_measured(tmp_path: Path) -> None:
    folder = save_signature(tmp_path / "m", of_unknown_size)
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"]
    assert answer.structured_outputs["output_0"].shape.as_list() == [None, None]
    assert_gives_the_features(load_backbone(str(folder)))


# --- reusable SavedModels without signatures


def plain(self: Any, photos: Any) -> Any:
    return features(self.weights, photos)


def with_training(self: Any, photos: Any, training: Any = False) -> Any:  # noqa: FBT002
    return features(self.weights, photos) + (TRAINING_SHIFT if training else 0)


def with_training_on(self: Any, photos: Any, training: Any = True) -> Any:  # noqa: FBT002
    return with_training(self, photos, training)


def with_keyword_training(self: Any, photos: Any, *, training: Any = False) -> Any:
    return with_training(self, photos, training)


def with_named_training(self: Any, photos: Any, *, training: Any) -> Any:
    return with_training(self, photos, training)


def with_is_training(self: Any, photos: Any, is_training: Any = False) -> Any:  # noqa: FBT002
    return with_training(self, photos, is_training)


def with_mask(self: Any, photos: Any, training: Any = None, mask: Any = None) -> Any:
    return with_training(self, photos, training) if mask is None else mask


BOTH: tuple[dict[str, Any], ...] = ({"training": True}, {"training": False})


@pytest.mark.parametrize(
    ("call", "traces"),
    [
        (plain, ()),
        (with_training, ()),
        (with_training, BOTH),
        (with_training, BOTH[::-1]),
        (with_training_on, BOTH),
        (with_keyword_training, ()),
        (with_keyword_training, BOTH),
        (with_named_training, BOTH),
        # Once: any argument that is False is taken for one named training.
        (with_is_training, ({"is_training": True}, {"is_training": False})),
        (with_mask, ()),
        (with_mask, BOTH),
    ],
)
def test_a_module_that_can_only_be_called_gives_the_features(
    call: Callable[..., Any], traces: tuple[dict[str, Any], ...], tmp_path: Path
) -> None:
    folder = save_callable(tmp_path / "m", call, *traces)
    assert not tf.saved_model.load(str(folder)).signatures
    backbone = load_backbone(str(folder))
    assert_gives_the_features(backbone)
    assert_is_plain(backbone)


def as_tuple(self: Any, photos: Any) -> Any:
    return feature_map(self.weights, photos), features(self.weights, photos)


def as_list(self: Any, photos: Any) -> Any:
    return [features(self.weights, photos), feature_map(self.weights, photos)]


def as_mapping(self: Any, photos: Any) -> Any:
    right = features(self.weights, photos)
    return {"default": right, "a": right - 1, "b": feature_map(self.weights, photos)}


def as_nest(self: Any, photos: Any) -> Any:
    maps = [feature_map(self.weights, photos), photos]
    return features(self.weights, photos), {"maps": maps}


def as_long_list(self: Any, photos: Any) -> Any:
    """Gives vectors at places 2 and 10, of which '10' comes first in the order of letters."""
    maps = [feature_map(self.weights, photos)] * 11
    maps[2] = features(self.weights, photos)
    maps[10] = maps[2] - 1
    return maps


# Once: outputs inside of outputs are an AttributeError; place 10 is taken before place 2.
@pytest.mark.parametrize("call", [as_tuple, as_list, as_mapping, as_nest, as_long_list])
def test_of_what_a_call_returns_the_feature_vector_is_taken(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    assert_gives_the_features(load_backbone(str(save_callable(tmp_path / "m", call))))


def test_a_module_that_can_only_learn_is_refused(tmp_path: Path) -> None:
    folder = save_callable(tmp_path / "m", with_named_training, {"training": True})
    assert "no function of photos alone" in refused(str(folder))


# --- other kinds


# Once: reference variables, which TF1 made unless told otherwise, are not frozen: the graph works
# in this process alone.
@pytest.mark.parametrize("use_resource", [True, False])
def test_a_module_in_tf1_hub_format_gives_the_features(
    use_resource: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    backbone = load_backbone(str(save_tf1_hub(tmp_path / "m", use_resource=use_resource)))
    assert_gives_the_features(backbone)
    assert_is_plain(backbone)


def test_a_keras_model_that_was_exported_gives_the_features(tmp_path: Path) -> None:
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input([8, 8, 3]),
            layers.Conv2D(6, 3, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.9),
            layers.Dense(FEATURE_SIZE),
        ]
    )
    normalization = model.layers[1]
    # Neutral statistics would hide a layer that takes those of the batch.
    generator = np.random.default_rng(2)
    normalization.set_weights([generator.random(6, np.float32) + 0.5 for _ in range(4)])
    model.export(str(tmp_path / "m"), verbose=False)
    backbone = load_backbone(str(tmp_path / "m"))
    photos = random_photos(4)
    answer = EngineChoice().make(backbone)(photos)
    np.testing.assert_allclose(answer, model(photos, training=False), rtol=1e-4, atol=1e-5)
    assert_is_plain(backbone)


def counting(weights: Any, photos: Any) -> Any:
    with tf.control_dependencies([weights.assign_add(tf.ones_like(weights))]):
        return features(weights, photos)


# Once: that freezing fails shows as a traceback.
def test_a_module_that_changes_as_it_answers_is_refused(tmp_path: Path) -> None:
    refused(str(save_signature(tmp_path / "m", counting)))


def test_an_archive_gives_the_features(plain_module: Path, tmp_path: Path) -> None:
    archive = tmp_path / "module.tar.gz"
    archive.write_bytes(packed(plain_module))
    backbone = load_backbone(str(archive))
    assert backbone.handle == str(archive)
    assert backbone.fingerprint == load_backbone(str(plain_module)).fingerprint
    assert_gives_the_features(backbone)


# --- sizes of photos


def test_the_size_of_photos_is_the_signatures(tmp_path: Path) -> None:
    folder = save_signature(tmp_path / "m", features, photos_spec(None, 6, 9, 3))
    assert_gives_the_features(load_backbone(str(folder)), 6, 9)
    assert_gives_the_features(load_backbone(str(folder), image_size=(6, 9)), 6, 9)


OPEN = [(None, None, None, 3), (None, None, None, None), (None, 6, None, 3)]


@pytest.mark.parametrize("shape", OPEN)
def test_a_size_left_open_is_given(shape: tuple[int | None, ...], tmp_path: Path) -> None:
    folder = str(save_signature(tmp_path / "m", features, photos_spec(*shape)))
    assert_gives_the_features(load_backbone(folder, image_size=(6, 9)), 6, 9)


@pytest.mark.parametrize("shape", OPEN)
def test_a_size_left_open_must_be_given(shape: tuple[int | None, ...], tmp_path: Path) -> None:
    folder = str(save_signature(tmp_path / "m", features, photos_spec(*shape)))
    with pytest.raises(ModuleError) as caught:
        load_backbone(folder)
    assert str(caught.value) == (
        f"{folder} leaves the size of its photos open. Give the one it was trained for, as in "
        "--image_size=224."
    )


# Once: a height that the module fixes is not held against the size given.
def test_a_size_left_half_open_must_fit(tmp_path: Path) -> None:
    folder = save_signature(tmp_path / "m", features, photos_spec(None, 6, None, 3))
    with pytest.raises(ModuleError, match=r"\(7, 9\)"):
        load_backbone(str(folder), image_size=(7, 9))


def test_a_size_left_open_by_a_call_is_given(tmp_path: Path) -> None:
    folder = save_callable(tmp_path / "m", plain, photos=photos_spec(None, None, None, 3))
    assert_gives_the_features(load_backbone(str(folder), image_size=(5, 7)), 5, 7)


def test_a_size_for_a_module_that_has_one_is_refused(plain_module: Path) -> None:
    message = (
        "--image_size is for modules that leave it open. "
        f"Got (8, 9) for {plain_module}, which takes photos of (8, 8) (height, width)."
    )
    with pytest.raises(ModuleError, match=f"^{re.escape(message)}$"):
        load_backbone(str(plain_module), image_size=(8, 9))


def pooled_by_32(weights: Any, photos: Any) -> Any:
    """Returns the features of photos of 32 x 32 and more."""
    return features(weights, tf.nn.avg_pool2d(photos, 32, 32, "VALID"))


def as_image_of_32(weights: Any, photos: Any) -> Any:
    """Returns features of photos of 32 x 32 alone."""
    return tf.reshape(photos, [-1, 32 * 32 * 3])[:, :3] @ weights + features(weights, photos)


# Once: that a module cannot work with the size given shows as a traceback, or not at all.
@pytest.mark.parametrize("answer", [pooled_by_32, as_image_of_32])
def test_a_size_that_the_module_cannot_work_with_is_refused(
    answer: Callable[..., Any], tmp_path: Path
) -> None:
    folder = save_signature(tmp_path / "m", answer, photos_spec(None, None, None, 3))
    with pytest.raises(ModuleError, match=r"\(8, 8\)|8x8|8 x 8"):
        load_backbone(str(folder), image_size=(8, 8))


# --- what is no image module


def refused(handle: str) -> str:
    """Returns what the refusal of a module says after the rule and 'Got <handle>'."""
    with pytest.raises(ModuleError) as caught:
        load_backbone(handle)
    message = str(caught.value)
    assert not isinstance(caught.value, DownloadError)
    assert message.startswith(f"{MODULE_RULE} ")
    assert f"Got {handle}, " in message
    return message.removeprefix(MODULE_RULE)


def length_of_text(weights: Any, text: Any) -> Any:
    return tf.cast(tf.strings.length(text), tf.float32)[:, tf.newaxis] * weights[:1]


def of_any_numbers(weights: Any, numbers: Any) -> Any:
    return tf.reduce_sum(tf.cast(numbers, tf.float32)) * weights


@pytest.mark.parametrize(
    ("answer", "spec", "words"),
    [
        (length_of_text, photos_spec(None, dtype=tf.string), ["text"]),
        (of_any_numbers, photos_spec(None, 8, 8), ["float32 [None, 8, 8]"]),
        (of_any_numbers, photos_spec(None, 2, 8, 8, 3), ["float32 [None, 2, 8, 8, 3]"]),
        (of_any_numbers, photos_spec(None, 8, 8, 1), ["float32 [None, 8, 8, 1]"]),
        (of_any_numbers, photos_spec(None, 8, 8, 4), ["float32 [None, 8, 8, 4]"]),
        (of_any_numbers, photos_spec(None, 3, 8, 8), ["float32 [None, 3, 8, 8]"]),
        (of_any_numbers, photos_spec(1, 8, 8, 3), ["float32 [1, 8, 8, 3]"]),
        (of_any_numbers, photos_spec(dtype=tf.uint8), ["uint8 [None, 8, 8, 3]"]),
        (of_any_numbers, photos_spec(dtype=tf.float64), ["float64 [None, 8, 8, 3]"]),
    ],
    ids=["text", "rank 3", "rank 5", "grey", "alpha", "NCHW", "batch of 1", "uint8", "float64"],
)
def test_a_module_that_does_not_take_photos_is_refused(
    answer: Callable[..., Any], spec: Any, words: list[str], tmp_path: Path
) -> None:
    message = refused(str(save_signature(tmp_path / "m", answer, spec)))
    for word in words:
        assert word in message
    if words != ["text"]:
        assert "must take photos as float32 [None, height, width, 3]" in message


def test_a_module_of_two_inputs_is_refused(tmp_path: Path) -> None:
    specs = [photos_spec(), photos_spec(None, dtype=tf.int32, name="ages")]
    folder = save_signature(
        tmp_path / "m", lambda weights, photos, _: features(weights, photos), *specs
    )
    message = refused(str(folder))
    assert "'serving_default' takes 2 inputs" in message
    assert "ages" in message
    assert "photos" in message


# Once: TensorFlow's AutoGraph rewrites our own functions, and then the text of our own errors.
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (feature_map, "output_0 (None, 8, 8, 5)"),
        (lambda _, photos: {"ages": tf.reduce_mean(photos, [1, 2, 3])}, "ages (None,)"),
        (lambda w, photos: tf.cast(features(w, photos), tf.int32), "output_0 (None, 5)"),
    ],
    ids=["map", "number", "integers"],
)
def test_a_module_without_feature_vectors_is_refused(
    answer: Callable[..., Any], words: str, tmp_path: Path
) -> None:
    message = refused(str(save_signature(tmp_path / "m", answer)))
    assert "must put out feature vectors, float32 [None, D]" in message
    assert words in message


# Once: a [1, D] for any batch passes for a batch of feature vectors.
def test_vectors_that_are_not_one_a_photo_are_refused(tmp_path: Path) -> None:
    folder = save_signature(
        tmp_path / "m", lambda w, photos: tf.reduce_mean(features(w, photos), 0, keepdims=True)
    )
    assert "must put out feature vectors" in refused(str(folder))


def test_a_module_of_other_signatures_is_refused(tmp_path: Path) -> None:
    message = refused(str(save_signature(tmp_path / "m", signature="image_classification")))
    assert "serving_default and default" in message
    assert "Its signatures: image_classification." in message


def test_a_module_that_does_nothing_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    assert "Its signatures: none." in refused(str(tmp_path / "m"))


def test_a_call_of_two_inputs_is_refused(tmp_path: Path) -> None:
    def call(self: Any, photos: Any, ages: Any) -> Any:
        return plain(self, photos) + ages

    folder = save_callable(tmp_path / "m", call, {"ages": tf.TensorSpec([], tf.float32)})
    assert "no function of photos alone" in refused(str(folder))


def garbage(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\xff garbage \x00" * 9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_folder, "does not exist as a folder"),
        (some_file, "does not exist as a folder"),
        (empty_folder, "cannot be loaded"),
        (garbage, "cannot be loaded"),
    ],
)
def test_what_is_no_module_is_refused(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    make(tmp_path / "m")
    assert words in refused(str(tmp_path / "m"))


# --- URLs, and the stand-in for the default module


def warnings_of(logged: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in logged.records if r.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("is_default", [False, True])
def test_a_url_gives_the_features(
    is_default: bool,  # noqa: FBT001
    plain_module: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    with served(packed(plain_module)) as server:
        backbone = load_backbone(server.url, is_default=is_default)
        asked = len(server.requests)
        again = load_backbone(server.url, is_default=is_default)
        assert len(server.requests) == asked
    assert backbone.handle == server.url
    assert backbone.fingerprint == again.fingerprint == fingerprint(str(plain_module))
    assert_gives_the_features(backbone)
    assert warnings_of(logged) == []


def test_the_offline_module_stands_in_for_the_default_one(
    dead_url: str, logged: pytest.LogCaptureFixture
) -> None:
    backbone = load_backbone(dead_url, is_default=True)
    assert backbone.handle == "efficientnet_lite0"
    builtin = find(Request(handle="builtin", image_size=None, patience=1))
    assert backbone.fingerprint == builtin.fingerprint
    (warning,) = warnings_of(logged)
    assert "efficientnet_lite0, whose weights come with this tool, stands in for it" in warning
    assert "To have the other one go online" in warning
    assert "--tfhub_module" in warning
    assert dead_url in warning


def test_nothing_stands_in_for_a_module_that_was_asked_for(
    dead_url: str, logged: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DownloadError, match=re.escape(dead_url)):
        load_backbone(dead_url)
    assert warnings_of(logged) == []


@pytest.mark.parametrize("body", [archive_with("notes.txt"), archive_with("saved_model.pb")])
def test_nothing_stands_in_for_a_default_module_that_is_broken(
    body: bytes, logged: pytest.LogCaptureFixture
) -> None:
    with served(body) as server, pytest.raises(ModuleError, match="cannot be loaded") as caught:
        load_backbone(server.url, is_default=True)
    assert not isinstance(caught.value, DownloadError)
    assert warnings_of(logged) == []


def test_the_stand_in_takes_an_image_size(dead_url: str) -> None:
    backbone = load_backbone(dead_url, image_size=(64, 96), is_default=True)
    assert backbone.image_size == (64, 96)


@pytest.mark.parametrize(
    ("is_default", "patient"),
    [(True, "_NAMED_MODULE_SECONDS"), (False, "_DEFAULT_MODULE_SECONDS")],
)
def test_a_silent_server_is_not_waited_for(
    is_default: bool,  # noqa: FBT001
    patient: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    for name in ("_NAMED_MODULE_SECONDS", "_DEFAULT_MODULE_SECONDS"):
        monkeypatch.setattr(loading, name, 300 if name == patient else 0.3)
    with served(b"", manner="silent") as server:
        if is_default:
            assert load_backbone(server.url, is_default=True).handle == "efficientnet_lite0"
            (words,) = warnings_of(logged)
        else:
            with pytest.raises(DownloadError) as caught:
                load_backbone(server.url)
            words = str(caught.value)
    assert "timed out" in words or "no answer within 0.3 seconds" in words


# Once: tensorflow_hub takes an archive that ends within a file's header for a whole one, and
# keeps what came of it for ever.
def test_a_download_that_was_cut_short_is_not_kept(tmp_path: Path) -> None:
    folder = save_signature(tmp_path / "m")
    archive = packed(folder, mode="w:")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        header = tar.getmember("./variables/variables.data-00000-of-00001").offset
    with served(archive[: header + 256]) as server, pytest.raises(ModuleError):
        load_backbone(server.url)
    port = int(server.url.split(":")[2].split("/")[0])
    with served(archive, port=port) as server:
        assert_gives_the_features(load_backbone(server.url))
