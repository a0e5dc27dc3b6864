"""Whole runs on splits that disagree: which photos, weights and heads end up where.

Solid colours are learnt from any split, with any weights, by any head. Here colours are noisy and
overlap, some are called by another's name, classes are of unlike sizes, and each split is noisy in
its own way. What must come out is worked out from the drawn pixels, in float64 and by other code.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from conftest import encoded, save_module
from import_bottlenecks import ImportConfig
from import_bottlenecks import run as import_texts
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.covariance import LedoitWolf
from text_bottlenecks import module_part

import image_retraining
from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.facts import ModelFacts, read_facts
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.frozen_graph.format import FrozenGraphFormat
from image_retraining.exports.frozen_graph.writer import build_graph
from image_retraining.foundation.errors import VerificationError
from image_retraining.foundation.records import Head, Split, TrainingReport
from image_retraining.reports.findings import Ended
from image_retraining.retraining import exporting
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

Doubles = npt.NDArray[np.float64]

LABELS = ("ash", "fern", "rose")
CENTRES = np.array([[118, 118, 118], [104, 140, 110], [142, 106, 116]])
# The four quarters of a photo, three channels each.
FEATURE_SIZE = 12
# Photos of each class, deviation of their colours, and share of those that are called otherwise.
SPLITS = {
    "train": ((160, 70, 40), 40, 0.2),
    "valid": ((40, 60, 50), 60, 0.1),
    "test": ((60, 40, 50), 28, 0.0),
}
COPY_COUNT = 24
# What a photo of each class counts, by --class_weight.
GIVEN = (1.0, 6.0, 0.5)
CLASS_WEIGHTS = ("balanced", "none", "file")


@dataclass(frozen=True)
class Photos:
    """The photos of one split: float64 [N, 12] what the module gives, int [N], and the files."""

    vectors: Doubles
    label_ids: Any
    paths: tuple[str, ...]

    def counted(self, choice: str) -> Doubles:
        """How much each of them counts, by --class_weight."""
        by_class = {
            "balanced": 1 / np.bincount(self.label_ids, minlength=3),
            "none": np.ones(3),
            "file": np.array(GIVEN),
        }
        weights: Doubles = by_class[choice][self.label_ids]
        return weights

    def unlike(self, cosine: float, *others: "Photos") -> "Photos":
        """Returns those whose cosine with all others is below."""
        away = np.ones(len(self.paths), np.bool_)
        for other in others:
            lengths = [np.linalg.norm(part.vectors, axis=1) for part in (self, other)]
            cosines = self.vectors @ other.vectors.T / np.outer(*lengths)
            away &= cosines.max(axis=1) < cosine - 1e-9
        rows = np.flatnonzero(away)
        paths = tuple(self.paths[row] for row in rows)
        return Photos(self.vectors[rows], self.label_ids[rows], paths)


@dataclass(frozen=True)
class Drawn:
    """All photos, and where they are."""

    folder: Path
    training: Photos
    validation: Photos
    testing: Photos


def quarters(photos: Any) -> Any:
    """Returns float32 [N, 12]: the mean colour of each quarter of a photo."""
    return 4 * tf.reshape(tf.nn.avg_pool2d(photos, 4, 4, "VALID"), [-1, FEATURE_SIZE]) - 2


def drawn_in(folder: Path) -> Drawn:
    random = np.random.default_rng(5)
    parts = {}
    for split, (counts, deviation, share) in SPLITS.items():
        colours, label_ids, paths = [], [], []
        for label_id, count in enumerate(counts):
            (folder / split / LABELS[label_id]).mkdir(parents=True)
            for number in range(count):
                # Mostly it is the class before that is taken for this one.
                true = label_id - 1 if random.uniform() < share else label_id
                around = random.normal(CENTRES[true], deviation, [4, 3])
                colours.append(around.clip(0, 255).astype(np.uint8))
                label_ids.append(label_id)
                paths.append(str(folder / split / LABELS[label_id] / f"{number:03}.png"))
        parts[split] = (colours, label_ids, paths)
    # Test photos that are learnt from, too, and as something else.
    for number in range(COPY_COUNT):
        path = str(folder / "train" / "rose" / f"copy{number}.png")
        for values, value in zip(parts["train"], (parts["test"][0][number], 2, path), strict=True):
            values.append(value)  # type: ignore[attr-defined]
    made = []
    for colours, label_ids, paths in parts.values():
        for colour, path in zip(colours, paths, strict=True):
            pixels = colour.reshape(2, 2, 3).repeat(4, axis=0).repeat(4, axis=1)
            Path(path).write_bytes(encoded(pixels))
        vectors = 4 * np.array(colours, float).reshape(-1, FEATURE_SIZE) / 255 - 2
        made.append(Photos(vectors, np.array(label_ids), tuple(paths)))
    return Drawn(folder, *made)


# The expectations


def solved(photos: Photos, weights: Doubles, *, l2: float, smoothing: float = 0.0) -> Head:
    """Returns the softmax layer of the lowest loss."""
    truth = (1 - smoothing) * np.eye(3)[photos.label_ids] + smoothing / 3
    share = (weights / weights.sum())[:, np.newaxis]

    def loss(packed: Doubles) -> tuple[float, Doubles]:
        rows = packed.reshape(-1, 3)
        logs = log_softmax(photos.vectors @ rows[:-1] + rows[-1], axis=1)
        errors = share * (np.exp(logs) - truth)
        slope = np.vstack([photos.vectors.T @ errors + l2 * rows[:-1], errors.sum(axis=0)])
        penalty = l2 / 2 * np.square(rows[:-1]).sum()
        return float(penalty - (share * truth * logs).sum()), slope.ravel()

    start = np.zeros((FEATURE_SIZE + 1) * 3)
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    rows = found.x.reshape(-1, 3)
    return Head(rows[:-1], rows[-1])


def logits_of(head: Head, photos: Photos) -> Doubles:
    logits: Doubles = photos.vectors @ head.weights.astype(float) + head.bias.astype(float)
    return logits


def probabilities_of(head: Head, photos: Photos) -> Doubles:
    probabilities: Doubles = softmax(logits_of(head, photos), axis=1)
    return probabilities


def loss_of(head: Head, photos: Photos, weights: Doubles) -> float:
    """Returns the mean cross entropy, each photo counting by its weight."""
    logs = log_softmax(logits_of(head, photos), axis=1)
    return float(-np.average(logs[np.arange(len(logs)), photos.label_ids], weights=weights))


def validating_best(heads: Iterable[Head], photos: Photos, weights: Doubles) -> Head:
    return min(heads, key=lambda head: loss_of(head, photos, weights))


def temperature_for(head: Head, photos: Photos) -> float:
    """Returns what the logits are best divided by."""
    logits, rows = logits_of(head, photos), np.arange(len(photos.paths))

    def loss(log_temperature: float) -> float:
        logs = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-logs[rows, photos.label_ids].mean())

    bounds = (np.log(0.05), np.log(20))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def sureness_of(head: Head, photos: Photos, temperature: float) -> tuple[Doubles, Any]:
    """Returns the probability of each answer, and whether it is right."""
    logits = logits_of(head, photos)
    sureness: Doubles = softmax(logits / temperature, axis=1).max(axis=1)
    return sureness, logits.argmax(axis=1) == photos.label_ids


def distances_of(training: Photos, photos: Photos) -> Doubles:
    """Returns the Mahalanobis distance of each photo to the nearest class mean."""

    def unit(vectors: Doubles) -> Doubles:
        units: Doubles = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return units

    learnt, asked = unit(training.vectors), unit(photos.vectors)
    means = np.stack([learnt[training.label_ids == label_id].mean(axis=0) for label_id in range(3)])
    fitted = LedoitWolf(assume_centered=True).fit(learnt - means[training.label_ids])
    gaps = asked[:, np.newaxis] - means
    squares = np.einsum("ncd,de,nce->nc", gaps, fitted.precision_, gaps)
    distances: Doubles = np.sqrt(squares.min(axis=1))
    return distances


# The runs


class Listening:
    """Keeps the heads that a training passes by."""

    def __init__(self) -> None:
        self.heads: list[Head] = []

    def tell(self, finding: object) -> None:
        if isinstance(finding, TrainingReport):
            self.heads.append(finding.head)

    def close(self) -> None:
        """Has nothing to finish."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        found: what it says.
        heads: that its training passed by.
        head: in the graph that it wrote.
        facts: beside the graph.
        out: where its files are.
    """

    found: Ended
    heads: list[Head]
    head: Head
    facts: ModelFacts
    out: Path


def written_head(graph: Path) -> Head:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(graph.read_bytes())
    tensors = {node.name: node.attr["value"].tensor for node in graph_def.node}
    names = ("weights/final_weights", "biases/final_biases")
    return Head(*(tf.make_ndarray(tensors[f"final_retrain_ops/{name}"]) for name in names))


class Runs:
    """Makes each run once."""

    def __init__(self, drawn: Drawn, folder: Path) -> None:
        self.drawn = drawn
        self._folder = folder
        self._made: dict[str, Outcome] = {}
        (folder / "weights.txt").write_text(
            "".join(f"{label} {weight}\n" for label, weight in zip(LABELS, GIVEN, strict=True))
        )
        module = save_module(folder / "module", quarters)
        self.base: dict[str, Any] = {
            "image_dir": str(drawn.folder),
            "tfhub_module": str(module),
            "bottleneck_dir": str(folder / "bottlenecks"),
            # Most of the time goes into the proof, and most tests look at the graph themselves.
            "verify_images": 0,
            "cross_validate": -1,
            "report_file": "",
        }

    def __call__(self, **settings: Any) -> Outcome:
        name = json.dumps(settings, sort_keys=True)
        if name not in self._made:
            out = self._folder / f"run{len(self._made)}"
            self._made[name] = self.made_in(out, **settings)
        return self._made[name]

    def config(self, out: Path, **settings: Any) -> RetrainConfig:
        if settings.get("class_weight") == "file":
            settings["class_weight"] = str(self._folder / "weights.txt")
        named = frozenset({"tfhub_module"})
        return RetrainConfig(**self.base | settings, output_dir=str(out), named=named)

    def made_in(self, out: Path, **settings: Any) -> Outcome:
        listening = Listening()
        config = self.config(out, **settings)
        found = run(config, label_image="label_image", also=[listening])
        facts = read_facts(str(out / "model.pb"))
        assert facts
        return Outcome(found, listening.heads, written_head(out / "model.pb"), facts, out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("wiring")
    return Runs(drawn_in(folder / "photos"), folder)


@pytest.fixture(scope="module")
def drawn(runs: Runs) -> Drawn:
    return runs.drawn


def gap(one: Head, other: Head, photos: Photos) -> float:
    """Returns by how much two heads' probabilities of photos differ at most."""
    return float(np.abs(probabilities_of(one, photos) - probabilities_of(other, photos)).max())


# The head


SOLVED = {"optimizer": "lbfgs", "l2": 0.01}


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
def test_the_solved_head_is_of_the_training_photos_and_validates_best(
    runs: Runs, drawn: Drawn, class_weight: str
) -> None:
    outcome = runs(optimizer="lbfgs", class_weight=class_weight)
    weights, judging = (part.counted(class_weight) for part in (drawn.training, drawn.validation))
    strengths = [10 ** (-place / 2) for place in range(13)]
    path = [solved(drawn.training, weights, l2=strength) for strength in strengths]
    best = validating_best(path, drawn.validation, judging)
    assert gap(outcome.head, best, drawn.training) < 1e-3
    kept = outcome.found.trained.kept
    assert kept
    assert kept.cross_entropy == pytest.approx(loss_of(best, drawn.validation, judging), abs=1e-4)
    # The weakest regularisation fits the training photos best.
    assert gap(best, path[-1], drawn.training) > 0.02


@pytest.mark.parametrize(
    ("class_weight", "more"),
    [
        ("balanced", {}),
        ("none", {"l2": 0.1}),
        ("file", {"label_smoothing": 0.3}),
        ("none", {"drop_duplicates": True, "duplicate_cosine": 1.0}),
        ("none", {"drop_duplicates": True, "duplicate_cosine": 0.8}),
    ],
)
def test_a_head_is_solved_as_it_is_asked_to_be(
    runs: Runs, drawn: Drawn, class_weight: str, more: dict[str, Any]
) -> None:
    outcome = runs(**SOLVED | {"class_weight": class_weight} | more)

    def expected(choice: str, *, l2: float, label_smoothing: float = 0.0, **dropping: Any) -> Head:
        learnt = drawn.training
        if dropping:
            cosine = dropping["duplicate_cosine"]
            watched = drawn.validation.unlike(cosine, drawn.testing)
            learnt = learnt.unlike(cosine, drawn.testing, watched)
        return solved(learnt, learnt.counted(choice), l2=l2, smoothing=label_smoothing)

    wanted = expected(class_weight, **{"l2": 0.01} | more)
    assert gap(outcome.head, wanted, drawn.training) < 1e-3
    others = [expected(other, l2=0.01) for other in CLASS_WEIGHTS if other != class_weight or more]
    assert min(gap(wanted, other, drawn.training) for other in others) > 0.05


@pytest.mark.parametrize(("optimizer", "rate"), [("gradient_descent", 1.0), ("adam", 0.03)])
@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS)
def test_steps_lead_to_the_head_that_is_asked_for(
    runs: Runs, drawn: Drawn, optimizer: str, rate: float, class_weight: str
) -> None:
    outcome = runs(
        optimizer=optimizer,
        class_weight=class_weight,
        l2=0.1,
        label_smoothing=0.3,
        export="last",
        how_many_training_steps=200,
        learning_rate=rate,
        train_batch_size=2000,
        eval_step_interval=1000,
    )

    def expected(choice: str, *, l2: float = 0.1, smoothing: float = 0.3) -> Head:
        return solved(drawn.training, drawn.training.counted(choice), l2=l2, smoothing=smoothing)

    others = [expected(choice) for choice in CLASS_WEIGHTS if choice != class_weight]
    others += [expected(class_weight, l2=0.01), expected(class_weight, smoothing=0.0)]
    # Photos are drawn for each step, so that it is nearly there.
    least = gap(outcome.head, expected(class_weight), drawn.training)
    assert least < 0.05
    assert min(gap(outcome.head, other, drawn.training) for other in others) > 2 * least


# Steps so large that the heads go to and fro.
WANDERING = {
    "gradient_descent": {"optimizer": "gradient_descent", "learning_rate": 4.0},
    "adam": {"optimizer": "adam", "learning_rate": 0.2},
}


@pytest.mark.parametrize("optimizer", WANDERING)
@pytest.mark.parametrize("class_weight", ["balanced", "file"])
def test_of_the_heads_of_a_descent_the_one_that_validates_best_is_exported(
    runs: Runs, drawn: Drawn, optimizer: str, class_weight: str
) -> None:
    settings = {**WANDERING[optimizer], "how_many_training_steps": 200}
    outcome = runs(**settings, class_weight=class_weight)
    photos, weights = drawn.validation, drawn.validation.counted(class_weight)
    best = validating_best(outcome.heads, photos, weights)
    np.testing.assert_array_equal(outcome.head.weights, best.weights)
    np.testing.assert_array_equal(outcome.head.bias, best.bias)
    kept = outcome.found.trained.kept
    assert kept
    assert kept.cross_entropy == pytest.approx(loss_of(best, photos, weights), abs=1e-4)
    others = (
        outcome.heads[-1],
        validating_best(outcome.heads, drawn.training, drawn.training.counted(class_weight)),
        validating_best(outcome.heads, drawn.testing, drawn.testing.counted(class_weight)),
    )
    assert all(other is not best for other in others)


def test_the_last_head_of_a_descent_is_exported_where_that_is_asked_for(runs: Runs) -> None:
    settings = {**WANDERING["adam"], "how_many_training_steps": 200, "class_weight": "file"}
    best, last = runs(**settings), runs(**settings, export="last")
    assert last.found.trained.kept is None
    np.testing.assert_array_equal(last.head.weights, best.heads[-1].weights)
    np.testing.assert_array_equal(last.head.bias, best.heads[-1].bias)


# How sure it is


def error_of(sureness: Doubles, is_right: Any) -> float:
    """Returns the expected calibration error, in 15 bins."""
    bins = np.ceil(sureness * 15)
    gaps = [(is_right - sureness)[bins == number].sum() for number in range(16)]
    return float(np.abs(gaps).sum() / len(sureness))


@pytest.mark.parametrize("class_weight", ["none", "file"])
def test_the_temperature_and_the_threshold_are_those_of_the_validation_photos(
    runs: Runs, drawn: Drawn, class_weight: str
) -> None:
    outcome = runs(optimizer="lbfgs", class_weight=class_weight)
    temperature = temperature_for(outcome.head, drawn.validation)
    others = (drawn.training, drawn.testing)
    assert all(temperature_for(outcome.head, part) != pytest.approx(temperature) for part in others)
    found = outcome.facts.calibration
    assert found
    assert found.temperature == pytest.approx(temperature, rel=1e-3)
    sureness, is_right = sureness_of(outcome.head, drawn.validation, temperature)
    right = np.sort(sureness[is_right])
    # A twentieth of the right answers may be below.
    assert found.threshold == pytest.approx(right[len(right) // 20] - 1e-3, abs=1e-4)
    before = error_of(*sureness_of(outcome.head, drawn.validation, 1))
    assert found.error_before == pytest.approx(before, abs=1e-4)
    assert found.error_after == pytest.approx(error_of(sureness, is_right), abs=2e-3)
    assert found.error_after < found.error_before
    assert found.photo_count == 150


def test_a_temperature_that_makes_it_worse_is_not_taken(runs: Runs, drawn: Drawn) -> None:
    outcome = runs(optimizer="lbfgs", class_weight="balanced")
    fitted = temperature_for(outcome.head, drawn.validation)
    before, after = (
        error_of(*sureness_of(outcome.head, drawn.validation, each)) for each in (1, fitted)
    )
    assert after > before
    found = outcome.facts.calibration
    assert found
    assert (found.temperature, found.error_after) == (1, found.error_before)
    assert found.error_before == pytest.approx(before, abs=1e-4)


def test_the_temperature_goes_into_the_exports_once(runs: Runs, drawn: Drawn) -> None:
    settings = {"optimizer": "lbfgs", "class_weight": "file"}
    plain, calibrated = (runs(**settings, calibrate=choice) for choice in (False, True))
    assert plain.facts.calibration == calibrated.facts.calibration
    assert plain.facts.calibration
    temperature, threshold = (
        getattr(plain.facts.calibration, name) for name in ("temperature", "threshold")
    )
    for name in ("weights", "bias"):
        one, other = (getattr(outcome.head, name) for outcome in (plain, calibrated))
        np.testing.assert_allclose(other, one / temperature, rtol=1e-5)
    sureness, _ = sureness_of(plain.head, drawn.validation, temperature)
    rule = plain.found.calibrated.unknown
    assert rule
    is_unknown = (sureness < rule.least_probability) | (
        distances_of(drawn.training, drawn.validation) > rule.farthest
    )
    # It would be another set with the temperature applied twice, or not at all.
    for wrong in (1, temperature**2):
        other_sureness, _ = sureness_of(plain.head, drawn.validation, wrong)
        assert ((other_sureness < threshold) != (sureness < threshold)).sum() > 5
    for outcome, probabilities in (
        (plain, probabilities_of(plain.head, drawn.validation)),
        (calibrated, softmax(logits_of(plain.head, drawn.validation) / temperature, axis=1)),
    ):
        labelled = image_retraining.load(outcome.out).predict(list(drawn.validation.paths))
        scores = [photo.scores for photo in labelled]
        np.testing.assert_allclose(scores, probabilities, atol=1e-4)
        found = np.array([photo.unknown for photo in labelled])
        # One may be at the very edge.
        assert (found != is_unknown).sum() <= 1


def test_the_unknown_is_what_is_far_from_training_photos_by_validation_photos(
    runs: Runs, drawn: Drawn
) -> None:
    outcome = runs(optimizer="lbfgs", class_weight="file")
    rule, calibration = outcome.found.calibrated.unknown, outcome.facts.calibration
    assert rule
    assert calibration
    sureness, is_right = sureness_of(outcome.head, drawn.validation, calibration.temperature)
    near = distances_of(drawn.training, drawn.validation)
    np.testing.assert_allclose(
        rule.space.distances(drawn.validation.vectors.astype(np.float32)), near, rtol=0.01
    )
    sure, far = np.sort(sureness[is_right]), np.sort(near[is_right])[::-1]
    assert rule.photo_count == len(sure)
    # Either leaves out as many, and both a twentieth at most.
    count = int(np.abs(sure - 1e-3 - rule.least_probability).argmin())
    assert rule.least_probability == pytest.approx(sure[count] - 1e-3, abs=1e-4)
    assert rule.farthest == pytest.approx(far[count] * 1.001, rel=0.005)
    assert 0 < count <= len(sure) // 20


# What it is judged by


def test_it_is_judged_and_proven_by_test_photos(runs: Runs, drawn: Drawn) -> None:
    settings = {"optimizer": "lbfgs", "class_weight": "file", "calibrate": True}
    outcome = runs(**settings, metrics_file="metrics.json", verify_images=200)
    photos, judged = drawn.testing, outcome.found.judged
    probabilities = probabilities_of(outcome.head, photos)
    answers = probabilities.argmax(axis=1)
    confusion = [
        [int(((photos.label_ids == true) & (answers == taken)).sum()) for taken in range(3)]
        for true in range(3)
    ]
    accuracy = float((answers == photos.label_ids).mean())
    assert judged.paths == photos.paths
    assert judged.metrics
    assert judged.metrics.confusion.tolist() == confusion
    assert judged.metrics.cross_entropy == pytest.approx(
        loss_of(outcome.head, photos, np.ones(len(answers))), abs=1e-4
    )
    said = json.loads((outcome.out / "metrics.json").read_text())
    assert said["confusion_matrix"] == confusion
    assert (outcome.facts.test_accuracy, outcome.facts.test_count) == (accuracy, 150)
    (graph,) = outcome.found.exports
    assert graph.proof
    assert graph.split is Split.TESTING
    assert graph.proof.photo_count == graph.proof.same_answers == 150
    assert graph.proof.accuracy == graph.proof.head_accuracy == accuracy
    # The example is answered rightly, and surely.
    sureness = np.where(answers == photos.label_ids, probabilities.max(axis=1), 0)
    assert outcome.found.example[-1] == f"--image={photos.paths[int(sureness.argmax())]}"


# A wrong graph


def without_bias(head: Head) -> Head:
    return Head(head.weights, 0 * head.bias)


def with_classes_swapped(head: Head) -> Head:
    return Head(head.weights[:, [1, 0, 2]], head.bias[[1, 0, 2]])


def half_as_warm(head: Head) -> Head:
    return Head(2 * head.weights, 2 * head.bias)


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns what is in the files of a run, but for its log and its state."""
    logs = ("logs", "run.log", "checkpoint", ".lock")
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.relative_to(folder).parts[0] not in logs
    }


@pytest.mark.parametrize("wrong", [without_bias, with_classes_swapped, half_as_warm])
def test_a_wrong_graph_is_refused_and_what_was_there_stays(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Head], Head]
) -> None:
    monkeypatch.setattr(
        exporting,
        "build_graph",
        lambda module, head, **names: build_graph(module, wrong(head), **names),
    )
    settings = {"tflite_output_file": "m.tflite", "metrics_file": "m.json", "overwrite": True}
    settings |= {"verify_images": 9}
    before = {"model.pb": b"graph", "model.pb.json": b"facts", "labels.txt": b"labels"}
    before |= {"m.tflite": b"other", "m.json": b"{}"}
    for name, contents in before.items():
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(VerificationError, match="exported must answer as the training did") as told:
        runs.made_in(tmp_path, **SOLVED, **settings)
    assert f"For {runs.drawn.folder / 'test'}" in str(told.value)
    assert files_in(tmp_path) == before


# Vectors from elsewhere


def test_a_head_is_solved_on_imported_vectors(
    runs: Runs, drawn: Drawn, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # The example knew no folders that are splits.
    photos = tmp_path / "photos"
    random = np.random.default_rng(6)
    texts: dict[str, Any] = {}
    for path, vector in zip(drawn.training.paths, drawn.training.vectors, strict=True):
        label, name = Path(path).parts[-2:]
        photo, text = photos / label / name, tmp_path / "texts" / label
        for folder in (photo.parent, text):
            folder.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(Path(path).read_bytes())
        os.utime(photo, (1e9, 1e9))
        # As another decoder would have it.
        texts[str(photo)] = (vector + random.uniform(-0.005, 0.005, 12)).astype(np.float32)
        numbers = ",".join(str(float(number)) for number in texts[str(photo)])
        (text / f"{name}_{module_part(runs.base['tfhub_module'])}.txt").write_text(numbers)
    given: dict[str, Any] = {"image_dir": str(photos), "bottleneck_dir": str(tmp_path / "cache")}
    from_texts = {"tfhub_module": runs.base["tfhub_module"], "text_dir": str(tmp_path / "texts")}
    assert import_texts(ImportConfig(**given, **from_texts)) == 0
    logged.clear()
    settings = {**given, **SOLVED, "class_weight": "none", "verify_images": 200}
    outcome = runs.made_in(tmp_path / "out", **settings)
    (line,) = (line for line in logged.messages if line.startswith("Bottlenecks of"))
    assert ": 0 computed" in line
    learnt = outcome.found.extraction.sets[Split.TRAINING]
    assert len(learnt) > 200
    vectors = np.array([texts[path] for path in learnt.paths])
    np.testing.assert_array_equal(learnt.features, vectors)
    label_ids = np.array([LABELS.index(Path(path).parent.name) for path in learnt.paths])
    imported = Photos(vectors.astype(float), label_ids, learnt.paths)
    wanted = solved(imported, imported.counted("none"), l2=0.01)
    assert gap(outcome.head, wanted, imported) < 1e-3
    # The graph computes the vectors itself.
    labelled = image_retraining.load(outcome.out).predict(list(drawn.testing.paths))
    expected = probabilities_of(wanted, drawn.testing)
    np.testing.assert_allclose([photo.scores for photo in labelled], expected, atol=1e-3)
    (graph,) = outcome.found.exports
    assert graph.proof
    assert graph.proof.largest_difference < 1e-3


# What else is written


class Keeping(Format):
    """Writes nothing, and keeps what it was to write."""

    name = "nothing"
    flag = "tflite_output_file"
    ending = ".tflite"

    def __init__(self) -> None:
        self.given: list[tuple[str, Finished]] = []

    def recognises(self, path: str, start: bytes) -> bool:
        raise NotImplementedError

    def open(self, path: str, layers: Layers) -> Classifier:
        raise NotImplementedError

    @contextlib.contextmanager
    def writing(self, target: str, finished: Finished) -> Iterator[Path]:
        self.given.append((target, finished))
        yield Path(target)


def test_a_format_is_given_what_it_needs(
    runs: Runs, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Keeping()
    monkeypatch.setattr(exporting, "FORMATS", (FrozenGraphFormat(), keeping))
    names = {"tflite_output_file": "m.tflite", "output_labels": "l.txt"}
    outcome = runs.made_in(tmp_path, **SOLVED, **names, tflite_quantize="int8")
    ((target, finished),) = keeping.given
    assert target == str(tmp_path / "m.tflite")
    # Integers are calibrated on what was learnt.
    assert set(finished.training.paths) == set(drawn.training.paths)
    assert finished.quantization == "int8"
    assert finished.labels_file == str(tmp_path / "l.txt")
    assert finished.facts == outcome.facts
    rule = (tmp_path / "model.pb.unknown.npz").read_bytes()
    assert finished.unknown == rule
    assert outcome.facts.unknown_rule == hashlib.sha256(rule).hexdigest()


def test_labels_are_looked_at_by_all_modules_that_have_seen_the_photos(
    runs: Runs, drawn: Drawn, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    runs(**SOLVED)
    module = save_module(tmp_path / "module", lambda photos: quarters(photos)[:, :3])
    settings = {"tfhub_module": str(module), "label_issues_file": "issues.csv"}
    for dropped in (0, COPY_COUNT):
        logged.clear()
        found = runs.made_in(
            tmp_path / f"out{dropped}",
            **SOLVED | settings,
            label_issues_below=1.0,
            drop_duplicates=dropped > 0,
            duplicate_cosine=1.0,
        ).found.wrong_labels
        said = "Looking for labels that look wrong by the vectors of 2 modules"
        assert said in logged.messages
        assert found
        parts = (drawn.training, drawn.validation, drawn.testing)
        assert found.photo_count == sum(len(part.paths) for part in parts) - dropped
        assert len(found.issues) == found.photo_count
        lines = (tmp_path / f"out{dropped}/issues.csv").read_text().splitlines()
        assert len(lines) == 1 + found.photo_count


def test_intermediate_graphs_have_the_heads_of_their_steps(runs: Runs, tmp_path: Path) -> None:
    outcome = runs.made_in(
        tmp_path, how_many_training_steps=5, intermediate_store_frequency=2, eval_step_interval=1
    )
    graphs = sorted((tmp_path / "intermediate_graphs").iterdir())
    assert [path.name for path in graphs] == ["intermediate_2.pb", "intermediate_4.pb"]
    for path, step in zip(graphs, (2, 4), strict=True):
        head = written_head(path)
        np.testing.assert_array_equal(head.weights, outcome.heads[step].weights)
        np.testing.assert_array_equal(head.bias, outcome.heads[step].bias)


# What a power cut leaves


def test_all_that_takes_its_place_is_on_the_disk_before(
    runs: Runs, tmp_path: Path, placed: list[Path]
) -> None:
    names = {"saved_model_dir": "saved", "metrics_file": "m.json", "tflite_output_file": "m.tflite"}
    runs.made_in(tmp_path / "out", how_many_training_steps=20, **names)
    assert {path.name for path in placed} >= {
        *("model.pb", "model.pb.json", "model.pb.unknown.npz", "labels.txt", "settings.json"),
        *("saved", "m.json", "m.tflite", "checkpoint"),
    }


# All photos as judges


@pytest.mark.parametrize("class_weight", ["balanced", "file"])
def test_all_photos_are_asked_once_by_heads_that_have_not_met_them(
    runs: Runs, drawn: Drawn, class_weight: str, logged: pytest.LogCaptureFixture
) -> None:
    settings = {**SOLVED, "class_weight": class_weight, "label_smoothing": 0.1}
    outcome = runs(**settings, cross_validate=3, seed=1 + len(class_weight))
    crossed = outcome.found.cross_validated
    assert crossed
    found = crossed.found
    everything = [drawn.training, drawn.validation, drawn.testing]
    known = {
        path: (vector, label_id)
        for part in everything
        for path, vector, label_id in zip(part.paths, part.vectors, part.label_ids, strict=True)
    }
    # The copies of test photos are called something else, so that each counts.
    assert set(found.paths) <= set(known)
    assert len(found.paths) >= len(known) - COPY_COUNT
    chosen = [known[path] for path in found.paths]
    photos = Photos(np.array([v for v, _ in chosen]), np.array([i for _, i in chosen]), found.paths)
    assert photos.label_ids.tolist() == found.label_ids.tolist()
    for fold in range(3):
        rows, asked = (np.flatnonzero((found.folds == fold) == own) for own in (False, True))
        learnt, judged = (
            Photos(
                photos.vectors[part], photos.label_ids[part], tuple(found.paths[r] for r in part)
            )
            for part in (rows, asked)
        )
        head = solved(learnt, learnt.counted(class_weight), l2=0.01, smoothing=0.1)
        expected = probabilities_of(head, judged)
        np.testing.assert_allclose(found.probabilities[asked], expected, atol=2e-3)
    accuracy = float((found.probabilities.argmax(axis=1) == photos.label_ids).mean())
    assert found.metrics.accuracy == pytest.approx(accuracy)
    said = f"Cross-validated accuracy = {accuracy * 100:.1f}% (N={len(found.paths)})"
    assert said in logged.messages
