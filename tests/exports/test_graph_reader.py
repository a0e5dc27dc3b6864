"""Graphs that others made, in the shapes of years past: built here node by node."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, solid

from image_retraining.exports.complaints import telling_line
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.foundation.errors import GraphError, PhotoError
from image_retraining.labelling.config import LabelConfig
from image_retraining.labelling.labeller import Labeller
from image_retraining.labelling.plates import Plates

LABELS = ("red", "green", "blue")
RNG = np.random.default_rng(5)
PHOTOS = RNG.uniform(-1, 1, size=(5, 8, 8, 3)).astype(np.float32)
# The 2015 Inception's own version, and that of TensorFlow 1.0, with which people retrained it.
INCEPTION_2015, TENSORFLOW_1 = 8, 21


def softmax(logits: Any) -> Any:
    powers = np.exp(np.float64(logits))
    return powers / powers.sum(axis=-1, keepdims=True)


def written(folder: Path, graph: Any, producer: int = TENSORFLOW_1) -> Path:
    graph_def = graph.as_graph_def()
    graph_def.versions.producer = producer
    (folder / "old.pb").write_bytes(graph_def.SerializeToString())
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return folder / "old.pb"


def poets(folder: Path, *, batch: int | None = 1, reshape_to: int = -1) -> Path:
    """The MobileNet of "TensorFlow for Poets": one photo at a time, from -1 to 1."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        photos = v1.placeholder(tf.float32, [batch, 8, 8, 3], name="input")
        with tf.name_scope("MobilenetV1"):
            pooled = tf.nn.avg_pool2d(photos, 8, 1, "VALID", name="Logits/AvgPool_1a/AvgPool")
            vectors = tf.reshape(pooled, [reshape_to, 3], name="Predictions/Reshape")
        vectors = v1.placeholder_with_default(
            vectors, [None, 3], name="input_1/BottleneckInputPlaceholder"
        )
        tf.nn.softmax(2 * vectors, name="final_result")
    return written(folder, graph)


def optimised(folder: Path) -> Path:
    """As optimize_for_inference and its like leave it: an input of no shape."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        photos = v1.placeholder(tf.float32, None, name="input")
        vectors = tf.reshape(tf.reduce_mean(photos, [1, 2]), [1, 3])
        tf.nn.softmax(2 * vectors, name="final_result")
    return written(folder, graph)


def inception_2015(folder: Path, producer: int) -> Path:
    """Decodes and resizes a JPEG file itself, which is fed in the place of a constant."""
    with tf.Graph().as_default() as graph:
        graph_def = graph.as_graph_def()
        contents = tf.constant(b"a JPEG file", name="DecodeJpeg/contents")
        pixels = tf.cast(tf.io.decode_jpeg(contents, channels=3, name="DecodeJpeg"), tf.float32)
        resized = tf.raw_ops.ResizeBilinear(images=pixels[tf.newaxis], size=[8, 8])
        scaled = tf.multiply(resized - 128.0, 1 / 128.0, name="Mul")
        tf.identity(scaled, name="conv/in")
        graph_def = graph.as_graph_def()
    numbers = {"mean": [0.0] * 3, "variance": [1.0 - 0.001] * 3, "beta": [0.0] * 3}
    for name, value in numbers.items():
        node = graph_def.node.add(name=f"conv/batchnorm/{name}", op="Const")
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.array(value, np.float32)))
    # TensorFlow 2 has no function that still makes this op.
    node = graph_def.node.add(name="conv/batchnorm", op="BatchNormWithGlobalNormalization")
    places = ("mean", "variance", "beta", "beta")
    node.input.extend(["conv/in", *(f"conv/batchnorm/{name}" for name in places)])
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["variance_epsilon"].f = 0.001
    node.attr["scale_after_normalization"].b = False
    graph_def.versions.producer = INCEPTION_2015
    with tf.Graph().as_default() as graph:
        (maps,) = tf.graph_util.import_graph_def(
            graph_def, return_elements=["conv/batchnorm:0"], name=""
        )
        pooled = tf.nn.avg_pool2d(maps, 8, 1, "VALID", name="pool_3")
        weights = tf.constant(2 * np.eye(3, dtype=np.float32))
        tf.nn.softmax(tf.squeeze(pooled, [1, 2]) @ weights, name="final_result")
    return written(folder, graph, producer)


def wanted(name: str, mean: float = 127.5, std: float = 127.5) -> Any:
    """The probabilities of a photo of one colour."""
    return softmax(2 * (np.array(COLOURS[name]) - mean) / std)


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Four photos of plain colours, the third of which is damaged."""
    contents = {
        "red.png": encoded(solid(COLOURS["red"])),
        "green.jpg": encoded(solid(COLOURS["green"]), "JPEG"),
        "bad.jpg": b"<html>not found</html>",
        "blue.png": encoded(solid(COLOURS["blue"])),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return [str(tmp_path / name) for name in contents]


def labeller(graph: Path, **settings: Any) -> Labeller:
    settings = {"labels": str(graph.parent / "labels.txt"), **settings}
    named = frozenset(settings)
    return Labeller(LabelConfig(graph=str(graph), image=("x.jpg",), named=named, **settings))


def check(made: Labeller, photos: list[str], expected: dict[str, Any], atol: float) -> None:
    predictions = list(made.predictions(photos))
    assert [prediction.path for prediction in predictions] == photos
    for prediction in predictions:
        name = Path(prediction.path).stem
        if name not in expected:
            assert prediction.scores is None
            assert prediction.reason
            assert made.answer(prediction).error
            continue
        assert prediction.scores is not None
        np.testing.assert_allclose(prediction.scores, expected[name], atol=atol)
        assert made.answer(prediction).ranked[0][0] == name


@pytest.mark.parametrize("batch", [1, 2, 3, None])
def test_graphs_of_a_fixed_batch(tmp_path: Path, batch: int | None) -> None:
    graph = FrozenGraph(poets(tmp_path, batch=batch))
    assert graph.image_size == (8, 8)
    expected = softmax(2 * PHOTOS.mean((1, 2)))
    np.testing.assert_allclose(graph.scores(PHOTOS), expected, atol=1e-6)


def test_a_batch_that_is_fixed_behind_the_input(tmp_path: Path) -> None:
    graph = FrozenGraph(poets(tmp_path, batch=None, reshape_to=1))
    with pytest.raises(GraphError, match=r"old\.pb"):
        graph.scores(PHOTOS)


def test_the_graph_of_the_poets(tmp_path: Path, photos: list[str]) -> None:
    made = labeller(poets(tmp_path), input_mean=127.5, input_std=127.5)
    # JPEG's colours are off by a few of 255.
    check(made, photos, {name: wanted(name) for name in LABELS}, atol=0.01)


def test_a_graph_of_no_input_shape(tmp_path: Path, photos: list[str]) -> None:
    graph = optimised(tmp_path)
    assert FrozenGraph(graph).image_size == (None, None)
    with pytest.raises(GraphError, match="--input_height"):
        labeller(graph)
    with pytest.raises(GraphError, match="--input_width"):
        labeller(graph, input_height=8)
    made = labeller(graph, input_height=8, input_width=8, input_mean=127.5, input_std=127.5)
    check(made, photos, {name: wanted(name) for name in LABELS}, atol=0.01)


def sized(folder: Path, side: int, *, pools: bool) -> Path:
    """One of no input shape that works with one size: maps of a 32nd of it, as MobileNet has."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        photos = v1.placeholder(tf.float32, None, name="input")
        maps = tf.nn.avg_pool2d(photos, 32, 32, "SAME")
        if pools:
            maps = tf.nn.avg_pool2d(maps, side // 32, 1, "VALID")
        vectors = tf.reshape(maps, [-1, 3 if pools else 3 * (side // 32) ** 2])
        tf.nn.softmax(2 * vectors[:, :3], name="final_result")
    return written(folder, graph)


@pytest.mark.parametrize(
    ("wanted_side", "pools", "reason"),
    [
        (160, True, "Computed output size would be negative"),
        (192, False, "Input to reshape is a tensor with 108 values"),
        # More rows than photos.
        (256, True, "--output_layer must give a row of scores a photo"),
    ],
)
def test_a_wrong_size_is_told_with_the_right_one(
    tmp_path: Path, photos: list[str], wanted_side: int, reason: str, *, pools: bool
) -> None:
    # Once: "Got old.pb: Graph execution error:".
    graph = sized(tmp_path, 224, pools=pools)
    made = labeller(graph, input_height=wanted_side, input_width=wanted_side)
    with pytest.raises(GraphError, match=rf"{reason}.* It works with 224 pixels") as told:
        list(made.predictions(photos))
    assert "Graph execution error" not in str(told.value)
    assert "\n" not in str(told.value)
    assert "--input_height=224 --input_width=224." in str(told.value)
    made = labeller(graph, input_height=224, input_width=224)
    check(made, photos[:1], {"red": wanted("red", 0, 255)}, atol=1e-3)


def test_a_size_that_nobody_would_guess(tmp_path: Path, photos: list[str]) -> None:
    made = labeller(sized(tmp_path, 96, pools=False), input_height=224, input_width=224)
    with pytest.raises(GraphError, match="none of 128, 160, 192, 224, 299 pixels"):
        list(made.predictions(photos))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("shapes differ", "shapes differ"),
        ("", "ValueError"),
        ("Graph execution error:\n\nDetected at node 'R' defined at\nno\n\t [[{{node R}}]]", "no"),
        (
            (
                "Graph execution error:\n\n2 root error(s) found.\n  (0) INVALID_ARGUMENT: bad "
                "shape\n\t [[{{node R}}]]\n  (1) CANCELLED: other\n0 successful operations."
            ),
            "bad shape",
        ),
    ],
)
def test_the_line_that_says_something(message: str, line: str) -> None:
    assert telling_line(ValueError(message)) == line


@pytest.mark.parametrize("producer", [INCEPTION_2015, TENSORFLOW_1])
def test_a_graph_of_photo_files(tmp_path: Path, photos: list[str], producer: int) -> None:
    graph = inception_2015(tmp_path, producer)
    found = FrozenGraph(graph)
    assert found.network().input_name == "DecodeJpeg/contents:0"
    assert found.scores_of_file is not None
    made = labeller(graph)
    check(made, photos, {name: wanted(name, 128, 128) for name in LABELS}, atol=0.01)
    (missing,) = made.predictions([str(tmp_path / "missing.jpg")])
    assert made.answer(missing).error == "No such file or directory"


def test_the_layer_may_be_named_as_the_tutorials_do(tmp_path: Path, photos: list[str]) -> None:
    made = labeller(inception_2015(tmp_path, INCEPTION_2015), input_layer="DecodeJpeg/contents:0")
    check(made, photos, {name: wanted(name, 128, 128) for name in LABELS}, atol=0.01)


def test_many_files_keep_their_order(tmp_path: Path, photos: list[str]) -> None:
    made = labeller(inception_2015(tmp_path, INCEPTION_2015))
    paths = [photos[0], photos[3], photos[1]] * 20
    best = [made.answer(prediction).ranked[0][0] for prediction in made.predictions(paths)]
    assert best == ["red", "blue", "green"] * 20


def test_settings_of_pixels_are_not_for_files(tmp_path: Path) -> None:
    graph = inception_2015(tmp_path, INCEPTION_2015)
    for settings in ({"input_height": 8}, {"input_mean": 128.0}, {"heatmap_dir": str(tmp_path)}):
        with pytest.raises(GraphError, match=r"graphs of pixels.*--input_layer"):
            labeller(graph, **settings)


def test_pixels_may_be_given_to_a_graph_of_files(tmp_path: Path, photos: list[str]) -> None:
    made = labeller(
        inception_2015(tmp_path, TENSORFLOW_1),
        input_layer="Mul",
        input_mean=128.0,
        input_std=128.0,
        heatmap_dir=str(tmp_path / "maps"),
    )
    check(made, photos, {name: wanted(name, 128, 128) for name in LABELS}, atol=0.01)
    (red,) = made.predictions(photos[:1])
    Plates(made, str(tmp_path / "maps")).draw(red)
    assert len(list((tmp_path / "maps").iterdir())) == 1


def test_lists_of_files(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        files = tf.compat.v1.placeholder(tf.string, [None], name="image_bytes")
        pixels = tf.cast(tf.io.decode_image(files[0], channels=3), tf.float32) / 255
        tf.nn.softmax(2 * tf.reduce_mean(pixels, [0, 1]), name="scores")
    # Its scores come without a dimension of photos.
    found = FrozenGraph(written(tmp_path, graph), input_layer="image_bytes")
    assert found.scores_of_file is not None
    scores = found.scores_of_file(encoded(solid(COLOURS["red"])))
    np.testing.assert_allclose(scores, wanted("red", 0, 255), atol=1e-6)
    with pytest.raises(PhotoError, match="cannot work with this file"):
        found.scores_of_file(b"no photo")


def test_scores_of_too_many_dimensions(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        photos = tf.compat.v1.placeholder(tf.float32, [1, 8, 8, 3], name="input")
        tf.nn.softmax(tf.reduce_mean(photos, [1, 2], keepdims=True), name="scores")
    found = FrozenGraph(written(tmp_path, graph))
    np.testing.assert_allclose(found.scores(PHOTOS), softmax(PHOTOS.mean((1, 2))), atol=1e-6)


def test_a_layer_that_gives_no_row_a_photo_is_told(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        photos = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.reduce_mean(photos, [1, 2], keepdims=True, name="map")
    found = FrozenGraph(written(tmp_path, graph))
    with pytest.raises(GraphError, match=r"--output_layer.*\(5, 1, 1, 3\) for 5 photos"):
        found.scores(PHOTOS)


def test_labels_are_counted_where_the_graph_leaves_them_open(
    tmp_path: Path, photos: list[str]
) -> None:
    with tf.Graph().as_default() as of_any_shape:
        pixels = tf.compat.v1.placeholder(tf.float32, None, name="input")
        tf.nn.softmax(tf.reduce_mean(pixels, [1, 2]), name="scores")
    graph = written(tmp_path, of_any_shape)
    (tmp_path / "two.txt").write_text("a\nb\n")
    made = labeller(graph, labels=str(tmp_path / "two.txt"), input_height=8, input_width=8)
    (red,) = made.predictions(photos[:1])
    with pytest.raises(GraphError, match=r"2 labels .*two\.txt for 3 outputs of .*old\.pb"):
        made.answer(red)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"input_layer": "Placeholder"}, "Likely ones: DecodeJpeg/contents"),
        ({"output_layer": "softmax"}, "Likely ones: final_result"),
    ],
)
def test_a_wrong_layer_is_told_with_the_likely_ones(
    tmp_path: Path, layers: dict[str, Any], words: str
) -> None:
    with pytest.raises(GraphError, match=words):
        FrozenGraph(inception_2015(tmp_path, INCEPTION_2015), **layers)
