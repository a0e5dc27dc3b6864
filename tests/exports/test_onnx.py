"""ONNX files: what ONNX itself and ONNX Runtime say of ours, and what of others is read."""

import contextlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from conftest import save_module
from facts_made_here import facts
from onnx import TensorProto, helper

from image_retraining.backbone.loading import load_backbone
from image_retraining.exports.formats import check_installed, open_classifier
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.onnx.reader import OnnxModel
from image_retraining.exports.onnx.writer import onnx_bytes
from image_retraining.exports.saved_model import writing_saved_model
from image_retraining.foundation.errors import ExportError, GraphError
from image_retraining.foundation.records import Head
from image_retraining.labelling.config import LabelConfig
from image_retraining.labelling.labeller import Labeller

ROOT = Path(__file__).resolve().parents[2]
# A name that is not UTF-8, and one of two lines, which a labels file could not hold.
LABELS = ("blue", "玫瑰", "b\udcff", "two\nlines")
RANDOM = np.random.default_rng(0)
HEAD = Head(RANDOM.normal(size=(6, 4)).astype(np.float32), np.zeros(4, np.float32))
PHOTOS = RANDOM.uniform(size=(5, 8, 8, 3)).astype(np.float32)
FACTS = facts(labels=LABELS, output_layer="mine")


@pytest.fixture(scope="module")
def graph_def(colour_module: Path) -> Any:
    return build_graph(load_backbone(str(colour_module)), HEAD, final_tensor_name="mine")


@pytest.fixture(scope="module")
def contents(graph_def: Any) -> bytes:
    return onnx_bytes(graph_def, output_layer="mine", labels=LABELS, facts=FACTS.as_json())


@pytest.fixture
def file(tmp_path: Path, contents: bytes) -> Path:
    (tmp_path / "m.onnx").write_bytes(contents)
    return tmp_path / "m.onnx"


def test_it_is_a_sound_model_of_ordinary_ops(contents: bytes) -> None:
    model = onnx.load_from_string(contents)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    (photos,) = model.graph.input
    assert photos.name == "Placeholder"
    assert [end.name for end in model.graph.output] == ["mine", "features"]
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["labels"]) == list(LABELS)
    assert json.loads(told["facts"])["image_size"] == [8, 8]


def test_others_run_it_without_this_project(contents: bytes) -> None:
    session = onnxruntime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    (photos,) = session.get_inputs()
    assert (photos.shape[1:], photos.type) == ([8, 8, 3], "tensor(float)")
    assert [(end.shape, end.type) for end in session.get_outputs()] == [
        (["N", 4], "tensor(float)"),
        (["N", 6], "tensor(float)"),
    ]
    scores, features = session.run(None, {photos.name: PHOTOS})
    assert scores.shape == (5, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    # The colour module's features, by NumPy alone.
    squares = np.square(PHOTOS)
    wanted = 10 * np.concatenate([PHOTOS.mean((1, 2)), squares.mean((1, 2))], axis=1)
    np.testing.assert_allclose(features, wanted, atol=1e-5)


def test_it_scores_as_the_graph_does(file: Path, tmp_path: Path, graph_def: Any) -> None:
    write_graph(tmp_path / "g.pb", graph_def)
    wanted = FrozenGraph(tmp_path / "g.pb").scores(PHOTOS)
    model = OnnxModel(file)
    np.testing.assert_allclose(model.scores(PHOTOS), wanted, atol=1e-6)
    assert (model.labels, model.facts) == (LABELS, FACTS)


@pytest.mark.parametrize("name", ["constant_0", "Softmax_1", "classifier", "features"])
def test_the_softmax_node_may_have_any_name(colour_module: Path, tmp_path: Path, name: str) -> None:
    graph_def = build_graph(load_backbone(str(colour_module)), HEAD, final_tensor_name=name)
    (tmp_path / "m").write_bytes(
        onnx_bytes(graph_def, output_layer=name, labels=LABELS, facts="{}")
    )
    model = OnnxModel(tmp_path / "m")
    assert model.scores(PHOTOS).shape == (5, 4)
    assert model.features
    scores, vectors = model.features.with_scores(PHOTOS)
    np.testing.assert_array_equal(scores, model.scores(PHOTOS))
    assert vectors.shape == (5, 6)


def halves(photos: Any) -> Any:
    return tf.concat(tf.split(tf.reduce_mean(photos, [1]), 2, axis=1)[::-1], 1)[:, 0] * 9


def sorted_means(photos: Any) -> Any:
    return tf.sort(tf.reduce_mean(photos, [1, 2])) * 9


def branches(photos: Any) -> Any:
    means = tf.reduce_mean(photos, [1, 2])
    return tf.cond(tf.reduce_mean(photos) > 0.5, lambda: means * 9, lambda: 1 - means)


def gelu(photos: Any) -> Any:
    return tf.nn.gelu(tf.reduce_mean(photos, [1, 2]) * 9 - 4)


def with_a_default(photos: Any) -> Any:
    return tf.reduce_mean(photos, [1, 2]) * tf.compat.v1.placeholder_with_default(9.0, [])


@pytest.mark.parametrize("module", [halves, sorted_means, branches, gelu, with_a_default])
def test_modules_of_more_than_a_chain_of_ops(tmp_path: Path, module: Callable[[Any], Any]) -> None:
    backbone = load_backbone(str(save_module(tmp_path / "module", module)))
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    graph_def = build_graph(backbone, head, final_tensor_name="mine")
    write_graph(tmp_path / "g.pb", graph_def)
    contents = onnx_bytes(graph_def, output_layer="mine", labels=("a", "b", "c"), facts="{}")
    (tmp_path / "m").write_bytes(contents)
    for photos in (PHOTOS, PHOTOS / 2):
        wanted = FrozenGraph(tmp_path / "g.pb").scores(photos)
        np.testing.assert_allclose(OnnxModel(tmp_path / "m").scores(photos), wanted, atol=1e-5)


def test_equal_graphs_give_equal_bytes(graph_def: Any, contents: bytes) -> None:
    again = onnx_bytes(graph_def, output_layer="mine", labels=LABELS, facts=FACTS.as_json())
    assert again == contents


def test_the_converter_leaves_screen_and_log_alone(
    graph_def: Any, capfd: pytest.CaptureFixture[str], logged: pytest.LogCaptureFixture
) -> None:
    onnx_bytes(graph_def, output_layer="mine", labels=LABELS, facts="{}")
    captured = capfd.readouterr()
    assert (captured.out, captured.err, logged.messages) == ("", "", [])


def test_onnx_runtime_reports_nothing_to_its_makers(file: Path, tmp_path: Path) -> None:
    # It keeps what it is to send, and a number for the machine, in the cache folder. No answer
    # comes from that proxy, so that nothing leaves this machine even if it did.
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "HTTPS_PROXY": "http://127.0.0.1:9"}
    read = f"from {OnnxModel.__module__} import OnnxModel; OnnxModel({str(file)!r})"
    subprocess.run([sys.executable, "-c", read], cwd=ROOT, env=environment, check=True)
    assert list(home.rglob("*")) == []


def test_ops_that_onnx_does_not_know_are_told_in_one_line() -> None:
    with tf.Graph().as_default() as graph:
        photos = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="Placeholder")
        odd = tf.raw_ops.Betainc(a=photos, b=photos, x=photos)
        vectors = tf.compat.v1.placeholder_with_default(
            tf.reduce_mean(odd, [1, 2]), [None, 3], name="input/BottleneckInputPlaceholder"
        )
        tf.nn.softmax(vectors, name="mine")
    with pytest.raises(ExportError, match="Betainc") as told:
        onnx_bytes(graph.as_graph_def(), output_layer="mine", labels=("a", "b", "c"), facts="{}")
    assert "\n" not in str(told.value)


def of_others(
    folder: Path,
    *,
    shape: Any = ("N", 3, 8, 6),
    scores: Any = ("N", 3),
    kind: int = TensorProto.FLOAT,
    axes: tuple[int, int] = (2, 3),
    called: str = "x",
    **metadata: str,
) -> Path:
    """Writes a model made by hand: the softmax of the means over two axes."""
    photos = helper.make_tensor_value_info(called, kind, shape)
    answer = helper.make_tensor_value_info("y", kind, scores)
    # Axes of reductions became an input with version 18.
    over = helper.make_tensor("axes", TensorProto.INT64, [2], axes)
    nodes = [
        helper.make_node("ReduceMean", [called, "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(nodes, "others", [photos], [answer], [over])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    helper.set_model_props(model, metadata)
    path = folder / "others.bin"
    path.write_bytes(model.SerializeToString())
    return path


def softmax_of_means(photos: Any) -> Any:
    powers = np.exp(photos.mean(axis=(1, 2)))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (("N", 3, 8, 6), (2, 3)),
        (("N", 8, 6, 3), (1, 2)),
        ((1, 3, 8, 6), (2, 3)),
        ((None, 3, "h", "w"), (2, 3)),
    ],
)
def test_files_of_others_have_their_channels_first_or_last(
    tmp_path: Path, shape: Any, axes: tuple[int, int]
) -> None:
    batch = (shape[0], 3)
    model = open_classifier(str(of_others(tmp_path, shape=shape, axes=axes, scores=batch)))
    assert model.image_size == ((None, None) if "h" in shape else (8, 6))
    assert (model.labels, model.facts) == ((), None)
    photos = RANDOM.uniform(size=(4, 8, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(model.scores(photos), softmax_of_means(photos), atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": ("N", 8, 6), "axes": (1, 2)},
        {"shape": ("N", 4, 8, 6), "scores": ("N", 4)},
        {"shape": (2, 3, 8, 6), "scores": (2, 3)},
        {"kind": TensorProto.FLOAT16},
        {"kind": TensorProto.DOUBLE},
    ],
)
def test_models_of_other_things_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = of_others(tmp_path, **changes)
    with pytest.raises(GraphError, match=r"take photos, float32 .*others\.bin, with x ") as told:
        OnnxModel(path)
    assert "\n" not in str(told.value)


def test_a_second_output_of_others_is_refused(contents: bytes, tmp_path: Path) -> None:
    renamed = onnx.compose.add_prefix(onnx.load_from_string(contents), "their_")
    assert len(renamed.graph.output) == 2
    (tmp_path / "m").write_bytes(renamed.SerializeToString())
    with pytest.raises(GraphError, match="their_features"):
        OnnxModel(tmp_path / "m")


def test_a_file_of_before_gives_no_vectors(contents: bytes, tmp_path: Path) -> None:
    model = onnx.load_from_string(contents)
    del model.graph.output[1]
    (tmp_path / "m").write_bytes(model.SerializeToString())
    before = OnnxModel(tmp_path / "m")
    assert before.features is None
    (tmp_path / "now").write_bytes(contents)
    np.testing.assert_array_equal(before.scores(PHOTOS), OnnxModel(tmp_path / "now").scores(PHOTOS))


def test_the_rule_is_in_the_file(file: Path, graph_def: Any, contents: bytes) -> None:
    features = OnnxModel(file).features
    assert features
    assert (features.rule(), "unknown in" in features.rule_name) == (b"", True)
    rule = bytes(range(256))
    told = onnx_bytes(graph_def, output_layer="mine", labels=LABELS, facts="{}", unknown=rule)
    assert len(told) < len(contents) + 400
    file.write_bytes(told)
    features = OnnxModel(file).features
    assert features
    assert features.rule() == rule
    # By its place in the file: what is no Base64.
    file.write_bytes(told.replace(b"AAECAwQF", b"AAEC\0wQF"))
    features = OnnxModel(file).features
    assert features
    with pytest.raises(GraphError, match=r"unknown in .*m\.onnx must be .* in Base64"):
        features.rule()


@pytest.mark.parametrize("labels", ["", "{", '"a"', "[1]", "[" * 100_000])
def test_labels_that_are_none_are_refused(tmp_path: Path, labels: str) -> None:
    with pytest.raises(GraphError, match=r"must be a JSON list of texts.*others\.bin"):
        _ = OnnxModel(of_others(tmp_path, labels=labels)).labels


def test_facts_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"facts in .*others\.bin must be what retrain.py wrote"):
        _ = OnnxModel(of_others(tmp_path, facts="[]")).facts


@pytest.mark.parametrize(
    "break_it",
    [
        lambda contents: contents[: len(contents) // 2],
        lambda _: b"\x08" + b"\xff" * 200,
        lambda _: b"\x08\x0a",
        lambda contents: contents.replace(b"ReduceMean", b"ReduceMeap"),
        lambda contents: contents.replace(b"ReduceMean", b"ReduceMea\xff"),
        lambda contents: contents.replace(b"Placeholder", b"Placeholde\xff"),
        lambda contents: contents.replace(b"mine", b"min\xff"),
        lambda contents: contents.replace(b"labels", b"label\xff"),
    ],
    ids=["half", "garbage", "a start", "unknown op", "op", "input", "output", "key"],
)
def test_a_damaged_file_is_told_in_one_line(
    file: Path, break_it: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(break_it(file.read_bytes()))
    with pytest.raises(GraphError, match=r"m\.onnx") as told:
        _ = open_classifier(str(file)).labels
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_a_name_of_two_lines_is_told_in_one(tmp_path: Path) -> None:
    path = of_others(tmp_path, shape=("N", 4, 8, 6), scores=("N", 4), called="a\nb")
    with pytest.raises(GraphError, match=r"with a\\nb tensor") as told:
        OnnxModel(path)
    assert "\n" not in str(told.value)


def test_any_damage_is_told_or_harmless(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, random = file.read_bytes(), np.random.default_rng(1)
    for number in range(200):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=number % 3 + 1):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        with contextlib.suppress(GraphError):
            OnnxModel(file).scores(PHOTOS)
    assert capfd.readouterr() == ("", "")


def test_photos_of_another_size_are_told(file: Path) -> None:
    with pytest.raises(GraphError, match=r"such photos.*m\.onnx") as told:
        OnnxModel(file).scores(np.zeros([2, 9, 9, 3], np.float32))
    assert "\n" not in str(told.value)


def test_a_file_that_fails_while_it_runs_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, "W", 3])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 192])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 192])
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    graph = helper.make_graph([node], "others", [photos], [scores], [shape])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    model = OnnxModel(tmp_path / "m.onnx")
    assert model.scores(np.ones([2, 8, 8, 3])).shape == (2, 192)
    with pytest.raises(GraphError, match=r"such photos.*m\.onnx.*Reshape") as told:
        model.scores(np.ones([2, 8, 9, 3]))
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_the_file_of_a_saved_model_is_not_taken_for_one(tmp_path: Path, graph_def: Any) -> None:
    with writing_saved_model(
        str(tmp_path / "saved"), graph_def, output_layer="mine", image_size=(8, 8), labels=LABELS
    ):
        pass
    with pytest.raises(GraphError, match=r"must be a frozen graph.*saved_model\.pb"):
        open_classifier(str(tmp_path / "saved" / "saved_model.pb"))


WEIGHTS = np.arange(9, dtype=np.float32).reshape(3, 3)


def with_weights_beside(folder: Path, location: str) -> Path:
    """Writes a model whose weights, 3 x 3, lie in a file of their own."""
    photos = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 6, 3])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 3])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "36")):
        weights.external_data.add(key=key, value=value)
    over = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "others", [photos], [scores], [over, weights])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("place", "location", "is_read"),
    [
        ("model/m.onnx.data", "m.onnx.data", True),
        ("model/more/m.data", "more/m.data", True),
        ("m.data", "../m.data", False),
        ("m.data", "link.data", False),
        ("started/m.data", "m.data", False),
        ("model/short.data", "short.data", False),
    ],
)
def test_weights_in_a_file_of_their_own_lie_in_its_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    location: str,
    is_read: bool,  # noqa: FBT001 - a row of the table
) -> None:
    for folder in ("model/more", "started"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "model/link.data").symlink_to("../m.data")
    short = "short" in place
    (tmp_path / place).write_bytes(WEIGHTS.tobytes()[: 4 if short else None])
    path = with_weights_beside(tmp_path / "model", location)
    # Nor are those of another model taken, where the program happens to be started.
    monkeypatch.chdir(tmp_path / "started")
    if is_read:
        photos = RANDOM.uniform(size=(4, 8, 6, 3)).astype(np.float32)
        scores = OnnxModel(path).scores(photos)
        np.testing.assert_allclose(scores, photos.mean(axis=(1, 2)) @ WEIGHTS, atol=1e-5)
    else:
        with pytest.raises(GraphError, match=r"files of their own needs these.*m\.onnx") as told:
            OnnxModel(path)
        assert "\n" not in str(told.value)


def test_a_folder_whose_name_is_not_utf_8_has_no_weights(tmp_path: Path, contents: bytes) -> None:
    folder = tmp_path / "b\udcff"
    folder.mkdir()
    (folder / "whole.onnx").write_bytes(contents)
    assert OnnxModel(folder / "whole.onnx").labels == LABELS
    (folder / "w.data").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(GraphError, match="files of their own"):
        OnnxModel(with_weights_beside(folder, "w.data"))


@pytest.mark.parametrize(
    ("told", "warning"),
    [
        pytest.param({"labels": "cat,dog"}, "", id="labels"),
        pytest.param({"labels": "[1]"}, "", id="labels of numbers"),
        pytest.param({"facts": "[]"}, "WARNING: facts in", id="facts"),
        pytest.param({"labels": "{", "facts": "{"}, "WARNING: facts in", id="both"),
    ],
)
def test_labels_that_are_named_do_without_the_files_own(
    tmp_path: Path, logged: pytest.LogCaptureFixture, told: dict[str, Any], warning: str
) -> None:
    graph, labels = of_others(tmp_path, **told), tmp_path / "named.txt"
    labels.write_text("a\nb\nc\n")
    settings = {"graph": str(graph), "labels": str(labels), "image": ("x.jpg",)}
    with pytest.raises(GraphError, match=r"others\.bin"):
        Labeller(LabelConfig(**settings))  # type: ignore[arg-type]
    named = LabelConfig(**settings, named=frozenset({"labels"}))  # type: ignore[arg-type]
    assert Labeller(named).labels == ("a", "b", "c")
    assert len(logged.messages) == bool(warning)
    assert all(message.startswith(warning) for message in logged.messages)
    if "facts" in told:
        with pytest.raises(GraphError, match="facts in"):
            Labeller(replace(named, unknown_threshold="auto"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="No such file"):
        OnnxModel(tmp_path / "m.onnx")


def test_without_its_packages_an_error_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_installed({"onnx_output_file"})
    find_spec = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("onnxruntime", "tf2onnx") else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    check_installed({"output_graph", "tflite_output_file"})
    install = r"pip install -r requirements-onnx\.txt"
    with pytest.raises(ExportError, match=f"Missing: tf2onnx, onnxruntime. .*{install}"):
        check_installed({"output_graph", "onnx_output_file"})
    with pytest.raises(GraphError, match=install):
        open_classifier(str(file))


def test_labels_may_differ_from_those_of_the_facts(tmp_path: Path, graph_def: Any) -> None:
    contents = onnx_bytes(
        graph_def, output_layer="mine", labels=LABELS, facts=replace(FACTS, module="x").as_json()
    )
    (tmp_path / "m").write_bytes(contents)
    model = OnnxModel(tmp_path / "m")
    assert model.facts
    assert model.facts.module == "x"
    assert model.labels == LABELS
