"""run() hands on what the stages found; what it writes is tested in whole/."""

import contextlib
import dataclasses
import json
import shutil
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import logging
from forks import run_script
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import image_retraining
from image_retraining.exports.facts import read_facts
from image_retraining.exports.formats import open_classifier
from image_retraining.foundation import large_arrays
from image_retraining.foundation.errors import (
    CheckpointError,
    GraphError,
    PhotoError,
    RetrainError,
    SettingError,
)
from image_retraining.foundation.records import Split, TrainingReport
from image_retraining.foundation.settings import part_of
from image_retraining.head.softmax import softmax
from image_retraining.labelling.unknown import unknown_rule
from image_retraining.reports.findings import Ended, Exported, Judged
from image_retraining.retraining import evaluating, exporting, extracting, training_task
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

STAGES = (
    extracting.ModuleSettings,
    extracting.ExtractionSettings,
    training_task.TrainingSettings,
    evaluating.JudgingSettings,
    exporting.ExportSettings,
)


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_gets_settings_that_there_are(kind: Any) -> None:
    config = RetrainConfig(seed=3, tfhub_module="m", on_bad_image="fail", l2=0.5)
    wanted = part_of(config, kind)
    for field in dataclasses.fields(kind):
        assert getattr(wanted, field.name) == getattr(config, field.name)


@pytest.fixture
def settings(tmp_path: Path, colour_photos: Path, colour_module: Path) -> dict[str, Any]:
    out = tmp_path / "out"
    return {
        "image_dir": str(colour_photos),
        "tfhub_module": str(colour_module),
        "named": frozenset({"tfhub_module"}),
        "bottleneck_dir": str(tmp_path / "bottlenecks"),
        "output_graph": str(out / "graph.pb"),
        "output_labels": str(out / "labels.txt"),
        "summaries_dir": str(out / "logs"),
        "checkpoint_path": str(out / "checkpoint"),
        "how_many_training_steps": 50,
        # Folds have tests of their own.
        "cross_validate": -1,
        "report_file": "",
    }


def told(**settings: Any) -> Ended:
    return run(RetrainConfig(**settings), label_image="python label_image.py")


def test_what_was_found_comes_back(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "photos/red/red_00 copy.png").write_bytes(
        (tmp_path / "photos/red/red_00.png").read_bytes()
    )
    (tmp_path / "photos/red/broken.png").write_bytes(b"no photo")
    found = told(
        **settings,
        label_issues_file=str(tmp_path / "issues.csv"),
        tflite_output_file=str(tmp_path / "m.tflite"),
        calibrate=True,
        # By their names more than 50 photos validate, enough for a temperature.
        validation_percentage=60,
    )
    assert found.catalog.labels == ("blue", "green", "red")
    assert [Path(photo.path).name for photo in found.extraction.unreadable] == ["broken.png"]
    groups = [{Path(r.path).name for r in g.records} for g in found.copies.found.groups]
    assert any({"red_00.png", "red_00 copy.png"} <= names for names in groups)
    assert found.trained.kept
    assert found.trained.kept.step in range(50)
    assert found.calibrated.calibration
    # The exported head is the trained one with the temperature in it.
    temperature = np.float32(found.calibrated.calibration.temperature)
    assert temperature != 1
    np.testing.assert_array_equal(
        found.calibrated.head.weights, found.trained.head.weights / temperature
    )
    tests = found.extraction.sets[Split.TESTING]
    assert found.judged.paths == tests.paths
    assert found.judged.evaluation
    logits = tests.features @ found.calibrated.head.weights + found.calibrated.head.bias
    np.testing.assert_allclose(softmax(found.judged.evaluation.logits), softmax(logits), atol=1e-5)
    assert found.judged.metrics
    assert found.judged.metrics.count == len(tests)
    assert found.wrong_labels
    assert found.wrong_labels.photo_count == 91
    assert [(one.name, one.path) for one in found.exports] == [
        ("graph", settings["output_graph"]),
        ("TensorFlow Lite file", str(tmp_path / "m.tflite")),
    ]
    for export in found.exports:
        assert export.proof
        assert export.split is Split.TESTING
        assert export.proof.same_answers == export.proof.photo_count == len(tests)
        assert export.proof.largest_difference < 1e-5
    assert next(iter(found.seconds)) == "catalog"
    assert {"extraction", "trained", "judged", "exports"} <= set(found.seconds)
    assert all(seconds >= 0 for seconds in found.seconds.values())


def test_vectors_that_lie_on_disk_give_the_same_graph(
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    views = {"flip_left_right": True, "random_crop": 10, "distortion_views": 3}
    graphs = []
    for optimizer in ("lbfgs", "gradient_descent"):
        for share in (4, 10**15):
            monkeypatch.setattr(large_arrays, "_SHARE", share)
            told(**settings | views | {"optimizer": optimizer})
            graphs.append(Path(settings["output_graph"]).read_bytes())
    assert graphs[0] == graphs[1]
    assert graphs[2] == graphs[3]
    notices = [line for line in logged.messages if "they lie in a file in" in line]
    lines = [line for line in notices if line.startswith("Feature vectors take")]
    assert len(lines) == 2
    # Of cross-validation, which few photos to judge by bring about.
    assert len(notices) > 2
    # The file has no name, and is gone with the vectors.
    names = [one.name for one in (tmp_path / "bottlenecks").iterdir()]
    assert [name for name in names if not name.endswith((".sqlite3", ".found"))] == []


def test_a_class_that_cannot_be_read_is_left_out(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    for photo in (tmp_path / "photos/green").iterdir():
        photo.write_bytes(b"no photo")
    found = told(**settings)
    assert found.catalog.labels == ("blue", "red")
    assert Path(settings["output_labels"]).read_text() == "blue\nred\n"
    assert found.judged.metrics
    assert found.judged.metrics.accuracy == 1.0
    (line,) = [line for line in logged.messages if "left out:" in line]
    assert "30 of 90 photos could not be read" in line


def test_what_could_not_be_read_is_listed_before_a_run_fails_of_it(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: listed on success alone.
    for label in ("green", "red"):
        for photo in (tmp_path / "photos" / label).iterdir():
            photo.write_bytes(b"no photo")
    with pytest.raises(PhotoError, match="only photos of 'blue' can"):
        told(**settings)
    assert sum("green_" in line or "red_" in line for line in logged.messages) == 60


def test_few_photos_calibrate_nothing(
    settings: dict[str, Any], logged: pytest.LogCaptureFixture
) -> None:
    found = told(**settings, calibrate=True)
    assert found.calibrated.calibration
    assert found.calibrated.calibration.temperature == 1
    assert found.calibrated.calibration.threshold == 0
    np.testing.assert_array_equal(found.calibrated.head.weights, found.trained.head.weights)
    begins = ("WARNING: --calibrate does nothing", "No calibration: of 15 validation photos")
    for start in begins:
        assert len([line for line in logged.messages if line.startswith(start)]) == 1
    classifier = open_classifier(settings["output_graph"])
    with pytest.raises(GraphError, match=r"needs at least 20 right answers .* fewer, on 15"):
        unknown_rule("auto", classifier.facts, classifier, "graph.pb")


def test_folders_that_are_splits_are_told_as_such(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "split"
    for place, photo in enumerate(sorted((tmp_path / "photos").rglob("*.png"))):
        split = "test" if place % 5 == 0 else "train"
        (root / split / photo.parent.name).mkdir(parents=True, exist_ok=True)
        photo.rename(root / split / photo.parent.name / photo.name)
    found = told(**settings | {"image_dir": str(root)})
    assert found.catalog.labels == ("blue", "green", "red")
    assert {Path(path).parents[1].name for path in found.judged.paths} == {"test"}
    assert len(found.judged.paths) == 18
    facts = read_facts(settings["output_graph"])
    assert facts
    assert (facts.split, facts.testing_percentage, facts.validation_percentage) == (
        *("folders", None, None),
    )
    (root / "test").rename(root / "valid")
    logged.clear()
    told(**settings | {"image_dir": str(root)})
    (line,) = [line for line in logged.messages if "nobody knows how good" in line]
    assert "--testing_percentage" not in line


def test_what_was_not_asked_for_is_none(settings: dict[str, Any]) -> None:
    found = told(**settings, testing_percentage=0, verify_images=0)
    assert found.wrong_labels is None
    assert found.judged.paths == ()
    assert found.judged.evaluation is None
    assert found.judged.metrics is None
    (graph,) = found.exports
    assert graph.proof is None
    assert graph.split is None


class FullDisk:
    """Has no room left for TensorBoard when the training has begun."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def tell(self, finding: object) -> None:
        if isinstance(finding, TrainingReport) and self._folder.is_dir():
            shutil.rmtree(self._folder)
            self._folder.write_text("no folder")

    def close(self) -> None: ...


def test_what_tensorboard_cannot_be_told_costs_no_training(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: the run ended with neither graph nor checkpoint.
    config = RetrainConfig(**settings | {"output_dir": str(tmp_path / "run")})
    found = run(config, label_image="label_image", also=[FullDisk(config.summaries_dir)])
    assert found.exports
    assert open_classifier(settings["output_graph"])
    warned = [one.getMessage() for one in logged.records if one.levelname == "WARNING"]
    (line,) = [one for one in warned if one.startswith("WARNING: TensorBoard shows less: ")]
    assert str(Path(settings["summaries_dir"])) in line


def test_a_file_of_class_weights_is_looked_at_before_the_photos(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    # Once: when all their vectors had been computed.
    (tmp_path / "weights.txt").write_text("red 2\nblue 1\n")
    settings |= {"class_weight": str(tmp_path / "weights.txt")}
    with pytest.raises(SettingError, match="has none for 'green'"):
        told(**settings)
    assert not Path(settings["bottleneck_dir"]).exists()


def test_a_solved_head_has_the_last_step_of_its_path(settings: dict[str, Any]) -> None:
    # Once 3999, of a training by steps: TensorBoard showed its test there.
    found = told(**settings, optimizer="lbfgs")
    assert found.trained.last_step == 12
    events: Any = EventAccumulator(f"{settings['summaries_dir']}/test").Reload()
    assert {one.step for one in events.Scalars("accuracy")} == {12}


def test_a_training_that_stops_early_says_when(settings: dict[str, Any]) -> None:
    found = told(
        **settings | {"how_many_training_steps": 4000},
        learning_rate=30.0,
        early_stopping_patience=3,
        eval_step_interval=5,
    )
    assert found.trained.stopped_early
    assert found.trained.last_step < 3999
    assert found.trained.waited == 3
    assert found.trained.kept
    assert found.trained.kept.step == found.trained.last_step - 3 * 5


def test_a_training_that_has_stopped_early_is_not_resumed(settings: dict[str, Any]) -> None:
    early = {
        "how_many_training_steps": 4000,
        "learning_rate": 30.0,
        "early_stopping_patience": 3,
        "eval_step_interval": 5,
    }
    found = told(**settings | early)
    graph = Path(settings["output_graph"]).read_bytes()
    # Once: each resuming trained one evaluation on, and wrote another graph.
    for _ in range(2):
        again = told(**settings | early, resume=True)
        assert again.trained.stopped_early
        assert again.trained.last_step == found.trained.last_step
        assert again.trained.waited == 3
        assert Path(settings["output_graph"]).read_bytes() == graph
    # Who has more patience goes on.
    more = told(**settings | early | {"early_stopping_patience": 4}, resume=True)
    assert found.trained.last_step > 0
    assert more.trained.last_step > found.trained.last_step


def test_steps_that_are_done_cannot_be_undone(settings: dict[str, Any]) -> None:
    told(**settings)
    graph = Path(settings["output_graph"]).read_bytes()
    with pytest.raises(CheckpointError, match=r"Got 49, and 50 steps in .*checkpoint\. Ask"):
        told(**settings | {"how_many_training_steps": 49}, resume=True)
    assert Path(settings["output_graph"]).read_bytes() == graph
    told(**settings, resume=True)
    assert Path(settings["output_graph"]).read_bytes() == graph


def test_another_training_is_not_resumed(settings: dict[str, Any]) -> None:
    told(**settings)
    others = {
        "optimizer": "adam",
        "class_weight": "none",
        "learning_rate": 0.5,
        "train_batch_size": 99,
        "l2": 0.1,
        "label_smoothing": 0.1,
        "seed": 1,
        "distortion_views": 2,
        "hidden_units": 8,
        "dropout": 0.5,
        "batch_normalization": True,
    }
    for name, value in others.items():
        with pytest.raises(CheckpointError, match=f"--{name} was .*, and is "):
            told(**settings | {name: value}, resume=True)
    with pytest.raises(CheckpointError, match="distortions was "):
        told(**settings, flip_left_right=True, resume=True)
    with pytest.raises(CheckpointError, match="photos and labels was "):
        told(**settings, validation_percentage=20, resume=True)


@pytest.mark.parametrize("export", ["best", "last"])
def test_weights_that_are_no_numbers_end_the_run_plainly(
    settings: dict[str, Any], export: str
) -> None:
    with pytest.raises(SettingError, match=r"--learning_rate must .* Got 1e\+38, by which"):
        told(**settings, learning_rate=1e38, export=export)
    assert not Path(settings["output_graph"]).exists()


def test_weights_that_become_no_numbers_later_leave_the_best_head(
    settings: dict[str, Any], logged: pytest.LogCaptureFixture
) -> None:
    # Each step multiplies the weights of such a regularisation by -4.
    settings |= {"learning_rate": 5.0, "l2": 1.0, "how_many_training_steps": 200}
    found = told(**settings)
    assert found.trained.kept
    assert found.trained.kept.step < found.trained.last_step < 199
    assert found.trained.head.is_finite
    lines = [line for line in logged.messages if "no numbers any more" in line]
    assert len(lines) == 1
    assert lines[0].endswith("Take a lower --learning_rate than 5.")


def test_a_richer_head_is_trained_calibrated_and_exported(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    richer = {
        "optimizer": "adam",
        "learning_rate": 0.001,
        "hidden_units": 16,
        "dropout": 0.3,
        "batch_normalization": True,
        "calibrate": True,
        "tflite_output_file": str(tmp_path / "m.tflite"),
        "validation_percentage": 60,
    }
    found = told(**settings | richer)
    trained, calibrated = found.trained.head, found.calibrated.head
    assert trained.hidden_weights is not None
    assert trained.hidden_weights.shape == (6, 16)
    assert found.calibrated.calibration
    temperature = np.float32(found.calibrated.calibration.temperature)
    assert temperature != 1
    tests = found.extraction.sets[Split.TESTING]
    np.testing.assert_allclose(
        calibrated.logits(tests.features), trained.logits(tests.features) / temperature, atol=1e-5
    )
    assert [one.name for one in found.exports] == ["graph", "TensorFlow Lite file"]
    for one in found.exports:
        assert one.proof
        assert one.proof.same_answers == one.proof.photo_count == len(tests)
        assert one.proof.largest_difference < 1e-5
    assert found.judged.metrics
    assert found.judged.metrics.accuracy == 1.0
    # What is done is not done again.
    graph = Path(settings["output_graph"]).read_bytes()
    told(**settings | richer, resume=True)
    assert Path(settings["output_graph"]).read_bytes() == graph


@pytest.mark.parametrize(
    "asked",
    [
        {"testing_percentage": 20, "validation_percentage": 60, "exif_orientation": "ignore"},
        {"split": "stratified", "final_tensor_name": "mine", "test_batch_size": 5},
    ],
)
def test_the_facts_are_what_was_asked_for_and_found(
    settings: dict[str, Any], asked: dict[str, Any]
) -> None:
    found = told(**settings, **asked)
    facts = read_facts(settings["output_graph"])
    assert facts
    assert found.judged.metrics
    assert dataclasses.asdict(facts) == dataclasses.asdict(facts) | {
        "labels": ("blue", "green", "red"),
        "image_size": (8, 8),
        "input_range": (0, 1),
        "output_layer": asked.get("final_tensor_name", "final_result"),
        "module": settings["tfhub_module"],
        "module_fingerprint": found.backbone.fingerprint,
        "testing_percentage": asked.get("testing_percentage", 10),
        "validation_percentage": asked.get("validation_percentage", 10),
        "test_accuracy": found.judged.metrics.accuracy,
        "test_count": asked.get("test_batch_size", len(found.judged.paths)),
        "tool_version": image_retraining.__version__,
        "temperature_in_graph": False,
        "split": asked.get("split", "names"),
        "exif_orientation": asked.get("exif_orientation", "apply"),
    }
    assert facts.calibration == found.calibrated.calibration


def test_misclassified_photos_are_named(settings: dict[str, Any], tmp_path: Path) -> None:
    red = next((tmp_path / "photos/red").iterdir()).read_bytes()
    # A hash puts this name into the test set.
    wrong = tmp_path / "photos/blue/blue_06.png"
    wrong.write_bytes(red)
    found = told(**settings)
    assert list(found.judged.misclassified()) == [(str(wrong), "red")]


def test_a_run_in_one_folder_says_what_it_was(settings: dict[str, Any], tmp_path: Path) -> None:
    places = {"output_graph", "output_labels", "summaries_dir", "checkpoint_path"}
    folder = tmp_path / "runs/colours"
    found = told(
        **{name: value for name, value in settings.items() if name not in places},
        output_dir=str(folder),
        seed=7,
        metrics_file="metrics.json",
        saved_model_dir="saved",
    )
    assert {path.name for path in folder.iterdir()} == {
        *("model.pb", "model.pb.json", "labels.txt", "logs", "checkpoint", "run.log"),
        *("settings.json", "metrics.json", "saved"),
    }
    content = json.loads((folder / "settings.json").read_text())
    assert content["settings"]["seed"] == 7
    assert content["settings"]["output_graph"] == str(folder / "model.pb")
    assert content["settings"].keys() == RetrainConfig().settings.keys()
    assert content["named"] == ["tfhub_module"]
    assert content["labels"] == ["blue", "green", "red"]
    assert content["versions"]["numpy"] == np.__version__
    assert content["versions"]["tensorflow"].startswith("2.")
    assert found.judged.metrics
    assert content["test_accuracy"] == found.judged.metrics.accuracy
    assert content["test_count"] == found.judged.metrics.count
    assert content["seconds"].keys() == found.seconds.keys()
    started, finished = (
        datetime.strptime(content[name], "%Y-%m-%dT%H:%M:%S%z") for name in ("started", "finished")
    )
    assert timedelta(0) <= finished - started < timedelta(minutes=5)
    assert found.example[:3] == ("python", "label_image.py", f"--graph={folder}")
    assert open_classifier(str(folder)).labels == ("blue", "green", "red")


PLACES = ("output_graph", "output_labels", "summaries_dir", "checkpoint_path")


@pytest.fixture
def in_folder(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The settings of a run in one folder."""
    free = {name: value for name, value in settings.items() if name not in PLACES}
    return free | {"output_dir": str(tmp_path / "run")}


def test_a_run_that_cannot_begin_leaves_what_it_would_replace(
    in_folder: dict[str, Any], tmp_path: Path
) -> None:
    # Once: a mistyped --image_dir emptied the log, and the run counted as unfinished: the next one
    # replaced it without being told to.
    run = in_folder | {"output_graph": str(tmp_path / "mine.pb")}
    told(**run)
    log, said = (tmp_path / "run" / name for name in ("run.log", "settings.json"))
    lines, settings = log.read_text(), said.read_text()
    for mistyped in ({"image_dir": "none"}, {"tfhub_module": str(tmp_path / "none")}):
        with pytest.raises(RetrainError):
            told(**run | mistyped, overwrite=True)
        assert said.read_text() == settings
    assert log.read_text().startswith(lines)
    with pytest.raises(SettingError, match="must not hold a finished run"):
        told(**run)


class Interrupting:
    """Presses Ctrl-C when a finding of some kind is told, the first or a later one."""

    def __init__(self, kind: type, number: int = 1) -> None:
        self._kind, self._left = kind, number

    def tell(self, finding: object) -> None:
        self._left -= isinstance(finding, self._kind)
        if not self._left:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Has nothing to finish."""


@pytest.mark.parametrize(("kind", "number"), [(TrainingReport, 1), (Exported, 1), (Exported, 2)])
def test_a_run_that_is_stopped_can_be_resumed_whenever_that_was(
    in_folder: dict[str, Any], tmp_path: Path, kind: type, number: int
) -> None:
    # Once: refused as finished if the graph was there already, or for its own SavedModel.
    settings = in_folder | {"saved_model_dir": "saved"}
    with pytest.raises(KeyboardInterrupt):
        run(RetrainConfig(**settings), label_image="l", also=[Interrupting(kind, number)])
    folder = tmp_path / "run"
    assert (folder / "model.pb").exists() == (kind is Exported)
    assert (folder / "saved").exists()
    assert json.loads((folder / "settings.json").read_text())["finished"] is None
    told(**settings, resume=True)
    assert json.loads((folder / "settings.json").read_text())["finished"]
    assert open_classifier(str(folder / "saved")).labels == ("blue", "green", "red")


@pytest.mark.parametrize(
    ("kind", "number", "is_kept"),
    [(TrainingReport, 1, True), (Judged, 1, True), (Exported, 2, False)],
)
def test_a_finished_run_stays_one_until_its_graph_is_replaced(
    in_folder: dict[str, Any], tmp_path: Path, kind: type, number: int, *, is_kept: bool
) -> None:
    told(**in_folder)
    again = RetrainConfig(**in_folder, saved_model_dir="saved", overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        run(again, label_image="l", also=[Interrupting(kind, number)])
    said = json.loads((tmp_path / "run/settings.json").read_text())
    assert bool(said["finished"]) == is_kept


# Trains again, with the classes called otherwise, and is killed before a new file takes its place.
KILLED = """
import json, os, pathlib, signal, sys
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

settings, left = json.loads(sys.argv[1]), int(sys.argv[2])
replace = pathlib.Path.replace

def replace_or_die(self, target):
    global left
    if target.name in ("g.pb", "g.pb.json", "g.pb.unknown.npz", "l.txt", "m.json", "m.tflite"):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    return replace(self, target)

pathlib.Path.replace = replace_or_die
settings["named"] = frozenset(settings["named"])
run(RetrainConfig(**settings), label_image="label_image")
"""


NEW = ("g.pb", "g.pb.json", "g.pb.unknown.npz", "l.txt", "m.json", "m.tflite")


@pytest.fixture
def renamed(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The settings of a run that is done, whose classes have other names since."""
    out = tmp_path / "out"
    places = {"output_graph": "g.pb", "output_labels": "l.txt", "metrics_file": "m.json"}
    files = {**places, "tflite_output_file": "m.tflite"}
    settings |= {name: str(out / file) for name, file in files.items()}
    settings |= {"validation_percentage": 60, "testing_percentage": 20}
    told(**settings)
    for old, new in (("blue", "violet"), ("red", "amber")):
        (tmp_path / "photos" / old).rename(tmp_path / "photos" / new)
    return settings


def answers_of(out: Path, photo: Path) -> tuple[str, str]:
    """Returns what the graph says of a photo, as the tutorial asks it, and the TFLite file."""
    (alone,) = image_retraining.load(out / "m.tflite").predict(photo)
    try:
        (answer,) = image_retraining.load(out / "g.pb", labels=out / "l.txt").predict(photo)
    except GraphError as error:
        assert "--labels must name what the graph was trained on" in str(error)  # noqa: PT017
        return "refused", str(alone.label)
    return str(answer.label), str(alone.label)


def test_a_stop_between_the_results_mixes_no_labels(
    renamed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once: the new graph with the labels of the run before; the answer for a star was circle.
    out, photo = tmp_path / "out", next((tmp_path / "photos/amber").iterdir())
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    replace, left, answers = Path.replace, 0, []

    def replace_or_stop(self: Path, target: Path) -> Path:
        nonlocal left
        if target.name in NEW:
            left -= 1
            if left < 0:
                raise SystemExit
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_or_stop)
    # Before the labels, the graph, what is unknown, and at the end.
    for number in (1, 2, 3, 6):
        for name, contents in before.items():
            (out / name).write_bytes(contents)
        left = number
        with pytest.raises(SystemExit) if number < 6 else contextlib.nullcontext():
            told(**renamed)
        answers.append(answers_of(out, photo))
    assert answers == [("red", "amber"), ("refused", "amber"), *[("amber", "amber")] * 2]


def test_a_kill_between_the_results_mixes_no_labels(
    renamed: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    settings = json.dumps(renamed | {"named": ["tfhub_module"]})
    done = run_script(str(tmp_path / "killed.py"), settings, "2")
    assert done.returncode == -signal.SIGKILL
    photo = next((tmp_path / "photos/amber").iterdir())
    assert answers_of(tmp_path / "out", photo) == ("refused", "amber")
    told(**renamed)
    assert answers_of(tmp_path / "out", photo) == ("amber", "amber")


def test_all_that_is_overwritten_is_replaced_or_told(
    in_folder: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: refused, for the folder of the SavedModel was not empty.
    told(**in_folder, saved_model_dir="saved", metrics_file="m.csv")
    saved = tmp_path / "run/saved"
    before = (saved / "assets/model.json").read_text()
    (tmp_path / "photos/red").rename(tmp_path / "photos/rouge")
    logged.clear()
    told(**in_folder, saved_model_dir="saved", overwrite=True)
    assert open_classifier(str(saved)).labels == ("blue", "green", "rouge")
    assert (saved / "assets/model.json").read_text() != before
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name[0] == "."] == []
    left = [line for line in logged.messages if "did not write anew" in line]
    assert [line.rpartition(" ")[2] for line in left] == [str(tmp_path / "run/m.csv")]


def test_the_log_has_what_comes_after_a_saved_model(
    in_folder: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: lost where the screen shows warnings alone.
    logging.set_verbosity(logging.WARNING)
    told(**in_folder, saved_model_dir="saved")
    log = (tmp_path / "run/run.log").read_text()
    assert "Save SavedModel to" in log
    assert "Try it:" in log
    assert not [line for line in logged.messages if "Assets written" in line]
    for chatter in ("Assets written", "Sharding", "fingerprint to"):
        assert chatter not in log


def test_the_example_is_a_photo_that_is_answered_rightly(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    tests = told(**settings).judged.paths
    # All test photos but one are of another colour than their label says.
    right = tests[-1]
    for path in tests[:-1]:
        red, blue = (next((tmp_path / "photos" / name).iterdir()) for name in ("red", "blue"))
        Path(path).write_bytes((blue if Path(path).parent.name == "red" else red).read_bytes())
    assert told(**settings).example[-1] == f"--image={right}"
    validated = told(**settings, testing_percentage=0).example[-1].removeprefix("--image=")
    label = Path(validated).parent.name
    assert Path(validated).name.startswith(label)
    assert told(**settings, testing_percentage=0, validation_percentage=0).example[-1] == (
        "--image=X.jpg"
    )
