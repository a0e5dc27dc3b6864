import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from conftest import encoded, save_module
from facts_made_here import facts
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from image_retraining.backbone.loading import load_backbone
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.tflite.metadata import normalization_of
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import (
    Enclosed,
    Quantization,
    calibration_photos,
    write_tflite,
)
from image_retraining.foundation.errors import ExportError, GraphError
from image_retraining.foundation.quiet import quiet_stderr
from image_retraining.foundation.records import FeatureSet, Head
from image_retraining.labelling.config import LabelConfig
from image_retraining.labelling.labeller import Labeller

RNG = np.random.default_rng(7)
# Dark ones and bright ones of each colour, so that their probabilities differ.
PHOTOS = (RNG.uniform(size=(5, 8, 8, 3)) * RNG.uniform(size=(5, 1, 1, 3))).astype(np.float32)
HEAD = Head(RNG.normal(0, 0.33, (32, 3)).astype(np.float32), np.zeros(3, np.float32))
FILTERS = RNG.normal(size=(5, 5, 3, 32)).astype(np.float32)
FACTS = facts()
ENCLOSED = Enclosed(FACTS.labels, FACTS.as_json().encode())

# To another package; the one of TensorFlow 2.21 works.
deprecated = pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated")


def convolution(photos: Any) -> Any:
    """Returns float32 [N, 32], as the simplest of convolutional networks."""
    return tf.reduce_mean(tf.nn.relu6(tf.nn.conv2d(photos, FILTERS, 1, "SAME")), [1, 2])


@pytest.fixture(scope="module")
def graph_def(tmp_path_factory: pytest.TempPathFactory) -> Any:
    backbone = load_backbone(str(save_module(tmp_path_factory.mktemp("m") / "m", convolution)))
    return build_graph(backbone, HEAD, final_tensor_name="final_result")


def graph_of(function: Callable[[Any], Any]) -> Any:
    """Returns a graph of a function of the photos' mean colours."""
    with tf.Graph().as_default() as graph:
        photos = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="Placeholder")
        tf.nn.softmax(function(tf.reduce_mean(photos, [1, 2])), name="final_result")
    return graph.as_graph_def()


def export(
    path: Path, graph_def: Any, kind: str = "none", enclosed: Enclosed = ENCLOSED
) -> TFLiteModel:
    quantization = Quantization(kind, [PHOTOS[:2], PHOTOS[2:]])
    write_tflite(
        path, graph_def, output_layer="final_result", quantization=quantization, enclosed=enclosed
    )
    return TFLiteModel(path)


@pytest.mark.parametrize(("kind", "near"), [("none", 1e-5), ("float16", 2e-3), ("int8", 0.05)])
def test_a_tflite_file_scores_as_the_graph_does(
    tmp_path: Path, graph_def: Any, kind: str, near: float
) -> None:
    model = export(tmp_path / "m.tflite", graph_def, kind)
    write_graph(tmp_path / "g.pb", graph_def)
    wanted = FrozenGraph(tmp_path / "g.pb").scores(PHOTOS)
    assert np.ptp(wanted, axis=0).max() > 0.2, "photos that a constant answer would not fit"
    for photos in (PHOTOS, PHOTOS[:1], PHOTOS[:0], PHOTOS[:3]):
        got = model.scores(photos)
        assert got.dtype == np.float32
        assert got.shape == (len(photos), 3)
        np.testing.assert_allclose(got, wanted[: len(photos)], atol=near)
    assert (model.image_size, model.output_size) == ((8, 8), 3)


def test_fewer_bits_are_smaller(tmp_path: Path, graph_def: Any) -> None:
    sizes = {}
    for kind in ("none", "float16", "int8"):
        export(tmp_path / kind, graph_def, kind)
        sizes[kind] = (tmp_path / kind).stat().st_size
    # The filters are 5 * 5 * 3 * 32 numbers of 4, 2 and 1 bytes; the rest is a few kilobytes.
    assert sizes["none"] - sizes["float16"] > 3000
    assert sizes["none"] - sizes["int8"] > 4000


def test_an_int8_file_takes_the_pixels_of_photo_files(tmp_path: Path, graph_def: Any) -> None:
    model = export(tmp_path / "m.tflite", graph_def, "int8")
    details = model._interpreter.get_input_details() + model._interpreter.get_output_details()  # noqa: SLF001
    # Of the outputs, MediaPipe wants all or none in integers.
    assert [end["dtype"] for end in details] == [np.uint8] * 3
    assert [end["quantization"][1] for end in details] == [0, 0, 0]
    # Pixel q means q / 255, though no photo reaches from 0 to 1; a probability is q / 256.
    assert details[0]["quantization"][0] == np.float32(1 / 255)
    assert details[1]["quantization"][0] == 1 / 256


def test_equal_graphs_have_equal_bytes(tmp_path: Path, graph_def: Any) -> None:
    for kind in ("float16", "int8"):
        contents = []
        for _ in range(2):
            export(tmp_path / "m", graph_def, kind)
            contents.append((tmp_path / "m").read_bytes())
        assert contents[0] == contents[1]


@pytest.mark.parametrize("kind", ["none", "int8"])
def test_labels_and_facts_are_in_the_file(tmp_path: Path, graph_def: Any, kind: str) -> None:
    model = export(tmp_path / "m.tflite", graph_def, kind)
    assert model.labels == ENCLOSED.labels
    assert model.facts == FACTS
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt") == "rose\n玫瑰\nÜnï cödé\n".encode()
        # MediaPipe reads no compressed ones.
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_metadata_is_of_the_standard(tmp_path: Path, graph_def: Any) -> None:
    """The buffer has the schema's mark, and points from the output to its labels."""
    export(tmp_path / "m.tflite", graph_def)
    contents = (tmp_path / "m.tflite").read_bytes()
    assert contents[4:8] == b"TFL3"
    assert b"TFLITE_METADATA\0" in contents
    start = contents.index(b"M001") - 4
    root = contents[start:]
    names = [b"image", b"probability", b"features", b"labels.txt", b"model.json", b"1.0.0"]
    archive = contents.index(b"PK\x03\x04")
    assert all(len(name).to_bytes(4, "little") + name + b"\0" in root[:archive] for name in names)

    def table(place: int) -> Callable[[int], int]:
        """Returns a function from a field's number to its place, 0 when it is left out."""
        fields = place - int.from_bytes(root[place : place + 4], "little", signed=True)
        size = int.from_bytes(root[fields : fields + 2], "little")

        def field(number: int) -> int:
            slot = 4 + 2 * number
            offset = int.from_bytes(root[fields + slot : fields + slot + 2], "little")
            return place + offset if slot < size and offset else 0

        return field

    def follow(place: int) -> int:
        return place + int.from_bytes(root[place : place + 4], "little")

    def first(place: int, *, count: int = 1) -> int:
        """Follows a field of a list of tables to the first of them."""
        listed = follow(place)
        assert int.from_bytes(root[listed : listed + 4], "little") == count
        return follow(listed + 4)

    # ModelMetadata.subgraph_metadata, its output_tensor_metadata, its associated_files. MediaPipe
    # refuses files that do not tell of each output.
    output = table(first(table(first(table(follow(0))(3)))(3), count=2))
    labels_file = table(first(output(6)))
    name = follow(labels_file(0)) + 4
    assert root[name : name + 10] == b"labels.txt"
    assert root[labels_file(2)] == 2, "TENSOR_AXIS_LABELS"


@pytest.mark.parametrize(("kind", "near"), [("none", 1e-5), ("float16", 2e-3), ("int8", 0.05)])
def test_its_second_output_gives_the_feature_vectors(
    tmp_path: Path, graph_def: Any, kind: str, near: float
) -> None:
    features = export(tmp_path / "m.tflite", graph_def, kind).features
    assert features
    scores, vectors = features.with_scores(PHOTOS)
    np.testing.assert_array_equal(scores, TFLiteModel(tmp_path / "m.tflite").scores(PHOTOS))
    np.testing.assert_allclose(vectors, convolution(PHOTOS), atol=near)
    assert (features.rule(), features.rule_name) == (b"", f"unknown.npz in {tmp_path}/m.tflite")


@deprecated
def test_clients_find_the_scores_where_they_were(tmp_path: Path, graph_def: Any) -> None:
    export(tmp_path / "m.tflite", graph_def)
    interpreter = tf.lite.Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    scores, vectors = interpreter.get_output_details()
    assert (scores["name"], vectors["name"]) == ("final_result", "features")
    assert scores["dtype"] == vectors["dtype"] == np.float32
    assert scores["shape_signature"].tolist() == [-1, 3]
    assert vectors["shape_signature"].tolist() == [-1, 32]
    assert interpreter.get_signature_list() == {}


def test_the_rule_is_in_the_file(tmp_path: Path, graph_def: Any) -> None:
    rule = bytes(range(256))
    enclosed = Enclosed(FACTS.labels, ENCLOSED.facts, rule)
    features = export(tmp_path / "m.tflite", graph_def, enclosed=enclosed).features
    assert features
    assert features.rule() == rule
    contents = (tmp_path / "m.tflite").read_bytes()
    # The metadata, before the archive, names it.
    assert b"unknown.npz\0" in contents[: contents.index(b"PK\x03\x04")]
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.namelist() == ["labels.txt", "model.json", "unknown.npz"]
        assert archive.testzip() is None


def second_output(path: Path, name: str | None) -> TFLiteModel:
    """Renames the second output of a file, or leaves it out."""
    content = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    graph = content.subgraphs[0]
    if name is None:
        graph.outputs = graph.outputs[:1]
    else:
        graph.tensors[graph.outputs[1]].name = name
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(content)))
    return TFLiteModel(path)


def test_a_second_output_of_others_is_refused(tmp_path: Path, graph_def: Any) -> None:
    export(tmp_path / "m.tflite", graph_def)
    with pytest.raises(GraphError, match="2 outputs of the shapes"):
        second_output(tmp_path / "m.tflite", "theirs")


def test_a_file_of_before_gives_no_vectors(tmp_path: Path, graph_def: Any) -> None:
    wanted = export(tmp_path / "m.tflite", graph_def).scores(PHOTOS)
    before = second_output(tmp_path / "m.tflite", None)
    assert before.features is None
    np.testing.assert_array_equal(before.scores(PHOTOS), wanted)


def test_a_file_of_other_programs_has_no_labels(tmp_path: Path, graph_def: Any) -> None:
    export(tmp_path / "m.tflite", graph_def)
    contents = (tmp_path / "m.tflite").read_bytes()
    (tmp_path / "bare.tflite").write_bytes(contents[: contents.index(b"PK\x03\x04")])
    model = TFLiteModel(tmp_path / "bare.tflite")
    assert (model.labels, model.facts) == ((), None)


def test_a_file_of_one_photo_is_asked_one_by_one(tmp_path: Path, graph_def: Any) -> None:
    fixed = tf.compat.v1.GraphDef()
    fixed.CopyFrom(graph_def)
    for node in fixed.node:
        if node.op in ("Placeholder", "PlaceholderWithDefault"):
            node.attr["shape"].shape.dim[0].size = 1
    several, one = (export(tmp_path / "m", graph).scores(PHOTOS) for graph in (graph_def, fixed))
    np.testing.assert_allclose(one, several, atol=1e-6)


# Files of other programs, from their ends on: none of this tool's writer is in them.

COLOURS_SEEN = np.array([[210, 25, 30], [20, 30, 220], [128, 128, 128], [0, 255, 0]])


def metadata(*units: tuple[int, list[float], list[float]]) -> bytes:
    """Returns a metadata buffer of the published schema, "M001", with process units of the image.

    ModelMetadata.subgraph_metadata is its field 3, SubGraphMetadata.input_tensor_metadata 2,
    TensorMetadata.process_units 4; ProcessUnit has the type of its options, 1 for
    NormalizationOptions, before them; those have mean and std.
    """
    builder = flatbuffers.Builder()

    def table(**fields: int) -> int:
        builder.StartObject(8)
        for name, value in fields.items():
            number = int(name[1:])
            if name[0] == "b":
                builder.PrependUint8Slot(number, value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(number, value, 0)
        return int(builder.EndObject())

    def listed(*tables: int) -> int:
        builder.StartVector(4, len(tables), 4)
        for each in reversed(tables):
            builder.PrependUOffsetTRelative(each)
        return int(builder.EndVector())

    made = []
    for kind, mean, std in units:
        numbers = [builder.CreateNumpyVector(np.array(each, np.float32)) for each in (mean, std)]
        made.append(table(b0=kind, t1=table(t0=numbers[0], t1=numbers[1])))
    name = builder.CreateString("image")
    image = table(t0=name, t4=listed(*made))
    root = table(t3=listed(table(t2=listed(image))))
    builder.Finish(root, file_identifier=b"M001")
    return bytes(builder.Output())


def others(path: Path, *, buffer: bytes | None = None, taken: Any = np.float32) -> Path:
    """Writes a file as other programs do, whose answer is the mean colour, of -1 to 1."""
    v2 = tf.lite.TFLiteConverter

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.float32)])
    def answer(photos: Any) -> Any:
        return tf.reduce_mean(photos, [1, 2])

    converter = v2.from_concrete_functions([answer.get_concrete_function()], answer)
    if taken != np.float32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        seen = [np.full([1, 8, 8, 3], each, np.float32) for each in (-1, 1)]
        converter.representative_dataset = lambda: ([each] for each in seen)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(taken)
    with quiet_stderr(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        contents = converter.convert()
    if buffer is not None:
        content = flatbuffer_utils.read_model_from_bytearray(contents)
        content.buffers.append(schema.BufferT(data=np.frombuffer(buffer, np.uint8)))
        entry = schema.MetadataT(name="TFLITE_METADATA", buffer=len(content.buffers) - 1)
        content.metadata = [*(content.metadata or []), entry]
        contents = bytes(flatbuffer_utils.convert_object_to_bytearray(content))
    path.write_bytes(contents)
    return path


def answers(file: Path, **settings: Any) -> Any:
    """Returns what label_image.py has for photos of COLOURS_SEEN, in files and in memory."""
    (file.parent / "labels.txt").write_text("r\ng\nb\n")
    labelled = Labeller(
        LabelConfig(
            graph=str(file),
            labels=str(file.parent / "labels.txt"),
            image=("x",),
            named=frozenset({"graph", "labels", *settings}),
            **settings,
        )
    )
    photos = [np.full([8, 8, 3], colour, np.uint8) for colour in COLOURS_SEEN]
    paths = [file.parent / f"{number}.png" for number in range(len(photos))]
    for path, photo in zip(paths, photos, strict=True):
        path.write_bytes(encoded(photo))
    of_files = [one.scores for one in labelled.predictions([str(path) for path in paths])]
    of_arrays = [labelled.photo_prediction(photo).scores for photo in photos]
    np.testing.assert_allclose(of_files, of_arrays, atol=1e-6)  # type: ignore[arg-type]
    return np.stack(of_arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", [".tflite", ".lite", ".pb", ""])
def test_the_metadata_of_others_says_how_pixels_go_in(tmp_path: Path, ending: str) -> None:
    # Once: fed 0 to 1, whatever the metadata said.
    file = others(tmp_path / f"m{ending}", buffer=metadata((1, [127.5], [127.5])))
    np.testing.assert_allclose(answers(file), (COLOURS_SEEN - 127.5) / 127.5, atol=1e-5)
    # What a person says goes before it, each by itself.
    whole = answers(file, input_mean=0.0, input_std=255.0)
    np.testing.assert_allclose(whole, COLOURS_SEEN / 255, atol=1e-5)
    mean = answers(file, input_mean=0.0)
    np.testing.assert_allclose(mean, COLOURS_SEEN / 127.5, atol=1e-5)


def test_a_mean_of_each_channel(tmp_path: Path) -> None:
    mean, std = [123.5, 116.25, 103.5], [58.5, 57.0, 57.25]
    # Behind a unit of another kind, which has no such options.
    file = others(tmp_path / "m", buffer=metadata((2, [9.0], [9.0]), (1, mean, std)))
    np.testing.assert_allclose(answers(file), (COLOURS_SEEN - mean) / std, atol=1e-5)


@pytest.mark.parametrize("buffer", [None, metadata(), metadata((2, [127.5], [127.5]))])
def test_floats_without_a_range_are_fed_0_to_1(tmp_path: Path, buffer: bytes | None) -> None:
    file = others(tmp_path / "m", buffer=buffer)
    np.testing.assert_allclose(answers(file), COLOURS_SEEN / 255, atol=1e-5)


@pytest.mark.parametrize("taken", [np.uint8, np.int8])
@pytest.mark.parametrize("buffer", [None, metadata((1, [127.5], [127.5]))])
def test_integers_of_others_are_pixels(tmp_path: Path, taken: Any, buffer: bytes | None) -> None:
    """They mean -1 to 1, as the file's own numbers say, with metadata and without."""
    file = others(tmp_path / "m", buffer=buffer, taken=taken)
    np.testing.assert_allclose(answers(file), (COLOURS_SEEN - 127.5) / 127.5, atol=0.02)


def test_integers_that_mean_themselves(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.uint8)])
    def answer(photos: Any) -> Any:
        return tf.reduce_mean(tf.cast(photos, tf.float32), [1, 2])

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], answer
    )
    with quiet_stderr():
        (tmp_path / "m").write_bytes(converter.convert())
    np.testing.assert_allclose(answers(tmp_path / "m"), COLOURS_SEEN, atol=1e-3)


@pytest.mark.parametrize(
    ("mean", "std"),
    [([127.5], [0.0]), ([np.nan], [1.0]), ([1.0, 2.0], [1.0]), ([], [])],
)
def test_a_range_that_is_none_is_told(tmp_path: Path, mean: list[float], std: list[float]) -> None:
    file = others(tmp_path / "m.tflite", buffer=metadata((1, mean, std)))
    with pytest.raises(GraphError, match=r"metadata must be whole. Got .*m\.tflite: its norm"):
        TFLiteModel(file)


def test_damaged_metadata_is_told_or_not_used(tmp_path: Path) -> None:
    buffer = metadata((1, [127.5], [127.5]))
    file = others(tmp_path / "m.tflite", buffer=buffer).read_bytes()
    start = file.index(buffer)
    random = np.random.default_rng(0)
    told = 0
    for _ in range(500):
        damaged = bytearray(file)
        for place in random.integers(len(buffer), size=3):
            damaged[start + place] = random.integers(256)
        try:
            normalization_of(bytes(damaged))
        except ValueError:
            told += 1
    assert 0 < told < 500


def broken(contents: bytes, manner: str) -> bytes:
    if manner == "labels of other bytes":
        return contents.replace("\n玫瑰".encode(), b"\n......")
    return {
        "empty": b"",
        "a web page": b"<html>not a model</html>" * 9,
        "cut": contents[:900],
        "overwritten": contents[:40] + b"\xff" * 64 + contents[104:],
    }[manner]


@pytest.mark.parametrize(
    "manner", ["empty", "a web page", "cut", "overwritten", "labels of other bytes"]
)
def test_a_file_that_is_no_whole_model(tmp_path: Path, graph_def: Any, manner: str) -> None:
    path = tmp_path / "m.tflite"
    export(path, graph_def)
    path.write_bytes(broken(path.read_bytes(), manner))
    with pytest.raises(GraphError, match=r"must be whole.*m\.tflite") as told:
        _ = TFLiteModel(path).labels
    assert "\n" not in str(told.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="No such file"):
        TFLiteModel(tmp_path / "m.tflite")


def test_facts_that_are_no_json(tmp_path: Path, graph_def: Any) -> None:
    with pytest.raises(
        GraphError, match=r"model.json in .*/m must be what retrain.py wrote, and be JSON"
    ):
        _ = export(tmp_path / "m", graph_def, enclosed=Enclosed(ENCLOSED.labels, b"{")).facts


def test_labels_that_do_not_fit(tmp_path: Path, graph_def: Any) -> None:
    with pytest.raises(GraphError, match="2 labels for 3 outputs"):
        _ = export(tmp_path / "m", graph_def, enclosed=Enclosed(("a", "b"))).labels


@pytest.mark.parametrize("manner", ["too few labels", "facts", "labels of other bytes"])
def test_labels_that_are_named_do_without_the_files_own(
    tmp_path: Path, graph_def: Any, manner: str
) -> None:
    path, labels = tmp_path / "m.tflite", tmp_path / "named.txt"
    enclosed = {
        "too few labels": Enclosed(("a", "b")),
        "facts": Enclosed(ENCLOSED.labels, b"{"),
    }
    export(path, graph_def, enclosed=enclosed.get(manner, ENCLOSED))
    if manner == "labels of other bytes":
        path.write_bytes(broken(path.read_bytes(), manner))
    labels.write_text("x\ny\nz\n")
    settings = {"graph": str(path), "labels": str(labels), "image": ("x.jpg",)}
    with pytest.raises(GraphError, match=r"m\.tflite"):
        Labeller(LabelConfig(**settings))  # type: ignore[arg-type]
    named = LabelConfig(**settings, named=frozenset({"labels"}))  # type: ignore[arg-type]
    assert Labeller(named).labels == ("x", "y", "z")


@pytest.mark.parametrize("shape", [[1, 8, 8, 1], [1, 8, 3]])
def test_a_model_of_other_things_than_photos(tmp_path: Path, shape: list[int]) -> None:
    whole = tf.function(tf.nn.relu, input_signature=[tf.TensorSpec(shape, tf.float32)])
    traced = whole.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], whole)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    with pytest.raises(GraphError, match="must take photos") as told:
        TFLiteModel(tmp_path / "m.tflite")
    assert str(tuple(shape)) in str(told.value)


def test_photos_of_another_size(tmp_path: Path, graph_def: Any) -> None:
    model = export(tmp_path / "m.tflite", graph_def)
    with pytest.raises(GraphError, match=r"\(8, 8, 3\). Got \(9, 9, 3\)"):
        model.scores(np.zeros([2, 9, 9, 3], np.float32))
    assert model.scores(PHOTOS).shape == (5, 3), "it still takes others"


def test_a_file_that_fails_while_it_runs_is_told_in_one_line(tmp_path: Path) -> None:
    graph = graph_of(lambda colours: tf.cast(1 // tf.cast(2 * colours, tf.int32), tf.float32))
    model = export(tmp_path / "m.tflite", graph)
    assert model.scores(np.ones([1, 8, 8, 3])) == pytest.approx(np.full([1, 3], 1 / 3))
    with pytest.raises(GraphError, match=r"must run.*m\.tflite.*float16") as told:
        model.scores(np.zeros([1, 8, 8, 3]))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["none", "int8"])
@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda x: tf.strings.to_number(tf.strings.as_string(x)), "AsString, StringToNumber"),
        (lambda x: tf.math.real(tf.signal.fft(tf.complex(x, x))), "Complex, FFT"),
        (tf.math.erfinv, "Erfinv"),
    ],
)
def test_ops_that_tflite_does_not_know_are_named_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, function: Any, ops: str
) -> None:
    graph = graph_of(function)
    with pytest.raises(ExportError) as told:
        export(tmp_path / "m.tflite", graph, kind)
    assert f"Got {ops}, which it does not know." in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "m.tflite").exists()
    assert capfd.readouterr() == ("", "")


def test_the_converter_keeps_quiet(
    tmp_path: Path, graph_def: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path / "m.tflite", graph_def, "int8")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"afterwards the screen is there again")
    assert capfd.readouterr().err


def test_what_an_unforeseen_error_left_on_the_screen_is_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def unforeseen() -> None:
        with quiet_stderr():
            os.write(2, b"the reason")
            raise KeyError

    with pytest.raises(KeyError):
        unforeseen()
    assert capfd.readouterr().err == "the reason"


def test_photos_to_calibrate_on(tmp_path: Path) -> None:
    """They are taken evenly over the classes, without those that cannot be read."""
    paths = [str(tmp_path / f"{number}.png") for number in range(6)]
    for number in (0, 1, 2, 3, 5):
        Path(paths[number]).write_bytes(encoded(np.full([8, 8, 3], 10 * number)))
    Path(paths[5]).write_bytes(b"no photo")
    label_ids = np.array([0, 0, 0, 1, 1, 2], np.int32)
    photos = FeatureSet(np.zeros([6, 1], np.float32), label_ids, tuple(paths))
    batches = list(calibration_photos(photos, (8, 8), upright=True, at_most=5))
    # Photos 0, 1 and 3 of 0, 1, 3, 4 and 5.
    values = (np.concatenate(batches)[:, 0, 0, 0] * 255).round().tolist()
    assert values == [0, 10, 30]


def test_int8_needs_photos(tmp_path: Path, graph_def: Any) -> None:
    with pytest.raises(ExportError, match="calibrated on training photos"):
        write_tflite(
            tmp_path / "m.tflite",
            graph_def,
            output_layer="final_result",
            quantization=Quantization("int8"),
            enclosed=ENCLOSED,
        )
