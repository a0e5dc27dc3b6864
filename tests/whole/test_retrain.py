"""retrain.py from the first photo to the last file, as a person runs it or by its run()."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import COLOURS, draw_colours, encoded, hearing_signals, solid
from forks import run_script
from modules_made_here import packed, served
from tensorboard.backend.event_processing import event_accumulator

from image_retraining.backbone.sources import hub
from image_retraining.exports.facts import read_facts
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.labels_file import read_labels
from image_retraining.exports.onnx.reader import OnnxModel
from image_retraining.exports.saved_model import SavedModel
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.foundation.errors import (
    CheckpointError,
    DownloadError,
    PhotoError,
)
from image_retraining.foundation.records import Split
from image_retraining.photos.splits import split_of
from image_retraining.retraining import command
from image_retraining.retraining.config import RetrainConfig

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Path]


@pytest.fixture
def run(
    tmp_path: Path, colour_photos: Path, colour_module: Path, logged: pytest.LogCaptureFixture
) -> Run:
    """Runs run() with outputs below a new folder, which it returns."""

    def run_in(name: str = "out", **settings: Any) -> Path:
        out = tmp_path / name
        logged.clear()
        assert command.run(config(out, colour_photos, colour_module, **settings)) == 0
        return out

    return run_in


def config(out: Path, photos: Path, module: Path, **settings: Any) -> RetrainConfig:
    defaults = {
        "image_dir": str(photos),
        "tfhub_module": str(module),
        "named": frozenset({"image_dir", "tfhub_module"}),
        "bottleneck_dir": str(out.parent / "bottlenecks"),
        "output_graph": str(out / "graph.pb"),
        "output_labels": str(out / "labels.txt"),
        "summaries_dir": str(out / "logs"),
        "checkpoint_path": str(out / "checkpoint"),
        "intermediate_output_graphs_dir": str(out / "intermediate"),
        "how_many_training_steps": 50,
        # Folds have tests of their own.
        "cross_validate": -1,
        "report_file": "",
    }
    return RetrainConfig(**{**defaults, **settings})


def line_of(out: Path, photos: Path, module: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "retrain.py", f"--image_dir={photos}", f"--tfhub_module={module}"),
        *(f"--bottleneck_dir={out.parent / 'bottlenecks'}", f"--output_graph={out / 'graph.pb'}"),
        *(f"--output_labels={out / 'labels.txt'}", f"--summaries_dir={out / 'logs'}"),
        *(
            f"--checkpoint_path={out / 'checkpoint'}",
            "--cross_validate=-1",
            "--report_file=",
            *more,
        ),
    ]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


def test_a_person_runs_it_and_labels_a_photo(
    tmp_path: Path, colour_photos: Path, colour_module: Path
) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        line_of(out, colour_photos, colour_module, "--how_many_training_steps=25"),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    prefixed = re.compile(r"[IW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] (.*)")
    lines = []
    for line in done.stderr.splitlines():
        match = prefixed.fullmatch(line)
        assert match, f"chatter: {line}"
        lines.append(match[1])
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"
    expected = [
        *(rf"Looking for images in '{label}'" for label in COLOURS),
        *(
            pattern
            for step in (0, 10, 20, 24)
            for pattern in (
                rf"{when}: Step {step}: Train accuracy = \d+\.\d%",
                rf"{when}: Step {step}: Cross entropy = \d+\.\d{{6}}",
                rf"{when}: Step {step}: Validation accuracy = \d+\.\d% \(N=15\)",
            )
        ),
        r"Final test accuracy = 100\.0% \(N=\d+\)",
        r"Verified the written graph on \d+ testing photos: same answers, .*",
        rf"Save final result to : {out / 'graph.pb'}",
    ]
    rest = iter(lines)
    for pattern in expected:
        assert any(re.fullmatch(pattern, line) for line in rest), pattern
    assert (out / "labels.txt").read_text() == "blue\ngreen\nred\n"

    (try_it,) = [line.removeprefix("Try it: ") for line in lines if line.startswith("Try it: ")]
    labelled = subprocess.run(
        [sys.executable, *try_it.split()[1:]],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (labelled.returncode, labelled.stderr) == (0, "")
    true_label = Path(try_it.split()[-1]).parent.name
    best = labelled.stdout.splitlines()[0].rpartition(" ")
    assert best[0] == true_label
    assert 0 < float(best[2]) <= 1


def test_a_second_run_computes_nothing_and_gives_the_same_bytes(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    first = run("first")
    assert any("90 photos: 90 computed" in line for line in logged.messages)
    second = run("second")
    assert any("90 photos: 0 computed" in line for line in logged.messages)
    assert (first / "graph.pb").read_bytes() == (second / "graph.pb").read_bytes()
    other = run("other", seed=1)
    assert (first / "graph.pb").read_bytes() != (other / "graph.pb").read_bytes()


def test_without_a_cache_the_bytes_are_the_same_too(run: Run, tmp_path: Path) -> None:
    first = run("first")
    fresh = run("fresh", bottleneck_dir=str(tmp_path / "fresh_bottlenecks"))
    assert (first / "graph.pb").read_bytes() == (fresh / "graph.pb").read_bytes()


@pytest.mark.parametrize(("labels", "photos_each"), [("ab", 150), ("abcd", 60)])
def test_colours_that_mean_nothing_are_not_learnt(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, labels: str, photos_each: int
) -> None:
    """An honest accuracy: what cannot be learnt must not look as if it were."""
    rng = np.random.default_rng(12)
    photos = tmp_path / "random"
    for label in labels:
        (photos / label).mkdir(parents=True)
        for number in range(photos_each):
            contents = encoded(solid(tuple(rng.integers(0, 256, 3))))
            (photos / label / f"{label}{number}.png").write_bytes(contents)
    out = run(image_dir=str(photos), testing_percentage=50, how_many_training_steps=300)
    assert read_labels(out / "labels.txt") == tuple(labels)
    assert FrozenGraph(out / "graph.pb").output_size == len(labels)
    (line,) = [line for line in logged.messages if line.startswith("Final test accuracy")]
    match = re.fullmatch(r"Final test accuracy = (\d+\.\d)% \(N=(\d+)\)", line)
    assert match
    # Four standard deviations of so many fair guesses, in percent.
    chance = 1 / len(labels)
    deviation = np.sqrt(chance * (1 - chance) / int(match[2]))
    assert float(match[1]) == pytest.approx(100 * chance, abs=400 * deviation)


def test_chinese_labels_and_nested_photos(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "花"
    for label, colour in (("玫瑰", (200, 20, 30)), ("雏菊", (20, 20, 200))):
        for number in range(20):
            folder = photos / label / f"第{number % 3}次"
            folder.mkdir(parents=True, exist_ok=True)
            contents = encoded(solid(colour, noise=9, seed=number))
            (folder / f"{label}{number}.png").write_bytes(contents)
    out = run(image_dir=str(photos))
    assert (out / "labels.txt").read_bytes() == "玫瑰\n雏菊\n".encode()


def test_intermediate_graphs(run: Run, logged: pytest.LogCaptureFixture) -> None:
    out = run(intermediate_store_frequency=20)
    paths = [out / "intermediate" / f"intermediate_{step}.pb" for step in (20, 40)]
    assert sorted((out / "intermediate").iterdir()) == paths
    for path in paths:
        assert f"Save intermediate result to : {path}" in logged.messages
        assert FrozenGraph(path).output_size == 3
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_misclassified_photos_are_listed(
    run: Run, colour_photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    wrong = colour_photos / "blue" / "wrong_2.png"
    wrong.write_bytes(encoded(solid(COLOURS["red"])))
    run(print_misclassified_test_images=True, testing_percentage=60, how_many_training_steps=300)
    place = logged.messages.index("=== MISCLASSIFIED TEST IMAGES ===")
    assert logged.messages[place + 1].split() == [str(wrong), "red"]
    assert not logged.messages[place + 2].strip().startswith(str(colour_photos))


DISTORTIONS = {
    "flip_left_right": True,
    "random_crop": 10,
    "random_scale": 10,
    "random_brightness": 10,
}


def extraction_line(logged: pytest.LogCaptureFixture) -> str:
    """Returns what was computed and what came from the cache, without the time."""
    (line,) = (line for line in logged.messages if line.startswith("Bottlenecks of"))
    return line.rpartition(", in ")[0]


def counts(logged: pytest.LogCaptureFixture) -> dict[str, list[int]]:
    """Returns label → photos for training, validation and testing, as logged."""
    rows = (line.split() for line in logged.messages)
    return {row[0]: [*map(int, row[1:])] for row in rows if len(row) == 4 and row[0] in COLOURS}


def test_distorted_views_are_computed_once(run: Run, logged: pytest.LogCaptureFixture) -> None:
    plain = run("plain")
    assert extraction_line(logged).endswith(
        "90 photos: 90 computed, 0 copies of others, 0 from the cache"
    )
    out = run("views", **DISTORTIONS, distortion_views=3)
    views = 3 * sum(counts(logged)[label][0] for label in COLOURS)
    assert extraction_line(logged) == (
        f"Bottlenecks of {90 + views} photos and views: {views} computed, 0 copies of others, "
        "90 from the cache"
    )
    again = run("again", **DISTORTIONS, distortion_views=3)
    assert f": 0 computed, 0 copies of others, {90 + views} from the cache" in extraction_line(
        logged
    )
    graphs = [(folder / "graph.pb").read_bytes() for folder in (plain, out, again)]
    assert graphs[1] == graphs[2] != graphs[0]


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> Path:
    """A folder of photos, and of the bottlenecks of three views of them."""
    folder = tmp_path_factory.mktemp("viewed")
    photos = draw_colours(folder / "photos")
    settings = {**DISTORTIONS, "distortion_views": 3}
    assert command.run(config(folder / "out", photos, colour_module, **settings)) == 0
    return folder


@pytest.mark.parametrize(
    ("change", "computed_views"),
    [
        pytest.param({"distortion_views": 4}, 1, id="one more view"),
        pytest.param({"distortion_views": 2}, 0, id="fewer views"),
        pytest.param({"random_crop": 11}, 3, id="another crop"),
        pytest.param({"flip_left_right": False}, 3, id="no flips"),
        pytest.param({"seed": 1}, 3, id="another seed"),
        pytest.param({"learning_rate": 0.02, "optimizer": "adam"}, 0, id="another training"),
    ],
)
def test_a_setting_touches_only_its_views(
    run: Run,
    viewed: Path,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    change: dict[str, Any],
    computed_views: int,
) -> None:
    shutil.copytree(viewed / "bottlenecks", tmp_path / "bottlenecks")
    settings = {**DISTORTIONS, "distortion_views": 3, "image_dir": str(viewed / "photos")}
    run(**{**settings, **change})
    training = sum(counts(logged)[label][0] for label in COLOURS)
    assert f" {computed_views * training} computed" in extraction_line(logged)


def test_new_photos_cost_only_their_views(
    run: Run, colour_photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    run(**DISTORTIONS, distortion_views=3)
    before = sum(counts(logged)[label][0] for label in COLOURS)
    for number in range(40, 60):
        contents = encoded(solid(COLOURS["red"], noise=9, seed=number))
        (colour_photos / "red" / f"red_{number}.png").write_bytes(contents)
    broken = [colour_photos / "red" / f"broken_{number}.png" for number in range(5)]
    for photo in broken:
        photo.write_bytes(b"no photo")
    run(**DISTORTIONS, distortion_views=3)
    new = sum(counts(logged)[label][0] for label in COLOURS) - before
    splits = [
        split_of(photo.name, validation_percentage=10, testing_percentage=10) for photo in broken
    ]
    assert splits.count(Split.TRAINING) > 0
    assert sum(line.startswith("  ") and "broken_" in line for line in logged.messages) == 5
    assert f": {20 + 3 * new} computed" in extraction_line(logged)


def test_only_training_photos_are_distorted(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    run(**DISTORTIONS, distortion_views=3)
    with sqlite3.connect(tmp_path / "bottlenecks" / "bottlenecks.sqlite3") as database:
        rows = database.execute(
            "SELECT view, count(*) FROM bottlenecks JOIN recipes ON recipe_id = id GROUP BY view"
        ).fetchall()
    database.close()
    by_view = dict(rows)
    assert by_view.pop("") == 90
    assert len(by_view) == 3
    training = sum(counts(logged)[label][0] for label in COLOURS)
    assert set(by_view.values()) == {training}


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adam", "lbfgs"])
def test_the_head_that_validates_best_is_exported(
    run: Run, logged: pytest.LogCaptureFixture, optimizer: str
) -> None:
    out = run(optimizer=optimizer, learning_rate=0.05)
    (kept,) = (line for line in logged.messages if line.startswith("Kept the head of step"))
    losses = whole_validation_losses(out / "logs", "weighted_cross_entropy")
    step, loss = re.fullmatch(
        r"Kept the head of step (\d+), .* is the lowest: ([\d.]+)", kept
    ).groups()  # type: ignore[union-attr]
    assert int(step) == min(losses, key=lambda step: losses[step])
    assert float(loss) == pytest.approx(min(losses.values()), abs=1e-6)
    assert any(line.startswith("Final test accuracy = 100.0%") for line in logged.messages)


def whole_validation_losses(logs: Path, tag: str = "cross_entropy") -> dict[int, float]:
    found = event_accumulator.EventAccumulator(str(logs / "validation")).Reload()
    return {event.step: event.value for event in found.Scalars(tag)}


def test_the_last_head_on_request(
    run: Run, colour_photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Wrong labels and large steps, so that the heads go to and fro.
    for number in range(15):
        contents = encoded(solid(COLOURS["red"], noise=9, seed=100 + number))
        (colour_photos / "blue" / f"wrong_{number}.png").write_bytes(contents)
    settings = {"learning_rate": 5.0, "how_many_training_steps": 45}
    best, last = run("best", **settings), run("last", **settings, export="last")
    assert not any(line.startswith("Kept the head") for line in logged.messages)
    losses = whole_validation_losses(best / "logs")
    assert losses == whole_validation_losses(last / "logs")
    assert min(losses, key=lambda step: losses[step]) != max(losses)
    assert (best / "graph.pb").read_bytes() != (last / "graph.pb").read_bytes()


def test_a_training_that_gets_no_better_stops(run: Run, logged: pytest.LogCaptureFixture) -> None:
    out = run(learning_rate=40.0, how_many_training_steps=4000, early_stopping_patience=3)
    (stopped,) = (line for line in logged.messages if line.startswith("Stopped after step"))
    last = int(stopped.split()[3].rstrip(":"))
    losses = whole_validation_losses(out / "logs")
    assert max(losses) == last < 3999
    best = min(losses, key=lambda step: losses[step])
    assert sorted(losses)[-4:][0] == best


def test_copies_are_told_and_dropped_on_request(
    run: Run, colour_photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    names = {
        split: next(
            name for name in map("{}.png".format, range(99)) if split_by_name(name) is split
        )
        for split in (Split.TRAINING, Split.TESTING)
    }
    for name in names.values():
        # As near as no two of the other photos are.
        (colour_photos / "red" / name).write_bytes(encoded(solid((200, 90, 40))))
    run("all")
    assert any(line.startswith("Groups in training and in testing: ") for line in logged.messages)
    text = "\n".join(logged.messages)
    for split, name in names.items():
        assert re.search(
            f"{split.value} +red +{re.escape(str(colour_photos / 'red' / name))}", text
        )
    run("some", drop_duplicates=True, duplicate_cosine=1.0)
    assert "One photo of each group stays; 1 is left out." in logged.messages


def split_by_name(name: str) -> Split:
    return split_of(name, validation_percentage=10, testing_percentage=10)


def test_the_test_photos_are_told_class_by_class(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    out = run(metrics_file=str(tmp_path / "metrics.json"))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert sum(map(sum, metrics["confusion_matrix"])) == 13
    rows = {line.split()[0]: line.split()[1:] for line in logged.messages if "%" in line}
    testing = {label: counts(logged)[label][2] for label in COLOURS}
    for label in COLOURS:
        # Precision, recall, F1, ROC AUC and average precision.
        right = ["100.0%", "100.0%", "100.0%", "1.000", "1.000"]
        assert rows[label] == [*right, str(testing[label])]
    found = event_accumulator.EventAccumulator(str(out / "logs" / "test")).Reload()
    assert [(event.step, event.value) for event in found.Scalars("accuracy")] == [(49, 1.0)]


def test_wrong_labels_are_listed(
    run: Run, colour_photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    wrong = colour_photos / "blue" / "wrong_2.png"
    wrong.write_bytes(encoded(solid(COLOURS["red"])))
    run(label_issues_file=str(tmp_path / "issues.csv"))
    with (tmp_path / "issues.csv").open(encoding="utf-8-sig", newline="") as file:
        _, worst, *_ = csv.reader(file)
    assert worst[:3] == [str(wrong), "blue", "red"]
    assert float(worst[3]) < 0.5
    assert any(f"{wrong}: blue, rather red" in line for line in logged.messages)


def test_no_photos_to_validate_and_test_on(run: Run, logged: pytest.LogCaptureFixture) -> None:
    out = run(validation_percentage=0, testing_percentage=0)
    assert not any("Validation accuracy" in line for line in logged.messages)
    assert not any("Final test accuracy" in line for line in logged.messages)
    assert any("there is no test photo" in line for line in logged.messages)
    assert any("training photos: same answers" in line for line in logged.messages)
    assert (out / "graph.pb").exists()


def test_test_batch_size_draws(run: Run, logged: pytest.LogCaptureFixture) -> None:
    run(test_batch_size=7, validation_batch_size=-1)
    assert any(re.fullmatch(r"Final test .* \(N=7\)", line) for line in logged.messages)
    # All there are, and none twice.
    run("many", test_batch_size=100)
    assert any(re.fullmatch(r"Final test .* \(N=13\)", line) for line in logged.messages)


def test_a_bad_photo_is_left_out_and_listed(
    run: Run, colour_photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    bad = colour_photos / "green" / "bad.jpg"
    bad.write_bytes(b"<html>")
    run()
    assert "WARNING: 1 of 91 photos could not be read and was left out:" in logged.messages
    assert any(line.startswith(f"  {bad}: ") for line in logged.messages)
    with pytest.raises(PhotoError, match=re.escape(str(bad))):
        run("strict", on_bad_image="fail")


def test_a_saved_model(run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    run(saved_model_dir=str(tmp_path / "saved"))
    assert f"Save SavedModel to : {tmp_path / 'saved'}" in logged.messages
    assert any(line.startswith("Verified the written SavedModel on 13") for line in logged.messages)
    # What TensorFlow says of the place that the files have before they are whole.
    assert not any("Assets written" in line for line in logged.messages)
    out = run("more", saved_model_dir=str(tmp_path / "versions" / "4"))
    run("again", saved_model_dir=str(tmp_path / "versions"))
    assert f"Save SavedModel to : {tmp_path / 'versions' / '5'}" in logged.messages
    assert sorted(os.listdir(tmp_path / "versions")) == ["4", "5"]
    facts = read_facts(str(out / "graph.pb"))
    assert SavedModel(tmp_path / "versions" / "4").facts == facts
    assert facts is not None
    assert facts.labels == ("blue", "green", "red")
    assert (facts.image_size, facts.test_accuracy, facts.test_count) == ((8, 8), 1.0, 13)
    assert tf.saved_model.contains_saved_model(str(tmp_path / "saved"))


@pytest.mark.parametrize("kind", ["none", "float16", "int8"])
def test_a_tflite_file(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, kind: str
) -> None:
    file = tmp_path / "lite" / "model.tflite"
    run(tflite_output_file=str(file), tflite_quantize=kind)
    assert f"Save TensorFlow Lite file to : {file}" in logged.messages
    (line,) = (line for line in logged.messages if "TensorFlow Lite file (" in line)
    said = "same answers" if kind == "none" else "13 of 13 the same answers"
    assert f"({kind}) on 13 testing photos: {said}" in line
    assert line.startswith("Verified" if kind == "none" else "Asked")
    assert line.endswith("accuracy 100.0% where the head's is 100.0%")
    model = TFLiteModel(file)
    assert model.labels == ("blue", "green", "red")
    assert model.facts
    assert model.facts.test_accuracy == 1.0


def test_an_onnx_file(run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "onnx" / "model"
    run(onnx_output_file=str(file))
    assert f"Save ONNX file to : {file}" in logged.messages
    (line,) = (line for line in logged.messages if "Verified the written ONNX file" in line)
    assert "on 13 testing photos: same answers" in line
    model = OnnxModel(file)
    assert model.labels == ("blue", "green", "red")
    assert model.facts
    assert model.facts.test_accuracy == 1.0


# Writes a graph that is not the one that was trained.
ANOTHER = """
from image_retraining.foundation.records import Head
from image_retraining.retraining import command, exporting

build = exporting.build_graph
exporting.build_graph = lambda module, head, **names: build(
    module, Head(-head.weights, -head.bias), **names
)
command.main()
"""


def test_a_graph_that_fails_its_proof_takes_nobodys_place(
    run: Run, tmp_path: Path, colour_photos: Path, colour_module: Path
) -> None:
    script = tmp_path / "another.py"
    script.write_text(ANOTHER)
    out = run()
    before = {path.name: path.read_bytes() for path in out.iterdir() if "graph" in path.name}
    assert set(before) == {"graph.pb", "graph.pb.json"}
    line = line_of(out, colour_photos, colour_module, "--seed=2", "--how_many_training_steps=50")
    done = run_script(str(script), *line[2:])
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ERROR: What is exported must answer as the training did. For ")
    assert last.endswith("It is not kept; please report this with the module's name.")
    assert "Traceback" not in done.stderr
    after = {path.name: path.read_bytes() for path in out.iterdir() if "graph" in path.name}
    assert after == before


def test_nobodys_choice_of_module_falls_back_and_a_persons_does_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    def offline(handle: str, *, patience: float) -> str:
        raise DownloadError(handle, f"nothing within {patience} s")

    monkeypatch.setattr(hub, "resolve", offline)
    url = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
    # Of small photos, which are soon computed.
    small = {"image_size": "64", "how_many_training_steps": 5}
    run(tfhub_module=url, named=frozenset({"image_dir"}), **small)
    warnings = [line for line in logged.messages if "in for" in line]
    assert len(warnings) == 2
    assert "--tfhub_module" in warnings[0]
    # Told again at the end, where nobody has scrolled past it.
    assert logged.messages.index(warnings[1]) == len(logged.messages) - 3
    assert f"stood in for {url}" in warnings[1]
    with pytest.raises(DownloadError):
        run("named", tfhub_module=url)


def test_resuming_needs_the_same_inputs(run: Run, colour_photos: Path) -> None:
    out = run(how_many_training_steps=20)
    run(how_many_training_steps=30, resume=True)
    whole = run("whole", how_many_training_steps=30)
    assert (out / "graph.pb").read_bytes() == (whole / "graph.pb").read_bytes()
    with pytest.raises(CheckpointError, match=r"learning_rate was 0\.01, and is 0\.02"):
        run(how_many_training_steps=40, resume=True, learning_rate=0.02)
    # Once: two digests are told.
    (colour_photos / "red").rename(colour_photos / "scarlet")
    with pytest.raises(
        CheckpointError, match=r"classes were others \(new: scarlet; missing: red\)"
    ):
        run(how_many_training_steps=40, resume=True)


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "Interrupted."),
        # Once: what is sent by Slurm, Docker and a shutdown kills, and loses the training.
        (signal.SIGTERM, 143, "Terminated."),
    ],
)
def test_an_interruption_keeps_the_training_and_resume_goes_on(
    tmp_path: Path,
    colour_photos: Path,
    colour_module: Path,
    number: int,
    status: int,
    words: str,
) -> None:
    out = tmp_path / "out"
    script_and_flags = [
        *("retrain.py", f"--image_dir={colour_photos}", f"--tfhub_module={colour_module}"),
        *(f"--bottleneck_dir={tmp_path / 'cache'}", f"--output_dir={out}"),
        *("--how_many_training_steps=1500", "--cross_validate=-1"),
    ]
    with (
        hearing_signals(),
        subprocess.Popen(
            [sys.executable, *script_and_flags],
            cwd=ROOT,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr
        for line in process.stderr:
            if "Step 300:" in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == status
    assert "--resume goes on" in rest
    assert rest.splitlines()[-1] == f"ERROR: {words}"
    assert "Traceback" not in rest
    assert {path.name for path in out.iterdir()} == {
        *("logs", "checkpoint", "run.log", "settings.json")
    }
    lines = (out / "run.log").read_text().splitlines()
    assert lines[-1].endswith(f" ERROR {words}")
    assert json.loads((out / "settings.json").read_text())["finished"] is None

    done = run_script(*script_and_flags, "--resume", "--logging_verbosity=ERROR")
    assert (done.returncode, done.stderr) == (0, "")
    log = (out / "run.log").read_text()
    assert log.splitlines()[: len(lines)] == lines
    rest = log.partition(words)[2]
    assert "Going on after step" in rest
    assert "Step 200:" not in rest
    assert "Step 1499: Train accuracy" in rest
    assert "Save final result to" in rest
    assert json.loads((out / "settings.json").read_text())["finished"]
    if number != signal.SIGINT:
        return
    whole: dict[str, Any] = {
        "image_dir": str(colour_photos),
        "tfhub_module": str(colour_module),
        "bottleneck_dir": str(tmp_path / "cache"),
        "how_many_training_steps": 1500,
        "cross_validate": -1,
        "output_dir": str(tmp_path / "whole"),
    }
    assert command.run(RetrainConfig(**whole, named=frozenset(whole))) == 0
    graphs = [(tmp_path / out / "model.pb").read_bytes() for out in ("out", "whole")]
    assert graphs[0] == graphs[1]

    # What is finished is not replaced unless that is wanted.
    done = run_script(*script_and_flags, "--resume")
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: --output_dir must not hold a finished run. Got ")
    assert (out / "run.log").read_text() == log


def test_a_url_is_downloaded_into_tensorflow_hubs_cache(
    run: Run, tmp_path: Path, colour_module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TFHUB_CACHE_DIR", "")
    with served(packed(colour_module)) as server:
        run(
            tfhub_module=server.url,
            tfhub_cache_dir=str(tmp_path / "hub"),
            how_many_training_steps=1,
        )
    # Where tensorflow_hub documents that it keeps the module of a URL.
    name = hashlib.sha1(server.url.encode()).hexdigest()  # noqa: S324 - not for safety
    assert (tmp_path / "hub" / name / "saved_model.pb").exists()


def test_links_and_devices_stay_what_they_are(
    tmp_path: Path, colour_photos: Path, colour_module: Path
) -> None:
    # Once: a regular file in the place of each, of the device too.
    out, kept = tmp_path / "out", tmp_path / "kept"
    kept.mkdir()
    links = {
        "output_graph": kept / "g.pb",
        "output_labels": kept / "l.txt",
        "onnx_output_file": Path("/dev/null"),
        "tflite_output_file": kept / "new/m.tflite",
        "saved_model_dir": kept / "saved",
        "checkpoint_path": Path("/dev/null"),
        "label_issues_file": Path("/dev/null"),
        "summaries_dir": kept / "logs",
    }
    out.mkdir()
    for name, target in links.items():
        (out / name).symlink_to(target)
    (kept / "saved").mkdir()
    os.mkfifo(out / "metrics_file.json")
    flags = [f"--{name}={out / name}" for name in links]
    with subprocess.Popen(
        ["/bin/cat", str(out / "metrics_file.json")], stdout=subprocess.PIPE
    ) as reader:
        done = run_script(
            *line_of(out, colour_photos, colour_module, "--how_many_training_steps=20")[1:],
            *(*flags, f"--metrics_file={out / 'metrics_file.json'}"),
        )
        if done.returncode:
            reader.kill()
        assert done.returncode == 0, done.stderr
        assert reader.stdout
        assert json.loads(reader.stdout.read())["count"] > 0
    for name, target in links.items():
        assert (out / name).readlink() == target
    assert read_labels(kept / "l.txt") == tuple(COLOURS)
    assert {path.name for path in (kept / "saved").iterdir()} >= {"saved_model.pb", "assets"}
    assert TFLiteModel(str(kept / "new/m.tflite")).labels == tuple(COLOURS)
    assert FrozenGraph(kept / "g.pb").output_size == len(COLOURS)
    # In a folder of its own the facts are found by the name that was given.
    assert read_facts(str(out / "output_graph")) is not None


def test_a_folder_with_brackets_is_no_pattern(
    tmp_path: Path, colour_photos: Path, colour_module: Path
) -> None:
    # Once: the module cannot be loaded, and a SavedModel not written after all the training.
    home = tmp_path / "r[1]"
    shutil.copytree(colour_module, home / "module*")
    out = home / "out"
    done = run_script(
        *line_of(out, colour_photos, home / "module*", "--how_many_training_steps=20")[1:],
        f"--saved_model_dir={home / 'saved'}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("verified on") or "Verified" in done.stderr
    photo = next((colour_photos / "red").iterdir())
    labelled = run_script("label_image.py", f"--graph={home / 'saved'}", str(photo))
    assert labelled.stdout.startswith("red "), labelled.stderr
    assert {path.name for path in home.iterdir()} == {"bottlenecks", "module*", "out", "saved"}
