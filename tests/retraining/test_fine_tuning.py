"""Fine-tuning in whole trainings: of a small network, on photos that its features do not tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded
from forks import run_script
from networks_made_here import saved_network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import image_retraining
from image_retraining.backbone.graphs import parsed_graph
from image_retraining.exports.facts import read_facts
from image_retraining.features import work as engine
from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.foundation.records import Split
from image_retraining.reports.findings import Ended
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run
from image_retraining.tuning.fitted import Epoch


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of noise, lighter above or below, of which the means of a network's map say little."""
    folder, draws = tmp_path_factory.mktemp("tuning") / "photos", np.random.default_rng(4)
    for label, dark in (("above", slice(4, 8)), ("below", slice(0, 4))):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            pixels = draws.integers(0, 256, [8, 8, 3])
            pixels[dark] = pixels[dark] * 0.8
            (folder / label / f"{label}_{number}.png").write_bytes(encoded(pixels))
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_network(tmp_path_factory.mktemp("modules") / "network")


@pytest.fixture
def settings(photos: Path, network: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "image_dir": str(photos),
        "tfhub_module": str(network),
        "named": frozenset({"tfhub_module"}),
        "bottleneck_dir": str(photos.parent / "cache"),
        "output_dir": str(tmp_path / "run"),
        "split": "stratified",
        "validation_percentage": 30,
        "testing_percentage": 30,
        "optimizer": "lbfgs",
        "cross_validate": -1,
        "fine_tune": "auto",
        "fine_tune_learning_rate": 0.01,
        "fine_tune_epochs": 25,
        "fine_tune_patience": 0,
    }


def told(settings: dict[str, Any], *also: Any) -> Ended:
    return run(RetrainConfig(**settings), label_image="label_image", also=also)


def constants(path: Path) -> dict[str, bytes]:
    """Returns the constants of a written graph's network, by name."""
    graph = parsed_graph(path.read_bytes())
    return {
        node.name: node.attr["value"].tensor.SerializeToString()
        for node in graph.node
        if node.op == "Const" and node.name.startswith("module/")
    }


def test_a_better_network_is_exported_and_answers_as_it_did(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    found = told(settings | {"tflite_output_file": "m.tflite"})
    assert found.tuned
    assert found.tuned.is_better
    alone = found.tuned.epochs[0].rank.accuracy
    assert found.tuned.kept.rank.accuracy > alone + 0.1
    assert found.judged.metrics
    assert found.tuned.alone
    assert found.judged.metrics.accuracy > found.tuned.alone.accuracy
    proofs = {one.name: one.proof for one in found.exports}
    assert proofs["graph"]
    assert proofs["graph"].same_answers == proofs["graph"].photo_count == 36
    facts = read_facts(str(tmp_path / "run/model.pb"))
    assert facts
    assert facts.fine_tuned_above == found.tuned.tensor
    # Below the cut nothing has changed, above it all weights have.
    told(settings | {"fine_tune": "", "output_dir": str(tmp_path / "alone")})
    after, before = (constants(tmp_path / name / "model.pb") for name in ("run", "alone"))
    assert set(after) == set(before)
    changed = sum(after[name] != before[name] for name in after)
    # The bias that follows the cut, the inner and the second convolution, its bias, the last layer.
    assert changed == 5
    text = "\n".join(logged.messages)
    assert "Fine-tuning above " in text
    assert "Activations of 84 photos: 84 computed" in text
    assert text.count("Fine-tuning, epoch ") == 26
    assert "the tuned network is exported" in text
    assert f"The head alone: test accuracy = {found.tuned.alone.accuracy:.1%}" in text
    page = (tmp_path / "run/report.html").read_text()
    assert "Beyond the head: fine-tuning" in page
    assert f", fine-tuned above <code>{found.tuned.tensor}</code>." in page
    assert "learning curve and advice are by the module as it was before that." in page
    events: Any = EventAccumulator(str(tmp_path / "run/logs/fine_tuning")).Reload()
    shown = {one.step: one.value for one in events.Scalars("accuracy")}
    wanted = {one.number: one.rank.accuracy for one in found.tuned.epochs}
    assert shown == pytest.approx(wanted)


def test_what_gets_no_better_leaves_the_head_alone(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    settings |= {"fine_tune_learning_rate": 5.0, "fine_tune_epochs": 2}
    found = told(settings)
    assert found.tuned
    assert not found.tuned.is_better
    told(settings | {"fine_tune": "", "output_dir": str(tmp_path / "alone")})
    graphs = [(tmp_path / name / "model.pb").read_bytes() for name in ("run", "alone")]
    assert graphs[0] == graphs[1]
    facts = read_facts(str(tmp_path / "run/model.pb"))
    assert facts
    assert facts.fine_tuned_above == ""
    assert [line for line in logged.messages if line.startswith("Not fine-tuned: none of 2 ")]


def test_weights_that_give_no_numbers_end_it(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    settings |= {"fine_tune_learning_rate": 1e30, "fine_tune_weight_decay": 0.0}
    found = told(settings)
    assert found.tuned
    assert not found.tuned.is_better
    assert len(found.tuned.epochs) < 25
    (line,) = [line for line in logged.messages if "give no numbers any more" in line]
    assert line.endswith("--fine_tune_learning_rate=1e+30 is too high.")
    assert (tmp_path / "run/model.pb").exists()


class InterruptedLater:
    """Presses Ctrl-C when the vectors of the tuned network are computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def tell(self, finding: object) -> None:
        if isinstance(finding, Epoch) and finding.number == 15:
            self._monkeypatch.setattr(engine, "computed", self._interrupted)

    def close(self) -> None: ...

    def _interrupted(self, *_: Any) -> None:
        raise KeyboardInterrupt


def test_who_interrupts_the_last_vectors_is_told_how_to_go_on(
    settings: dict[str, Any], logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"fine_tune_epochs": 15, "seed": 5}
    with pytest.raises(KeyboardInterrupt):
        told(settings, InterruptedLater(monkeypatch))
    monkeypatch.undo()
    assert logged.messages[-1] == (
        "So are the epochs of the fine-tuning, from which --resume goes on."
    )
    logged.clear()
    assert told(settings | {"resume": True}).tuned
    assert "Going on after epoch 15 of " in logged.text


def test_a_tuned_network_is_exported_once_more(photos: Path, network: Path, tmp_path: Path) -> None:
    how = {"optimizer": "lbfgs", "split": "stratified", "cross_validate": -1, "report_file": ""}
    tuning = {"fine_tune": "auto", "fine_tune_learning_rate": 0.01, "fine_tune_epochs": 15}
    run = image_retraining.train(
        photos,
        module=network,
        bottleneck_dir=photos.parent / "cache",
        output_dir=tmp_path / "run",
        validation_percentage=30,
        testing_percentage=30,
        **how,
        **tuning,
    )
    assert run.found.tuned
    assert run.found.tuned.is_better
    # Proven on the vectors that the tuned network gives, or this raises.
    written = run.export(tmp_path / "again.tflite")
    tests = run.features("testing")
    scores = image_retraining.load(written).predict(list(tests.paths))
    own = run.found.calibrated.head.logits(tests.features).argmax(axis=1)
    assert [one.label for one in scores] == [run.labels[place] for place in own]
    # What looks wrong is told by the module's own vectors, of which it has no others here.
    module_vectors = run.found.extraction.sets[Split.TESTING].features
    assert np.abs(module_vectors - tests.features).max() > 1e-3
    run.label_issues()


def test_a_richer_head_is_tuned_along(settings: dict[str, Any]) -> None:
    settings |= {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "how_many_training_steps": 100,
        "hidden_units": 8,
        "batch_normalization": True,
        "fine_tune_epochs": 15,
    }
    found = told(settings)
    assert found.tuned
    assert found.tuned.is_better
    assert found.tuned.kept.number
    before, after = found.trained.head.values(), found.calibrated.head.values()
    assert list(after) == ["weights", "bias", "hidden_weights", "hidden_bias"]
    assert all((before[name] != after[name]).any() for name in after)
    (export,) = found.exports
    assert export.proof
    assert export.proof.same_answers == export.proof.photo_count == 36
    assert export.proof.largest_difference < 1e-4


class Interrupted:
    """Presses Ctrl-C when an epoch is told."""

    def __init__(self, number: int) -> None:
        self._number = number

    def tell(self, finding: object) -> None:
        if isinstance(finding, Epoch) and finding.number == self._number:
            raise KeyboardInterrupt

    def close(self) -> None: ...


def test_an_interrupted_run_is_resumed(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    settings |= {"fine_tune_epochs": 6, "flip_left_right": True, "distortion_views": 2}
    whole = told(settings | {"output_dir": str(tmp_path / "whole")})
    with pytest.raises(KeyboardInterrupt):
        told(settings, Interrupted(4))
    assert "Epochs 0 to 3 of the fine-tuning are kept in " in logged.text
    logged.clear()
    resumed = told(settings | {"resume": True})
    assert resumed.tuned
    assert whole.tuned
    assert resumed.tuned.epochs[1:] == whole.tuned.epochs[1:]
    assert f"Going on after epoch 3 of {tmp_path}/run/checkpoint.fine_tune" in logged.text
    graphs = [(tmp_path / name / "model.pb").read_bytes() for name in ("run", "whole")]
    assert graphs[0] == graphs[1]
    assert " 0 computed, " in logged.text


def test_all_weights_are_trained_from_the_photos(settings: dict[str, Any], tmp_path: Path) -> None:
    found = told(settings | {"fine_tune": "all", "fine_tune_epochs": 25})
    assert found.tuned
    assert found.tuned.share_above == 1
    assert found.tuned.is_better
    assert found.tuned.tensor == found.backbone.input_name
    assert constants(tmp_path / "run/model.pb")


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (
            {"fine_tune_max_gb": 1e-6},
            SettingError,
            r"Got 4.3e-05 GB, for 84 photos and views of 512",
        ),
        ({"fine_tune": "nowhere"}, SettingError, "--fine_tune=list shows them. Got nowhere"),
        ({"validation_percentage": 0}, PhotoError, "--fine_tune needs validation photos"),
    ],
)
def test_what_cannot_be_done_is_told(
    settings: dict[str, Any],
    more: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    settings["bottleneck_dir"] = str(tmp_path / "cache")
    with pytest.raises(error, match=message):
        told(settings | more)
    # Before anything is computed.
    assert "Bottlenecks of " not in logged.text


def test_the_places_are_listed(network: Path, tmp_path: Path) -> None:
    flags = [f"--tfhub_module={network}", f"--bottleneck_dir={tmp_path / 'cache'}"]
    done = run_script("retrain.py", "--fine_tune=list", *flags)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "Tensor"
    # Eight cuts have weights above them.
    assert len(lines) == 9
    (usual,) = [line for line in lines if line.endswith("auto")]
    assert "8 x 8 x 4" in usual
    assert "68.5%" in usual
