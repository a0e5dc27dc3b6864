"""Training from Python: what train() gives, against what the same run told and wrote."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from absl import logging as absl_logging
from conftest import COLOURS, encoded, hearing_signals, solid

import image_retraining
from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.run import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Solid colours, some of which lie in the wrong folder; equal ones do not exist."""
    folder = tmp_path_factory.mktemp("python") / "photos"
    names = list(COLOURS)
    for place, label in enumerate(names):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            colour = COLOURS[names[place - 1] if number in (6, 13) else label]
            seed = 100 * place + number
            photo = folder / label / f"{label}_{number:02}.png"
            photo.write_bytes(encoded(solid(colour, noise=30, seed=seed)))
    return folder


@pytest.fixture(scope="module")
def settings(photos: Path, colour_module: Path) -> dict[str, Any]:
    return {
        "image_dir": photos,
        "module": colour_module,
        "bottleneck_dir": photos.parent / "cache",
        "how_many_training_steps": 60,
        "cross_validate": -1,
        "report_file": "",
    }


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], photos: Path) -> Run:
    return image_retraining.train(**settings, output_dir=photos.parent / "run")


def test_it_says_how_good_it_is(run: Run, photos: Path) -> None:
    told = json.loads((photos.parent / "run/settings.json").read_text())
    assert run.labels == ("blue", "green", "red")
    assert run.accuracy == told["test_accuracy"]
    assert run.accuracy is not None
    assert run.accuracy_interval
    low, high = run.accuracy_interval
    assert 0 < low < run.accuracy < high <= 1
    assert run.path == str(photos.parent / "run")
    assert repr(run) == (
        f"<Run: {run.accuracy * 100:.1f}% of {told['test_count']} test photos right, likely "
        f"{low * 100:.0f} to {high * 100:.0f}%; 3 labels; {run.path}>"
    )


def test_classes_and_errors_are_tables(run: Run) -> None:
    tests = run.features("testing")
    wrong = run.errors
    assert list(wrong.columns) == ["path", "label", "answer", "probability"]
    assert 0 < len(wrong) < len(tests)
    assert 1 - len(wrong) / len(tests) == pytest.approx(run.accuracy)
    # Only what lies in the wrong folder is taken for something else, and rightly so.
    assert {Path(path).stem.split("_")[1] for path in wrong.path} <= {"06", "13"}
    assert list(wrong.label) == [Path(path).parent.name for path in wrong.path]
    assert (wrong.label != wrong.answer).all()
    assert wrong.probability.is_monotonic_decreasing
    classes = run.per_class
    assert list(classes.index) == ["blue", "green", "red"]
    assert list(classes.columns) == ["precision", "recall", "f1", "support"]
    counts = pd.Series([Path(path).parent.name for path in tests.paths]).value_counts()
    assert classes.support.to_dict() == counts.to_dict()
    missed = wrong.label.value_counts().reindex(classes.index, fill_value=0)
    np.testing.assert_allclose(classes.recall, 1 - missed / classes.support)


def test_the_history_is_what_the_log_says(run: Run, photos: Path) -> None:
    table = run.history
    assert list(table.step) == [0, 10, 20, 30, 40, 50, 59]
    log = (photos.parent / "run/run.log").read_text()
    for row in table.itertuples():
        assert f"Step {row.step}: Train accuracy = {row.accuracy * 100:.1f}%" in log
        assert f"Step {row.step}: Cross entropy = {row.cross_entropy:f}" in log
    assert run.found.trained.kept
    best = table.validation_cross_entropy.idxmin()
    assert table.step[best] == run.found.trained.kept.step
    assert ((table.validation_accuracy >= 0) & (table.validation_accuracy <= 1)).all()


def test_the_history_of_a_solved_head_has_its_strengths(settings: dict[str, Any]) -> None:
    solved = image_retraining.train(
        **settings, output_dir=settings["image_dir"].parent / "solved", optimizer="lbfgs"
    )
    assert solved.history.l2.is_monotonic_decreasing
    assert list(solved.history.step) == list(range(len(solved.history)))


def test_feature_vectors_are_there_by_split(run: Run, photos: Path) -> None:
    sets = [run.features(split) for split in ("training", "validation", "testing")]
    paths = [path for one in sets for path in one.paths]
    assert sorted(paths) == sorted(map(str, photos.rglob("*.png")))
    for one in sets:
        assert one.features.shape == (len(one), 6)
        assert one.features.dtype == np.float32
        labels = [run.labels[number] for number in one.label_ids]
        assert labels == [Path(path).parent.name for path in one.paths]
    with pytest.raises(SettingError, match=r"split must be one of .*testing.*Got test\."):
        run.features("test")


def test_labels_that_look_wrong_are_a_table(run: Run) -> None:
    table = run.label_issues()
    assert list(table.columns) == ["path", "given_label", "likely_label", "score"]
    assert {Path(path).stem.split("_")[1] for path in table.path} == {"06", "13"}
    assert len(table) == 6
    assert (table.given_label != table.likely_label).all()


@pytest.mark.parametrize(
    ("name", "quantize"),
    [
        ("m.tflite", "none"),
        ("m8.tflite", "float16"),
        ("m.pb", "none"),
        ("saved", "none"),
        ("s/", "none"),
    ],
)
def test_it_can_be_exported_later(run: Run, tmp_path: Path, name: str, quantize: str) -> None:
    written = run.export(f"{tmp_path}/{name}", quantize=quantize)
    assert written == f"{tmp_path}/{name}"
    classifier = image_retraining.load(written)
    assert classifier.labels == run.labels
    photo = solid(COLOURS["red"], seed=1)
    first, second = (image_retraining.load(p).predict(photo)[0] for p in (written, run.path))
    np.testing.assert_allclose(
        first.scores, second.scores, atol=1e-2 if quantize == "float16" else 1e-5
    )


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("m.h5", {}, r"must end in one of \.pb, \.tflite, \.onnx, or have no ending.*Got .*m\.h5"),
        ("m.tflite", {"quantize": "int4"}, "--tflite_quantize must be one of none, float16, int8"),
        ("file/m.pb", {}, "--output_graph must lie in a folder"),
        # Once: ValueError, a folder called .pb, and settings that were passed over.
        ("", {}, "must end in one of .*Got an empty name"),
        (".pb", {}, r"must end in one of .*Got .*\.pb"),
        ("m.onnx", {"quantize": "int8"}, "quantize is for TensorFlow Lite files"),
        ("m.pb", {"quantize": "float16"}, "quantize is for TensorFlow Lite files"),
        # Once: they spoke of room, and a device got a folder beside it.
        ("file", {}, "Got .*/file, which is no folder"),
        ("file/saved", {}, "--saved_model_dir must lie in a folder.*Got .*/file: File exists"),
        ("file", {"overwrite": True}, "Got .*/file, which is no folder"),
        ("/dev/null", {"overwrite": True}, "Got /dev/null, which is no folder"),
        ("m.pb/", {}, "--output_graph must name a file.*which is the name of a folder"),
        ("/", {}, "must end in one of"),
    ],
)
def test_exports_that_cannot_be(
    run: Run, tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=words):
        run.export(os.path.join(tmp_path, name) if name else "", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (123, "An export's name must be text or a path. Got 123."),
        (None, "An export's name must be text or a path. Got None."),
        (b"x.pb", "An export's name must be text or a path. Got b'x.pb'."),
        ("a\0b.pb", r"An export's name must hold no NUL character. Got 'a\x00b.pb'."),
        ("a\ud800.pb", r"must be text that a file's name can be. Got 'a\ud800.pb'."),
    ],
)
def test_an_export_has_a_name(run: Run, name: Any, words: str) -> None:
    # Once: TypeError, ValueError and UnicodeEncodeError.
    with pytest.raises(SettingError, match=re.escape(words)):
        run.export(name)


def test_what_is_no_choice_is_told(run: Run, tmp_path: Path) -> None:
    # Once: ValueError; and "no" replaced what was there.
    with pytest.raises(SettingError, match="split must be one of"):
        run.features(np.array(["training", "testing"]))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"True or False\. Got 'no'"):
        run.export(tmp_path / "m.pb", overwrite="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("m.tflite", "m.tflite"),
        ("m.pb", "m.pb"),
        ("m.pb", "m_labels.txt"),
        ("m.pb", "m.pb.json"),
        ("saved", "saved/assets/model.json"),
    ],
)
def test_an_export_replaces_nothing_unasked(
    run: Run, tmp_path: Path, name: str, taken: str
) -> None:
    # Once: files were, the labels of another graph among them.
    (tmp_path / taken).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / taken).write_text("mine")
    with pytest.raises(SettingError):
        run.export(tmp_path / name)
    assert (tmp_path / taken).read_text() == "mine"
    assert image_retraining.load(run.export(tmp_path / name, overwrite=True)).labels == run.labels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "sgd"}, "--optimizer must be one of gradient_descent, adam, lbfgs. Got sgd"),
        ({"optimiser": "adam"}, r"retrain\.py's\. Got optimiser\. Did you mean optimizer\?"),
        ({"modul": "builtin"}, r"Got modul\. Did you mean module\?"),
        ({"cache_info": True}, r"retrain\.py's\. Got cache_info\."),
        ({"seed": "1"}, "--seed must be a whole number. Got '1'"),
        ({"overwrite": True}, "it needs --output_dir"),
        # Once: the second of the two was passed over.
        ({"tfhub_module": "builtin"}, "are one setting.* and builtin"),
        # Once: TypeError from TensorFlow.
        ({"learning_rate": 10**400}, "--learning_rate must be a number. Got 1000"),
        ({"output_dir": "a\0b"}, r"must hold no NUL character\. Got 'a.x00b'"),
        ({"output_dir": "a\ud800"}, "output_dir must be text that a file's name can be"),
        ({"image_dir": None}, r"--image_dir must be text\. Got None"),
        ({"image_dir": 5}, r"--image_dir must be text\. Got 5"),
    ],
)
def test_settings_are_checked_as_the_flags_are(
    settings: dict[str, Any], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(image_retraining.RetrainError, match=words):
        image_retraining.train(**settings | {"summaries_dir": tmp_path} | changes)


def test_errors_have_the_words_of_the_script(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PhotoError) as caught:
        image_retraining.train(**settings | {"image_dir": "~none"}, output_dir=tmp_path / "run")
    assert str(caught.value) == "--image_dir must be a folder. Got ~none, which does not exist."
    log = (tmp_path / "run/run.log").read_text()
    assert log.splitlines()[-1].endswith(f"ERROR {caught.value}")


def test_without_test_photos_nobody_knows(settings: dict[str, Any], tmp_path: Path) -> None:
    run = image_retraining.train(
        **settings, output_dir=tmp_path, testing_percentage=0, verify_images=0
    )
    assert run.accuracy is None
    assert run.accuracy_interval is None
    assert len(run.per_class) == len(run.errors) == 0
    assert list(run.errors.columns) == ["path", "label", "answer", "probability"]
    assert "no test photos" in repr(run)


def test_the_process_is_left_as_it_was(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    before = (signal.getsignal(signal.SIGINT), sys.unraisablehook, list(logging.root.handlers))
    environment = {k: v for k, v in os.environ.items() if k.startswith("TFHUB")}
    image_retraining.train(**settings, output_dir=tmp_path / "a", tfhub_cache_dir=tmp_path)
    assert (
        signal.getsignal(signal.SIGINT), sys.unraisablehook, list(logging.root.handlers)
    ) == before  # fmt: skip
    assert {k: v for k, v in os.environ.items() if k.startswith("TFHUB")} == environment
    # Lines of less than WARN are in run.log alone.
    assert not [line for line in logged.messages if "Step" in line]
    image_retraining.train(**settings, output_dir=tmp_path / "b", logging_verbosity="INFO")
    assert [line for line in logged.messages if "Step 59: Train accuracy" in line]


LEVELS = """
import os, sys
from absl import logging
logger = logging.get_absl_logger()
def state():
    return logging.get_verbosity(), logger.level, logger.propagate, dict(os.environ)
before, sys.stderr = state(), None
import image_retraining
run = image_retraining.train(sys.argv[1], module=sys.argv[2], bottleneck_dir=sys.argv[3],
    output_dir=sys.argv[4], how_many_training_steps=5, cross_validate=-1)
image_retraining.load(run.path).predict(run.features("testing").paths[0])
print(*(name for name, a, b in zip(("verbosity", "level", "propagate", "environ"), before, state())
    if a != b))
"""


def test_a_fresh_process_is_left_as_it_was_even_without_stderr(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    # Once: absl's level was another, TF_CPP_MIN_LOG_LEVEL stayed, and a program with windows got
    # an AttributeError.
    places = (settings["image_dir"], settings["module"], tmp_path / "cache", tmp_path / "run")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", LEVELS, *map(str, places)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_numbers_of_numpy_and_none_are_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    numbers = {
        "how_many_training_steps": np.int64(5),
        "learning_rate": np.float32(0.5),
        "flip_left_right": np.bool_(False),  # noqa: FBT003
    }
    run = image_retraining.train(**settings | numbers, output_dir=tmp_path)
    assert run.history.step.iloc[-1] == 4
    told = json.loads((tmp_path / "settings.json").read_text())["settings"]
    assert {name: told[name] for name in numbers} == numbers
    with pytest.raises(PhotoError, match="none, which does not exist"):
        image_retraining.train(
            tmp_path / "none", module=None, output_dir=None, summaries_dir=tmp_path / "logs"
        )


def test_it_trains_in_a_thread_too(settings: dict[str, Any], tmp_path: Path) -> None:
    runs: list[Run] = []

    def train() -> None:
        runs.append(image_retraining.train(**settings, output_dir=tmp_path))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert runs[0].accuracy is not None


def test_one_training_at_a_time(
    run: Run, settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: absl's logger stayed cut off from the program's handlers, and logs were mixed.
    errors: list[image_retraining.RetrainError] = []

    class TryingAnother(logging.Handler):
        """Does so in the middle of a training."""

        def emit(self, record: logging.LogRecord) -> None:
            if "Step 10:" not in record.getMessage():
                return
            for work in (
                lambda: image_retraining.train(**settings, output_dir=tmp_path / "b"),
                lambda: run.export(tmp_path / "m.tflite"),
            ):
                thread = threading.Thread(target=attempt, args=[work])
                thread.start()
                thread.join()

    def attempt(work: Callable[[], object]) -> None:
        try:
            work()
        except image_retraining.RetrainError as error:
            errors.append(error)

    handler = TryingAnother()
    logging.root.addHandler(handler)
    try:
        image_retraining.train(**settings, output_dir=tmp_path / "a", logging_verbosity="INFO")
    finally:
        logging.root.removeHandler(handler)
    assert len(errors) == 4 * 2
    assert all("one classifier at a time" in str(error) for error in errors)
    assert not (tmp_path / "b").exists()
    image_retraining.train(**settings, output_dir=tmp_path / "b")
    logged.clear()
    absl_logging.info("heard")
    assert logged.messages == ["heard"]


def test_ctrl_c_is_an_exception(settings: dict[str, Any], tmp_path: Path) -> None:
    code = f"""
import image_retraining
try:
    image_retraining.train({str(settings["image_dir"])!r}, module={str(settings["module"])!r},
        bottleneck_dir={str(tmp_path / "cache")!r}, output_dir={str(tmp_path / "run")!r},
        how_many_training_steps=10**7, cross_validate=-1, logging_verbosity="INFO")
except KeyboardInterrupt:
    print("interrupted")
image_retraining.train({str(settings["image_dir"])!r}, module={str(settings["module"])!r},
    bottleneck_dir={str(tmp_path / "cache")!r}, output_dir={str(tmp_path / "run2")!r},
    how_many_training_steps=5, cross_validate=-1)
print("and trained")
"""
    with hearing_signals():
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        assert process.stderr
        assert process.stdout
        for line in process.stderr:
            if "Step 300:" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.stdout.read() == "interrupted\nand trained\n"
    assert process.returncode == 0
    assert "--resume goes on" in rest
    assert "Traceback" not in rest


def test_every_setting_of_the_script_is_one_here() -> None:
    defaults = RetrainConfig().settings
    for name in ("cache_info", "cache_prune", "compare_only"):
        del defaults[name]
    # All are known: it is the value of the seed that cannot be used.
    with pytest.raises(SettingError, match="--seed must be at least 0"):
        image_retraining.train(**defaults | {"seed": -1})
