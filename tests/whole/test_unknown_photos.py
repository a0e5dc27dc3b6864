"""Photos of something else are unknown by their feature vectors, however sure the head is."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, solid

import image_retraining
from image_retraining.exports.facts import read_facts
from image_retraining.labelling import command
from image_retraining.labelling.config import LabelConfig
from image_retraining.photos import pixels
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

# A colour that no class has, of which the head is quite sure all the same.
FOREIGN = solid((60, 255, 60), noise=3, seed=5)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> Path:
    """A folder with photos of solid colours, and the run on them with all formats."""
    base = tmp_path_factory.mktemp("unknown")
    for label, colour in COLOURS.items():
        # A class may have the name of the answer.
        folder = base / "photos" / {"red": "unknown"}.get(label, label)
        folder.mkdir(parents=True)
        for number in range(70):
            contents = encoded(solid(colour, noise=9, seed=number))
            (folder / f"{label}_{number:02}.png").write_bytes(contents)
    train(base, colour_module)
    int8 = {"saved_model_dir": "", "onnx_output_file": "", "tflite_quantize": "int8"}
    train(base, colour_module, output_dir=str(base / "int8"), **int8)
    (base / "foreign.png").write_bytes(encoded(FOREIGN))
    return base


def train(base: Path, module: Path, **settings: Any) -> None:
    run(
        RetrainConfig(
            image_dir=str(base / "photos"),
            tfhub_module=str(module),
            bottleneck_dir=str(base / "cache"),
            optimizer="lbfgs",
            cross_validate=-1,
            report_file="",
            named=frozenset({"tfhub_module"}),
            **{
                "output_dir": str(base / "run"),
                "saved_model_dir": "saved",
                "tflite_output_file": "m.tflite",
                "onnx_output_file": "m.onnx",
                "validation_percentage": 30,
                "overwrite": True,
                **settings,
            },
        ),
        label_image="label-image",
    )


def said(capsys: pytest.CaptureFixture[str], graph: Path, photo: Path, **settings: Any) -> Any:
    """Returns the lines that label_image.py prints for a photo."""
    config = LabelConfig(graph=str(graph), image=(str(photo),), **settings)
    assert command.run(config) == 0
    printed: str = capsys.readouterr().out
    return [line.rpartition(" ")[::2] for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("place", "share"),
    [
        ("run", 0.1),
        ("run/model.pb", 0.1),
        ("run/saved", 0.1),
        ("run/m.tflite", 0.1),
        ("run/m.onnx", 0.1),
        # The photos of a class are so much alike that steps of eight bits are large beside it.
        ("int8/m.tflite", 0.3),
    ],
)
def test_a_foreign_photo_is_unknown_and_known_ones_stay(
    base: Path,
    capsys: pytest.CaptureFixture[str],
    logged: pytest.LogCaptureFixture,
    place: str,
    share: float,
) -> None:
    logged.clear()
    classifier = image_retraining.load(base / place)
    (foreign,) = classifier.predict(base / "foreign.png")
    assert foreign.unknown
    assert foreign.scores.shape == (3,)
    assert not [message for message in logged.messages if "by the probability" in message]
    # The probability alone would have let it through.
    facts = read_facts(str(base / "run/model.pb"))
    assert facts is not None
    assert facts.calibration is not None
    # Scores in eight bits are below 1 - 1 / 256, whatever was meant.
    threshold = min(facts.calibration.threshold, 0.99)
    plain = image_retraining.load(base / place, unknown_threshold=threshold)
    assert not plain.predict(FOREIGN)[0].unknown
    # In memory, too.
    assert classifier.predict(FOREIGN)[0].unknown
    known = classifier.predict(base / "photos")
    assert np.mean([photo.unknown for photo in known]) < share
    assert [photo.label for photo in known] == [Path(photo.path).parent.name for photo in known]
    # label_image.py says so only if it is asked.
    wanted = said(capsys, base / place, base / "foreign.png", unknown_threshold="auto")
    without = said(capsys, base / place, base / "foreign.png")
    assert wanted[0][0] == "unknown"
    assert sorted(wanted) == sorted(without)
    assert without[0][0] != "unknown"


def test_a_class_named_unknown_has_one_line(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, base / "run", base / "foreign.png", unknown_threshold="auto")
    assert sorted(label for label, _ in lines) == ["blue", "green", "unknown"]
    one = said(capsys, base / "run", base / "foreign.png", unknown_threshold="auto", top_k=1)
    assert one[0][0] == "unknown"


def test_clients_of_a_saved_model_notice_nothing(base: Path) -> None:
    loaded = tf.saved_model.load(str(base / "run/saved"))
    signature = loaded.signatures["serving_default"]
    (photo,) = signature.structured_input_signature[1].values()
    assert photo.shape.as_list() == [None, 8, 8, 3]
    assert list(signature.structured_outputs) == ["prediction"]
    photos = np.asarray(pixels.of_array(FOREIGN, (8, 8)))[np.newaxis]
    found = loaded.signatures["features"](image=tf.constant(photos))
    prediction = signature(image=tf.constant(photos))["prediction"]
    np.testing.assert_array_equal(found["prediction"], prediction)
    # The colour module's features, by NumPy alone.
    wanted = 10 * np.concatenate([photos.mean((1, 2)), np.square(photos).mean((1, 2))], axis=1)
    np.testing.assert_allclose(found["features"], wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
def test_a_file_that_goes_alone_takes_its_rule_with_it(
    base: Path, tmp_path: Path, name: str
) -> None:
    shutil.copy(base / "run" / name, tmp_path / name)
    assert image_retraining.load(tmp_path / name).predict(FOREIGN)[0].unknown


def without_vectors(path: Path) -> None:
    """Makes an ONNX file one of those that were written before they had a second output."""
    model = onnx.load(path)
    del model.graph.output[1]
    kept = [entry for entry in model.metadata_props if entry.key != "unknown"]
    (facts,) = [entry for entry in kept if entry.key == "facts"]
    facts.value = json.dumps(json.loads(facts.value) | {"unknown_rule": ""})
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)


def test_a_file_of_before_goes_by_the_probability(
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    logged: pytest.LogCaptureFixture,
) -> None:
    file, photo = tmp_path / "m.onnx", base / "foreign.png"
    shutil.copy(base / "run/m.onnx", file)
    wanted = said(capsys, file, photo)
    without_vectors(file)
    logged.clear()
    assert not image_retraining.load(file).predict(photo)[0].unknown
    (line,) = logged.messages
    assert line.startswith(f"No feature vectors in {file}: photos are unknown by the probability ")
    assert said(capsys, file, photo, unknown_threshold="auto") == wanted
    # Nobody asks for it here.
    logged.clear()
    assert said(capsys, file, photo) == wanted
    assert logged.messages == []


def test_a_training_without_a_rule_is_told(
    base: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    shutil.copy(base / "run/m.onnx", tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    for entry in model.metadata_props:
        if entry.key == "facts":
            entry.value = json.dumps(json.loads(entry.value) | {"unknown_rule": ""})
    onnx.save(model, tmp_path / "m.onnx")
    assert not image_retraining.load(tmp_path / "m.onnx").predict(FOREIGN)[0].unknown
    assert logged.messages[-1].startswith(f"No rule for feature vectors with {tmp_path}/m.onnx: ")


def test_a_rule_that_has_gone_is_told(
    base: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    for name in ("model.pb", "model.pb.json", "labels.txt"):
        shutil.copy(base / "run" / name, tmp_path / name)
    alone = image_retraining.load(tmp_path / "model.pb")
    assert "model.pb.unknown.npz is missing" in logged.messages[-1]
    assert not alone.predict(FOREIGN)[0].unknown
    # Nobody asks for it here.
    logged.clear()
    image_retraining.load(tmp_path / "model.pb", unknown_threshold=0.5)
    assert logged.messages == []


def test_the_rule_of_a_run_goes_with_it(
    base: Path, tmp_path: Path, colour_module: Path, logged: pytest.LogCaptureFixture
) -> None:
    assert (base / "run/model.pb.unknown.npz").stat().st_size < 10_000
    (tmp_path / "photos").symlink_to(base / "photos")
    shutil.copytree(base / "run", tmp_path / "run")
    logged.clear()
    # So few validation photos that none of their answers may be unknown.
    less = {"saved_model_dir": "", "tflite_output_file": "", "onnx_output_file": ""}
    train(tmp_path, colour_module, **less, validation_percentage=1)
    assert not (tmp_path / "run/model.pb.unknown.npz").exists()
    assert not any("unlike" in message for message in logged.messages)
    assert image_retraining.load(tmp_path / "run").predict(FOREIGN)[0].label != ""
