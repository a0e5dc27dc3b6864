"""label_image.py, run as a person runs it; what needs many runs is asked of its rooms."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, hearing_signals, save_module, solid, with_chunk_before
from forks import run_script
from PIL import Image

from image_retraining.backbone.loading import load_backbone
from image_retraining.evaluation.calibration import Calibration
from image_retraining.evidence import heatmap
from image_retraining.exports.facts import ModelFacts, facts_path, write_facts
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.labels_file import write_labels
from image_retraining.exports.saved_model import writing_saved_model
from image_retraining.exports.tflite.writer import Enclosed, Quantization, write_tflite
from image_retraining.foundation.errors import GraphError, OutputError, PhotoError, SettingError
from image_retraining.foundation.records import Head, Prediction
from image_retraining.labelling import command
from image_retraining.labelling.answers import Answer, formatter
from image_retraining.labelling.config import LabelConfig, check_files
from image_retraining.labelling.labeller import Labeller, photo_paths
from image_retraining.labelling.plates import Plates

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("红 red", "green", "blue", "daisy", "rose", "tulip")
# Logits: the mean of a channel, weighed; the other labels lag behind in a known order.
WEIGHTS = np.zeros((6, 6), np.float32)
WEIGHTS[:3, :3] = np.eye(3)
BIAS = np.array([0, 0, 0, -1, -2, -3], np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    backbone = load_backbone(str(colour_module))
    built = build_graph(backbone, Head(WEIGHTS, BIAS), final_tensor_name="final_result")
    write_graph(folder / "graph.pb", built)
    write_labels(folder / "labels.txt", LABELS)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "red.png").write_bytes(encoded(solid(COLOURS["red"])))
    (folder / "more" / "blue.jpg").write_bytes(encoded(solid(COLOURS["blue"]), "JPEG"))
    (folder / "notes.txt").write_text("no photo")
    return folder


def label(
    exported: Path,
    *arguments: str,
    stdin: str | os.PathLike[str] = os.devnull,
    stdout: str | os.PathLike[str] = "",
) -> subprocess.CompletedProcess[str]:
    """Runs the script in a process of its own, forked from one that has TensorFlow."""
    return run_script("label_image.py", *files_of(exported), *arguments, stdin=stdin, stdout=stdout)


def files_of(exported: Path) -> list[str]:
    return [f"--graph={exported / 'graph.pb'}", f"--labels={exported / 'labels.txt'}"]


def config(exported: Path, **settings: object) -> LabelConfig:
    values = {
        "graph": str(exported / "graph.pb"),
        "labels": str(exported / "labels.txt"),
        "image": ("x.jpg",),
    }
    return LabelConfig(**{**values, **settings})  # type: ignore[arg-type]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def test_the_tutorials_command(exported: Path, photos: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "label_image.py", *files_of(exported)),
            "--input_layer=Placeholder",
            "--output_layer=final_result",
            f"--image={photos / 'red.png'}",
        ],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    scores = softmax(np.array([*(10 * np.array(COLOURS["red"]) / 255), 0, 0, 0]) + BIAS)
    best = np.argsort(-scores)[:5]
    assert done.stdout.splitlines() == [f"{LABELS[i]} {scores[i]:.6f}" for i in best]


def test_an_interruption_that_was_dropped_ends_it(
    exported: Path,
    photos: Path,
    interrupt_unheard: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_unheard()
    with pytest.raises(KeyboardInterrupt):
        command.run(config(exported, image=(str(photos),), format="csv"))
    # The header, and the first photo's answer.
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_photos_and_folders_and_an_unreadable_one(exported: Path, photos: Path) -> None:
    bad, missing = photos / "bad.jpg", photos / "missing.jpg"
    bad.write_bytes(b"<html>not found</html>")
    done = label(exported, f"--image={missing}", str(photos), "--image", str(photos / "red.png"))
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    order = [line for line in lines if line.startswith(str(photos))]
    # Files named with the flag come first, then the others; a folder's in the order of names.
    assert order == [str(photos / name) for name in ("red.png", "more/blue.jpg", "red.png")]
    assert len(lines) == 3 * 6
    assert lines[lines.index(str(photos / "more/blue.jpg")) + 1].startswith("blue ")
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith(f"ERROR: {missing}: ")
    assert errors[1].startswith(f"ERROR: {bad}: ")


def test_labels_must_fit_the_graph(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("a\nb\n")
    with pytest.raises(GraphError, match=r"2 labels .* 6 outputs"):
        Labeller(config(exported, labels=str(tmp_path / "few.txt")))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input_height": 9}, "--input_height .* 8 .* 9"),
        ({"input_width": 224}, "--input_width .* 8 .* 224"),
    ],
)
def test_a_size_must_fit_the_graph(exported: Path, settings: dict[str, int], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        Labeller(config(exported, **settings))


def test_the_graphs_own_size_may_be_given(exported: Path, photos: Path) -> None:
    labeller = Labeller(config(exported, input_height=8, input_width=8))
    (prediction,) = labeller.predictions([str(photos / "red.png")])
    assert prediction.scores is not None
    assert labeller.answer(prediction).ranked[0][0] == "红 red"


def test_mean_and_std_change_the_pixels(exported: Path, photos: Path) -> None:
    path = str(photos / "red.png")
    (plain,) = Labeller(config(exported)).predictions([path])
    (scaled,) = Labeller(
        config(exported, input_mean=127.5, input_std=127.5, named={"input_mean", "input_std"})
    ).predictions([path])
    assert plain.scores is not None
    assert scaled.scores is not None
    # Logits of the first three labels are 10 (p - mean) / std of their channel.
    red, green = COLOURS["red"][:2]
    gap = np.log(scaled.scores[0] / scaled.scores[1])
    assert gap == pytest.approx(10 * (red - green) / 127.5, rel=1e-3)
    gap = np.log(plain.scores[0] / plain.scores[1])
    assert gap == pytest.approx(10 * (red - green) / 255, rel=1e-3)


def test_many_photos_keep_their_order_and_scores(exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    colours = rng.integers(0, 256, [75, 3])
    paths = []
    for number, colour in enumerate(colours):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"bad" if number % 20 == 7 else encoded(solid(tuple(colour))))
        paths.append(str(path))
    predictions = list(Labeller(config(exported)).predictions(paths))
    assert [prediction.path for prediction in predictions] == paths
    for number, prediction in enumerate(predictions):
        if number % 20 == 7:
            assert prediction.scores is None
            assert prediction.reason
        else:
            assert prediction.scores is not None
            logits = np.array([*(10 * colours[number] / 255), 0, 0, 0]) + BIAS
            np.testing.assert_allclose(prediction.scores, softmax(logits), atol=1e-5)


def test_a_folder_without_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="has none"):
        photo_paths([str(tmp_path)], ())


FACTS = ModelFacts(
    labels=("a", "b", "c", "d", "e", "f"),
    image_size=(8, 8),
    input_range=(0.0, 1.0),
    input_layer="Placeholder",
    output_layer="final_result",
    module="m",
    module_fingerprint="ab",
    testing_percentage=10,
    validation_percentage=10,
    test_accuracy=None,
    test_count=0,
    tool_version="0",
    calibration=Calibration(0.5, 0.6, 0.2, 0.1, 50),
    temperature_in_graph=False,
)


def test_a_graph_brings_its_labels_along(exported: Path, tmp_path: Path, photos: Path) -> None:
    graph = tmp_path / "graph.pb"
    shutil.copy(exported / "graph.pb", graph)
    write_facts(facts_path(str(graph)), FACTS, of=graph)
    (prediction,) = Labeller(config(exported)).predictions([str(photos / "red.png")])
    assert prediction.scores is not None
    missing = str(tmp_path / "missing.txt")
    alone = Labeller(config(exported, graph=str(graph), labels=missing))
    assert alone.answer(prediction).ranked[0][0] == "a"
    # Labels that are named must be those, as long as the facts are there.
    named = config(exported, graph=str(graph), named=frozenset({"labels"}))
    with pytest.raises(GraphError, match="line 1 is '红 red' where the facts of the graph say 'a'"):
        Labeller(named)
    os.remove(facts_path(str(graph)))
    assert Labeller(named).answer(prediction).ranked[0][0] == "红 red"


DEFAULT, OWN, BESIDE, NAMED = "default", "own", "beside", "named"
NEW_GRAPH = {"run/labels.txt": BESIDE, "run/model.pb.json": OWN}


@pytest.mark.parametrize(
    ("graph", "files", "named", "first"),
    [
        pytest.param("run", {"run/labels.txt": BESIDE}, False, BESIDE, id="folder"),
        pytest.param("run/model.pb", {"run/labels.txt": BESIDE}, False, BESIDE, id="its graph"),
        pytest.param("run", NEW_GRAPH, False, OWN, id="folder, facts"),
        pytest.param("run/model.pb", NEW_GRAPH, False, OWN, id="its graph, facts"),
        pytest.param("run", {"run/labels.txt": BESIDE}, True, NAMED, id="folder, named"),
        pytest.param("run/model.pb", {"run/labels.txt": BESIDE}, True, NAMED, id="graph, named"),
        pytest.param("run", {}, True, NAMED, id="folder without, named"),
        pytest.param("run", {}, False, None, id="folder without"),
        pytest.param("run/model.pb", {"run/settings.json": "{"}, False, None, id="run's without"),
        pytest.param("run/model.pb", {}, False, DEFAULT, id="of others"),
        pytest.param("run/mine.pb", {"run/labels.txt": BESIDE}, False, DEFAULT, id="elsewhere"),
    ],
)
def test_whose_labels_are_taken(
    exported: Path,
    tmp_path: Path,
    graph: str,
    files: dict[str, str],
    named: bool,  # noqa: FBT001 - a row of the table
    first: str | None,
) -> None:
    (tmp_path / "run").mkdir()
    is_folder = graph == "run"
    file = tmp_path / graph / "model.pb" if is_folder else tmp_path / graph
    shutil.copy(exported / "graph.pb", file)
    for name, label in files.items():
        if name.endswith(".pb.json"):
            write_facts(facts_path(str(file)), replace(FACTS, labels=(label, *"bcdef")), of=file)
        else:
            write_labels(tmp_path / name, (label, *"bcdef"))
    where = NAMED if named else DEFAULT
    write_labels(tmp_path / where, (where, *"bcdef"))
    settings = {"graph": str(tmp_path / graph), "labels": str(tmp_path / where)}
    wanted = config(exported, **settings, named=frozenset({"labels"} if named else ()))
    if first is None:
        with pytest.raises(GraphError, match=r"run.*, which has no labels\.txt\. .*--labels"):
            Labeller(wanted)
    else:
        assert Labeller(wanted).labels == (first, *"bcdef")


@pytest.mark.parametrize("place", ["model", "model/1", "model/12"])
def test_a_saved_model_is_read(exported: Path, tmp_path: Path, photos: Path, place: str) -> None:
    graph_def = tf.compat.v1.GraphDef.FromString((exported / "graph.pb").read_bytes())
    with writing_saved_model(
        str(tmp_path / place),
        graph_def,
        output_layer="final_result",
        image_size=(8, 8),
        labels=LABELS,
    ):
        pass
    if place == "model/12":
        (tmp_path / "model" / "9").mkdir()
    paths = [str(photos / "red.png"), str(photos / "more" / "blue.jpg")]
    wanted = [prediction.scores for prediction in Labeller(config(exported)).predictions(paths)]
    settings = {"graph": str(tmp_path / "model"), "labels": str(tmp_path / "missing.txt")}
    labeller = Labeller(config(exported, **settings))
    predictions = list(labeller.predictions(paths))
    got = [prediction.scores for prediction in predictions]
    np.testing.assert_allclose(np.stack(got), np.stack(wanted), atol=1e-6)  # type: ignore[arg-type]
    assert labeller.answer(predictions[0]).ranked[0][0] == "红 red"


@pytest.mark.parametrize(
    ("threshold", "in_graph", "scores", "unknown"),
    [
        # 0.3^2 / (0.3^2 + 5 * 0.14^2) = 0.479 at the temperature of 0.5.
        pytest.param("auto", False, [0.3, *[0.14] * 5], "unknown 0.478723", id="unsure"),
        pytest.param("auto", False, [0.5, *[0.1] * 5], "", id="sure, once calibrated"),
        pytest.param("auto", True, [0.5, *[0.1] * 5], "unknown 0.500000", id="in the graph"),
        pytest.param("0.55", False, [0.5, *[0.1] * 5], "unknown 0.500000", id="a number"),
        pytest.param("0.5", False, [0.5, *[0.1] * 5], "", id="a number that is reached"),
        pytest.param("", False, [0.3, *[0.14] * 5], "", id="not asked for"),
    ],
)
def test_what_is_unsure_is_unknown(
    exported: Path,
    tmp_path: Path,
    threshold: str,
    scores: list[float],
    unknown: str,
    in_graph: bool,  # noqa: FBT001 - a row of the table
) -> None:
    graph = tmp_path / "graph.pb"
    shutil.copy(exported / "graph.pb", graph)
    write_facts(facts_path(str(graph)), replace(FACTS, temperature_in_graph=in_graph), of=graph)
    labeller = Labeller(config(exported, graph=str(graph), unknown_threshold=threshold))
    answer = labeller.answer(Prediction("x.jpg", np.array(scores, np.float32)))
    assert answer.ranked[0][0] == "a"
    assert answer.ranked[0][1] == pytest.approx(scores[0])
    assert len(answer.ranked) == 5
    _, text = formatter("text", top_k=5, with_paths=False)
    lines = text(answer).splitlines()
    assert lines[0] == (unknown or f"a {scores[0]:.6f}")


def test_a_graph_without_calibration_knows_no_unknown(exported: Path) -> None:
    with pytest.raises(GraphError, match="--unknown_threshold=auto needs a graph with"):
        Labeller(config(exported, unknown_threshold="auto"))


def test_a_graph_of_few_photos_knows_no_unknown(exported: Path, tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    shutil.copy(exported / "graph.pb", graph)
    write_facts(
        facts_path(str(graph)),
        replace(FACTS, calibration=Calibration(1.0, 0.0, 0.2, 0.2, 12)),
        of=graph,
    )
    with pytest.raises(GraphError, match=r"at least 20 right .* fewer, on 12\. .*threshold=0\.6"):
        Labeller(config(exported, graph=str(graph), unknown_threshold="auto"))
    Labeller(config(exported, graph=str(graph)))


def test_no_picture_for_a_graph_without_a_map(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="--heatmap_dir"):
        Labeller(config(exported, heatmap_dir=str(tmp_path / "maps")))


@pytest.fixture
def with_map(tmp_path: Path) -> Path:
    """A graph with a map of features, its labels, and the same as a SavedModel."""

    def maps(pixels: Any) -> Any:
        return tf.reduce_mean(tf.nn.relu(pixels - 0.3), [1, 2])

    module = save_module(tmp_path / "module", maps)
    head = Head(np.eye(3, dtype=np.float32) * 20, np.zeros(3, np.float32))
    built = build_graph(load_backbone(str(module)), head, final_tensor_name="final_result")
    write_graph(tmp_path / "graph.pb", built)
    write_labels(tmp_path / "labels.txt", LABELS[:3])
    with writing_saved_model(
        str(tmp_path / "saved"),
        built,
        output_layer="final_result",
        image_size=(8, 8),
        labels=LABELS[:3],
    ):
        pass
    return tmp_path


@pytest.mark.parametrize("kind", ["graph.pb", "saved"])
def test_pictures_of_the_evidence(
    with_map: Path, photos: Path, logged: pytest.LogCaptureFixture, kind: str
) -> None:
    corner = np.full([40, 60, 3], 60, np.uint8)
    corner[25:, 45:] = COLOURS["red"]
    (photos / "corner.png").write_bytes(encoded(corner))
    maps = with_map / "maps"
    settings = {"graph": str(with_map / kind), "heatmap_dir": str(maps), "image": (str(photos),)}
    assert command.run(config(with_map, **settings)) == 0
    assert any(
        line.startswith(f"Pictures of the evidence, by Grad-CAM, go to {maps}")
        for line in logged.messages
    )
    (picture,) = maps.glob("corner_*.png")
    assert len(list(maps.iterdir())) == 3
    with Image.open(picture) as plate:
        score = softmax(20 * np.maximum(corner / 255 - 0.3, 0).mean((0, 1)))[0]
        name, _, written = plate.info["Description"].rpartition(" ")
        assert (plate.info["Title"], name) == ("红 red", "score")
        assert float(written) == pytest.approx(score, abs=0.01)
        # 40 x 60 pixels, enlarged to 213 x 320 on the right, with the legend below.
        drawn = np.asarray(plate.convert("RGB"), np.float32)[-271:-58, -336:-16]
    assert drawn[176:, 277:].mean() > 1.5 * drawn[:106, :160].mean()


def test_no_picture_from_a_tflite_file(with_map: Path) -> None:
    graph_def = tf.compat.v1.GraphDef.FromString((with_map / "graph.pb").read_bytes())
    lite = with_map / "m.tflite"
    write_tflite(
        lite,
        graph_def,
        output_layer="final_result",
        quantization=Quantization(),
        enclosed=Enclosed(LABELS[:3]),
    )
    with pytest.raises(GraphError, match=r"--heatmap_dir.*m\.tflite.*the SavedModel instead"):
        Labeller(config(with_map, graph=str(lite), heatmap_dir=str(with_map / "maps")))


def test_a_photo_that_vanishes_before_its_picture_is_told(
    with_map: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    red, blue = photos / "red.png", photos / "more" / "blue.jpg"
    paths = (str(red), str(blue))
    draw = Plates.draw

    def draw_without_red(plates: Plates, prediction: Prediction) -> None:
        red.unlink(missing_ok=True)
        draw(plates, prediction)

    monkeypatch.setattr(Plates, "draw", draw_without_red)
    maps = with_map / "maps"
    assert command.run(config(with_map, image=paths, heatmap_dir=str(maps))) == 2
    said = capsys.readouterr()
    assert f"ERROR: {red} cannot be read any more" in said.err
    assert said.out.count("红 red") == 2
    assert [path.name.partition("_")[0] for path in maps.iterdir()] == ["blue"]


def test_records_for_programs(
    exported: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    logged: pytest.LogCaptureFixture,
) -> None:
    (photos / "bad.jpg").write_bytes(b"no photo")
    names = [str(photos / "red.png"), str(photos / "bad.jpg"), str(photos / "more" / "blue.jpg")]
    (tmp_path / "names.txt").write_text("\n".join(["", *names]) + "\r\n")
    listed = tmp_path / "names.txt"
    done = label(exported, "--image=-", "--format=json", "--top_k=2", stdin=listed)
    assert done.returncode == 2
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["path"] for record in records] == names
    assert [bool(record["error"]) for record in records] == [False, True, False]
    assert [one["label"] for one in records[0]["labels"]] == ["红 red", "blue"]
    assert len(records[2]["labels"]) == 2
    assert records[1]["labels"] == []

    out = tmp_path / "new" / "answers.csv"
    told = {"format": "csv", "top_k": 2, "output": str(out), "image": tuple(names)}
    assert command.run(config(exported, **told)) == 2
    assert capsys.readouterr().out == ""
    assert f"Labelled 2 photos into {out}; 1 could not be read" in logged.messages
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "error", "unknown", "label_1", "score_1", "label_2", "score_2"]
    assert [row[0] for row in rows] == names
    first = records[0]["labels"][0]
    assert rows[0][1:5] == ["", "", "红 red", f"{first['score']:.6f}"]
    assert rows[1][1] == records[1]["error"]
    assert rows[1][3:] == [""] * 4


@pytest.mark.parametrize("end", ["Ctrl-C", "a picture"])
def test_answers_stay_where_labelling_ends_early(
    with_map: Path,
    photos: Path,
    tmp_path: Path,
    interrupt_unheard: Callable[[], None],
    logged: pytest.LogCaptureFixture,
    end: str,
) -> None:
    # Once: all rows before it were lost, 1537 of them.
    out, maps = tmp_path / "answers.csv", tmp_path / "maps"
    names = [str(photos / "red.png"), str(photos / "more" / "blue.jpg")]
    told = {"format": "csv", "top_k": 1, "output": str(out), "image": tuple(names)}
    if end == "Ctrl-C":
        interrupt_unheard()
    else:
        (maps / heatmap.file_name(names[1])).mkdir(parents=True)
        told["heatmap_dir"] = str(maps)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        command.run(config(with_map, **told))
    assert not out.exists()
    partial = tmp_path / "answers.csv.partial"
    with partial.open(newline="") as file:
        rows = [row["path"] for row in csv.DictReader(file)]
    assert rows == (names[:1] if end == "Ctrl-C" else names)
    assert f"What was written until then is in {partial}" in logged.messages


def test_an_output_that_cannot_be_written_is_told_at_once(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    done = label(exported, f"--output={tmp_path / 'taken'}", "x.jpg")
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: --output must name a file. Got ")


@pytest.mark.parametrize("kind", ["print0", "PowerShell"])
def test_names_as_programs_write_them(exported: Path, photos: Path, kind: str) -> None:
    # Once: one photo of that odd name, which does not exist.
    names = [str(photos / "red.png"), str(photos / "more" / "blue.jpg")]
    content = {
        "print0": "".join(f"{name}\0" for name in names).encode(),
        "PowerShell": ("\ufeff" + "".join(f"{name}\r\n" for name in names)).encode("utf-16-le"),
    }[kind]
    listed = photos.parent / "names.txt"
    listed.write_bytes(content)
    done = label(exported, "--image=-", "--format=json", stdin=listed)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["path"] for record in records] == names
    assert [record["labels"][0]["label"] for record in records] == ["红 red", "blue"]


def test_names_that_are_no_text(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "names").write_bytes(b"\xff\xfea")
    done = label(exported, "--image=-", stdin=tmp_path / "names")
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: --image=- must be given names in UTF-8 or UTF-16.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\ufeff" + "".join(f"{label}\r\n" for label in LABELS), id="marked"),
        pytest.param("".join(f"{label}\n" for label in LABELS) + "\n", id="blank at the end"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_labels_as_programs_write_them(
    exported: Path, tmp_path: Path, content: str, encoding: str
) -> None:
    mark = "" if content.startswith("\ufeff") or encoding == "utf-8" else "\ufeff"
    (tmp_path / "labels.txt").write_bytes((mark + content).encode(encoding))
    labeller = Labeller(
        config(
            exported,
            labels=str(tmp_path / "labels.txt"),
            named=frozenset({"labels"}),
        )
    )
    assert labeller.labels == LABELS


@pytest.mark.parametrize("place", ["/dev/fd/1", "link"])
def test_answers_go_where_a_device_leads(
    exported: Path, photos: Path, tmp_path: Path, place: str
) -> None:
    # Once: a regular file in the place of the link, or an error.
    (tmp_path / "link").symlink_to("/dev/stdout")
    path = str(tmp_path / "link") if place == "link" else place
    photo = str(photos / "red.png")
    plain = label(exported, f"--output={path}", photo).stdout
    assert plain.startswith("红 red ")
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "log").write_text("before\n")
    done = label(exported, photo, f"--output={path}", stdout=tmp_path / "log")
    assert done.returncode == 0
    # As with >>: what was there before stays.
    assert (tmp_path / "log").read_text() == f"before\n{plain}"


def test_answers_stream_into_a_pipe(exported: Path, photos: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        done = label(exported, f"--output={pipe}", str(photos / "red.png"))
        if done.returncode:
            reader.kill()
        assert done.returncode == 0, done.stderr
        assert reader.stdout
        assert reader.stdout.read().startswith("红 red ")
    assert pipe.is_fifo()


def test_a_full_device_is_one_line(exported: Path, photos: Path) -> None:
    for arguments, words in (([], "Standard output"), (["--output=/dev/stdout"], "/dev/stdout")):
        done = label(exported, str(photos / "red.png"), *arguments, stdout="/dev/full")
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"ERROR: {words} cannot be written: No space left on device.")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("way", ["the photo", "a link", "another name", "in a list"])
def test_answers_never_take_the_place_of_a_photo(
    exported: Path, photos: Path, tmp_path: Path, way: str
) -> None:
    # Once: the photo is gone. This one does not begin as photos do.
    photo, output = photos / "red.png", tmp_path / "output.txt"
    photo.write_bytes(with_chunk_before(photo.read_bytes()) if way == "a link" else b"no photo")
    before = photo.read_bytes()
    if way == "a link":
        output.symlink_to(photo)
    elif way == "another name":
        os.link(photo, output)
    else:
        output = photo
    (tmp_path / "names").write_text(str(photo))
    named = "--image=-" if way == "in a list" else str(photo)
    done = label(exported, f"--output={output}", named, stdin=tmp_path / "names")
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: --output must ")
    assert done.stderr.count("\n") == 1
    assert photo.read_bytes() == before


@pytest.mark.parametrize("name", ["model.pb", "labels.txt", "model.pb.json", "settings.json"])
def test_answers_never_take_the_place_of_a_run(tmp_path: Path, name: str) -> None:
    # Once: the files in the folder that --graph names were replaced without a word.
    (tmp_path / name).write_text("mine")
    (tmp_path / "model.pb").touch()
    wanted = LabelConfig(
        graph=str(tmp_path),
        image=("x.jpg",),
        output=str(tmp_path / name),
        named=frozenset({"graph"}),
    )
    with pytest.raises(SettingError, match=f"must be another file than {name} of the run"):
        command.run(wanted)


@pytest.mark.parametrize(
    ("output", "heatmaps", "words"),
    [
        ("out", "out", "another place than --heatmap_dir.* Got .*/out"),
        ("out", "out/maps", "another place than --heatmap_dir"),
        ("out/", "", "--output must name a file. Got .*/out/, which is the name of a folder"),
    ],
)
def test_answers_and_pictures_have_places_of_their_own(
    tmp_path: Path, output: str, heatmaps: str, words: str
) -> None:
    # Once: told when all was labelled, and the answers were lost.
    wanted = LabelConfig(
        graph=str(tmp_path),
        image=("x.jpg",),
        output=f"{tmp_path}/{output}",
        heatmap_dir=heatmaps and f"{tmp_path}/{heatmaps}",
        named=frozenset({"graph"}),
    )
    with pytest.raises(SettingError, match=words):
        command.run(wanted)
    assert list(tmp_path.iterdir()) == []


def test_pictures_go_into_no_file(tmp_path: Path) -> None:
    # Once: told at the first photo.
    (tmp_path / "maps").touch()
    wanted = LabelConfig(
        graph=str(tmp_path),
        image=("x.jpg",),
        heatmap_dir=str(tmp_path / "maps"),
        named=frozenset({"graph"}),
    )
    with pytest.raises(SettingError, match=r"--heatmap_dir must lie in a folder .*: File exists"):
        command.run(wanted)


@pytest.mark.parametrize("name", ["graph.pb", "labels.txt"])
def test_answers_never_take_the_place_of_the_classifier(
    exported: Path, photos: Path, name: str
) -> None:
    before = (exported / name).read_bytes()
    done = label(exported, f"--output={exported / name}", str(photos / "red.png"))
    assert done.returncode == 2
    flag = {"graph.pb": "--graph", "labels.txt": "--labels"}[name]
    assert done.stderr.startswith(f"ERROR: --output must be another file than {flag}. Got ")
    assert (exported / name).read_bytes() == before


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGTERM, 143, "Terminated."), (signal.SIGHUP, 129, "Hung up.")],
)
def test_what_machines_send_ends_it_in_a_line(
    exported: Path, photos: Path, tmp_path: Path, number: int, status: int, words: str
) -> None:
    # More answers than a pipe holds, so that it is at work whenever the signal comes.
    (tmp_path / "names").write_text(f"{photos / 'red.png'}\n" * 3000)
    with (
        (tmp_path / "names").open() as names,
        hearing_signals(),
        subprocess.Popen(
            [
                *(sys.executable, "label_image.py", f"--graph={exported / 'graph.pb'}"),
                *(f"--labels={exported / 'labels.txt'}", "--image=-"),
            ],
            cwd=ROOT,
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == f"{photos / 'red.png'}\n"
        process.send_signal(number)
        answers, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert answers.count("red.png") < 2900
    assert said.splitlines()[-1] == f"ERROR: {words}"
    assert "Traceback" not in said


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-"])
def test_labelling_without_its_streams(
    exported: Path, photos: Path, tmp_path: Path, redirection: str
) -> None:
    output = tmp_path / "answers.txt"
    line = [
        *(sys.executable, "label_image.py", f"--graph={exported / 'graph.pb'}"),
        *(f"--labels={exported / 'labels.txt'}", f"--output={output}", str(photos / "red.png")),
    ]
    done = subprocess.run(
        ["/bin/bash", "-c", f"exec {shlex.join(line)} {redirection}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert output.read_text().startswith("红 red ")


def test_no_folder_for_temporary_files_is_one_line(
    exported: Path, photos: Path, tmp_path: Path
) -> None:
    # Files may have no content: so no folder is one for temporary files, for root neither.
    line = [
        *(sys.executable, "-B", str(ROOT / "label_image.py"), f"--graph={exported / 'graph.pb'}"),
        *(f"--labels={exported / 'labels.txt'}", str(photos / "red.png")),
    ]
    done = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -f 0; exec {shlex.join(line)}"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: There must be a folder for temporary files")
    assert "TMPDIR" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
def test_a_graph_of_another_user_in_the_usual_place_must_be_named(tmp_path: Path) -> None:
    # Once: run, and a graph is a program.
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    graph = shared / "output_graph.pb"
    graph.touch()
    check_files(LabelConfig(graph=str(graph)))
    os.chown(graph, 65534, -1)
    with pytest.raises(GraphError, match="--graph must be named if it belongs to another user"):
        check_files(LabelConfig(graph=str(graph)))
    check_files(LabelConfig(graph=str(graph), named=frozenset({"graph"})))


def test_no_cell_of_the_answers_is_a_formula() -> None:
    # Once: as it was, and Excel ran it.
    _, text = formatter("csv", top_k=1, with_paths=True)
    found = text(Answer("-x/1.jpg", (("=cmd|' /C calc'!A0", 0.5),)))
    assert found == "'-x/1.jpg,,,'=cmd|' /C calc'!A0,0.500000\n"
    assert text(Answer("a.jpg", (), error="@broken")).startswith("a.jpg,'@broken,")
