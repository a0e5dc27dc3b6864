from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.labels_file import read_labels, write_labels
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Floats, Head

RNG = np.random.default_rng(7)
HEAD = Head(RNG.normal(size=(6, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32))
PHOTOS = RNG.uniform(size=(5, 8, 8, 3)).astype(np.float32)


def softmax(logits: Any) -> Any:
    powers = np.exp(np.float64(logits))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture(scope="module")
def graph_def(backbone: Backbone) -> Any:
    return build_graph(backbone, HEAD, final_tensor_name="final_result")


@pytest.fixture
def graph_file(tmp_path: Path, graph_def: Any) -> Path:
    write_graph(tmp_path / "graph.pb", graph_def)
    return tmp_path / "graph.pb"


def run_as_tensorflow_1_does(path: Path, fetch: str, feed: dict[str, Floats]) -> Any:
    """Runs a graph file in a session, by tensor names, as other people's programs do."""
    with tf.Graph().as_default() as graph:
        definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(fetch, feed)


def colour_features() -> Any:
    squares = PHOTOS.astype(np.float64) ** 2
    return 10 * np.concatenate([PHOTOS.mean((1, 2)), squares.mean((1, 2))], axis=1)


def test_photos_give_probabilities(graph_file: Path) -> None:
    wanted = softmax(colour_features() @ HEAD.weights + HEAD.bias)
    got = run_as_tensorflow_1_does(graph_file, "final_result:0", {"Placeholder:0": PHOTOS})
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    np.testing.assert_allclose(FrozenGraph(graph_file).scores(PHOTOS), wanted, atol=1e-6)


def test_feature_vectors_can_be_fed_in_the_photos_stead(graph_file: Path) -> None:
    vectors = RNG.normal(size=(4, 6)).astype(np.float32)
    got = run_as_tensorflow_1_does(
        graph_file, "final_result:0", {"input/BottleneckInputPlaceholder:0": vectors}
    )
    np.testing.assert_allclose(got, softmax(vectors @ HEAD.weights + HEAD.bias), atol=1e-6)


def test_a_hidden_layer_comes_before_the_softmax_layer(backbone: Backbone, tmp_path: Path) -> None:
    head = Head(
        RNG.normal(size=(4, 3)).astype(np.float32),
        HEAD.bias,
        RNG.normal(size=(6, 4)).astype(np.float32),
        RNG.normal(size=4).astype(np.float32),
    )
    graph_def = build_graph(backbone, head, final_tensor_name="final_result")
    write_graph(tmp_path / "graph.pb", graph_def)
    hidden = np.maximum(colour_features() @ head.hidden_weights + head.hidden_bias, 0)
    assert (hidden == 0).any()
    assert (hidden > 0).any()
    wanted = softmax(hidden @ head.weights + head.bias)
    np.testing.assert_allclose(FrozenGraph(tmp_path / "graph.pb").scores(PHOTOS), wanted, atol=1e-6)
    nodes = {node.name: node for node in graph_def.node}
    weights = nodes["final_retrain_ops/weights/final_weights"].attr["value"].tensor
    np.testing.assert_array_equal(tf.make_ndarray(weights), head.weights)
    new = {name for name in nodes if name.startswith("final_retrain_ops/hidden/")}
    plain = build_graph(backbone, HEAD, final_tensor_name="final_result")
    assert set(nodes) - new == {node.name for node in plain.node}


def test_the_promised_names_and_shapes(graph_def: Any) -> None:
    nodes = {node.name: node for node in graph_def.node}
    photos = nodes["Placeholder"]
    assert (photos.op, photos.attr["dtype"].type) == ("Placeholder", tf.float32.as_datatype_enum)
    assert [side.size for side in photos.attr["shape"].shape.dim] == [-1, 8, 8, 3]
    vectors = nodes["input/BottleneckInputPlaceholder"]
    assert vectors.op == "PlaceholderWithDefault"
    assert [side.size for side in vectors.attr["shape"].shape.dim] == [-1, 6]
    weights = nodes["final_retrain_ops/weights/final_weights"].attr["value"].tensor
    np.testing.assert_array_equal(tf.make_ndarray(weights), HEAD.weights)
    bias = nodes["final_retrain_ops/biases/final_biases"].attr["value"].tensor
    np.testing.assert_array_equal(tf.make_ndarray(bias), HEAD.bias)
    assert {name for name in nodes if name.startswith("final_retrain_ops/Wx_plus_b/")} == {
        "final_retrain_ops/Wx_plus_b/MatMul",
        "final_retrain_ops/Wx_plus_b/add",
    }
    assert nodes["final_result"].op == "Softmax"


def test_an_ordinary_inference_graph(graph_def: Any) -> None:
    assert not graph_def.HasField("library")
    assert {node.op for node in graph_def.node} <= {
        *("Placeholder", "PlaceholderWithDefault", "Const", "ConcatV2", "Mean", "Mul", "Square"),
        *("MatMul", "AddV2", "Softmax"),
    }
    seen: set[str] = set()
    for node in graph_def.node:
        assert set(node.input) <= seen, "a node stands before one of its inputs"
        seen.add(node.name)
    (product,) = [node for node in graph_def.node if node.op == "MatMul"]
    assert set(product.attr) == {"T"}, "attributes at their default are not written"


# A number was numbered anew once, as constants are.
@pytest.mark.parametrize("name", ["my.softmax-1", "1"])
def test_another_softmax_name(backbone: Backbone, tmp_path: Path, name: str) -> None:
    graph_def = build_graph(backbone, HEAD, final_tensor_name=name)
    assert graph_def.node[-1].name == name
    write_graph(tmp_path / "g.pb", graph_def)
    assert FrozenGraph(tmp_path / "g.pb").output_size == 3


def test_equal_graphs_have_equal_bytes(colour_module: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fresh = load_backbone(str(colour_module))
        built = build_graph(fresh, HEAD, final_tensor_name="final_result")
        write_graph(tmp_path / name, built)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_module_with_branches_keeps_its_answers(tmp_path: Path) -> None:
    """Control inputs and identities matter in a graph with branches, so they stay."""

    class Branching(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
        def __call__(self, photos: Any) -> Any:
            means = tf.reduce_mean(photos, [1, 2])
            return tf.cond(
                tf.reduce_mean(photos) > 0.5,
                lambda: means + tf.constant([1.0, 2.0, 3.0]),
                lambda: means - tf.constant([10.0, 20.0, 30.0]),
            )

    tf.saved_model.save(Branching(), str(tmp_path / "branching"))
    backbone = load_backbone(str(tmp_path / "branching"))
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    built = build_graph(backbone, head, final_tensor_name="final_result")
    write_graph(tmp_path / "g.pb", built)
    for photos in (PHOTOS * 0.1, PHOTOS * 0.1 + 0.9):
        shift = [1, 2, 3] if photos.mean() > 0.5 else [-10, -20, -30]
        wanted = softmax(photos.mean((1, 2)) + shift)
        np.testing.assert_allclose(FrozenGraph(tmp_path / "g.pb").scores(photos), wanted, atol=1e-6)


def test_layers_and_sizes_are_found(graph_file: Path) -> None:
    graph = FrozenGraph(graph_file)
    assert graph.image_size == (8, 8)
    assert graph.output_size == 3


@pytest.mark.parametrize(
    "layers",
    [
        {"input_layer": "Placeholder", "output_layer": "final_result"},
        {"input_layer": "Placeholder:0", "output_layer": "final_result:0"},
        {"output_layer": "final_retrain_ops/Wx_plus_b/add"},
    ],
)
def test_layers_can_be_named(graph_file: Path, layers: dict[str, Any]) -> None:
    assert FrozenGraph(graph_file, **layers).output_size == 3


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"input_layer": "input"}, ["--input_layer", "input", "Placeholder"]),
        ({"output_layer": "InceptionV3/Predictions"}, ["--output_layer", "final_result"]),
    ],
)
def test_a_wrong_layer_is_told_with_the_likely_ones(
    graph_file: Path, layers: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(GraphError) as told:
        FrozenGraph(graph_file, **layers)
    assert all(word in str(told.value) for word in words)


def test_several_inputs_must_be_named(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        parts = [tf.compat.v1.placeholder(tf.float32, [None, 4, 4, 3], name=name) for name in "ab"]
        tf.reduce_mean(tf.add_n(parts), [1, 2], name="out")
    write_graph(tmp_path / "g.pb", graph.as_graph_def())
    with pytest.raises(GraphError, match="--input_layer: one of a, b"):
        FrozenGraph(tmp_path / "g.pb")


def test_a_graph_of_unknown_ops_is_told_in_words(tmp_path: Path, graph_def: Any) -> None:
    strange = tf.compat.v1.GraphDef()
    strange.CopyFrom(graph_def)
    strange.node[-1].op = "SoftmaxOfAnotherWorld"
    write_graph(tmp_path / "g.pb", strange)
    with pytest.raises(GraphError, match="SoftmaxOfAnotherWorld"):
        FrozenGraph(tmp_path / "g.pb")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"<html>not a graph</html>", "none"),
        (b"\xff" * 40, "none"),
    ],
)
def test_a_file_that_is_no_graph(tmp_path: Path, contents: bytes | None, words: str) -> None:
    path = tmp_path / "g.pb"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(GraphError, match=words) as told:
        FrozenGraph(path)
    assert "g.pb" in str(told.value)


@pytest.mark.parametrize(
    "labels",
    [
        ("daisy", "rose"),
        ("玫瑰", "雏菊", "Ünï cödé"),
        (" leading", "trailing ", "two  spaces"),
        ("not utf-8 \udcff", "x"),
    ],
)
def test_labels_come_back_verbatim(tmp_path: Path, labels: tuple[str, ...]) -> None:
    write_labels(tmp_path / "labels.txt", labels)
    assert read_labels(tmp_path / "labels.txt") == labels


def test_the_labels_file_is_one_label_a_line_in_utf8(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.txt", ["玫瑰", "rose"])
    assert (tmp_path / "labels.txt").read_bytes() == "玫瑰\nrose\n".encode()


def test_labels_of_other_programs_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"daisy\r\nrose\r\ntulip")
    assert read_labels(tmp_path / "labels.txt") == ("daisy", "rose", "tulip")


def test_a_missing_labels_file(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="--labels"):
        read_labels(tmp_path / "labels.txt")
