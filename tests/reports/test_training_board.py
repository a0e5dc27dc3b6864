import itertools
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import files_of_at_most
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.records import Evaluation, Floats, Head, TrainingReport
from image_retraining.reports.event_files import EventFile
from image_retraining.reports.log import Log
from image_retraining.reports.training_board import TensorBoardWriter

SPREADS = [
    f"final_retrain_ops/{part}/summaries/{figure}"
    for part in ("weights", "biases")
    for figure in ("mean", "stddev", "max", "min")
]
SCALARS = ["accuracy", "cross_entropy", *SPREADS]
HISTOGRAMS = [
    "final_retrain_ops/weights/summaries/histogram",
    "final_retrain_ops/biases/summaries/histogram",
    "final_retrain_ops/Wx_plus_b/pre_activations",
    "activations",
]


def evaluation(
    *, photos: int = 8, accuracy: float = 0.5, cross_entropy: float = 1.5, seed: int = 0
) -> Evaluation:
    logits = np.random.default_rng(seed).normal(scale=3, size=[photos, 3]).astype(np.float32)
    return Evaluation(
        logits, np.zeros([photos], np.int32), accuracy, cross_entropy, cross_entropy / 2
    )


DRAW = (
    *("validation_batch/accuracy", "validation_batch/cross_entropy"),
    *("validation_batch/accuracy_interval/low", "validation_batch/accuracy_interval/high"),
)
INTERVAL = ("accuracy_interval/low", "accuracy_interval/high")
CHOSEN_BY = "weighted_cross_entropy"


def report(
    steps: range,
    *,
    evaluates: bool = True,
    draws: bool = True,
    validation_photos: int = 20,
    seed: int = 0,
) -> TrainingReport:
    """Returns a report of random figures, with evaluations of its last step or without."""
    random = np.random.default_rng([seed, steps.start])
    scalars: dict[str, Floats] = {
        name: random.normal(size=len(steps)).astype(np.float32) for name in SCALARS
    }
    head = Head(random.normal(size=[6, 3]).astype(np.float32), np.array([1, -2, 4], np.float32))
    validation = whole = None
    if validation_photos:
        whole = evaluation(
            photos=2 * validation_photos, accuracy=0.75, cross_entropy=0.8, seed=steps[-1] + 500
        )
        validation = evaluation(photos=validation_photos, accuracy=random.random(), seed=steps[-1])
        validation = validation if draws else whole
    return TrainingReport(
        steps=steps,
        scalars=scalars,
        head=head,
        train=evaluation() if evaluates else None,
        validation=validation if evaluates else None,
        whole_validation=whole if evaluates else None,
    )


REPORTS = [report(range(1)), report(range(1, 5), evaluates=False), report(range(5, 11))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def write(folder: Path, reports: list[TrainingReport], *, keep_earlier: bool = False) -> None:
    with TensorBoardWriter(str(folder), step_count=11, keep_earlier=keep_earlier) as writer:
        for one in reports:
            writer.write(one)


def events(folder: Path) -> Any:
    """Returns all that TensorBoard finds in a folder; it takes scalars of every age as tensors."""
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def values(folder: Path, tag: str) -> dict[int, Any]:
    """Returns step → value of one tag."""
    found = events(folder).Tensors(tag)
    assert len({event.step for event in found}) == len(found)
    return {event.step: tf.make_ndarray(event.tensor_proto) for event in found}


def plugins(folder: Path) -> dict[str, str]:
    """Returns tag → the dashboard that shows it."""
    accumulator = events(folder)
    return {
        tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        for tag in accumulator.Tags()["tensors"]
    }


# TensorBoard


def test_every_step_of_the_training_is_there(folder: Path) -> None:
    write(folder, REPORTS)
    for name in SCALARS:
        expected = np.concatenate([one.scalars[name] for one in REPORTS])
        found = values(folder / "train", name)
        assert list(found) == list(range(11))
        assert [value.item() for value in found.values()] == expected.tolist()


def test_scripts_find_scalars_as_they_always_did(folder: Path) -> None:
    write(folder, REPORTS)
    for run, steps in (("train", list(range(11))), ("validation", [0, 10])):
        found = event_accumulator.EventAccumulator(
            str(folder / run), size_guidance={event_accumulator.SCALARS: 0}
        ).Reload()
        extra = (*DRAW, *INTERVAL, CHOSEN_BY) if run == "validation" else ()
        assert sorted(found.Tags()["scalars"]) == sorted((*SCALARS, *extra))
        assert [event.step for event in found.Scalars("accuracy")] == steps


def test_the_curve_of_all_validation_photos_is_seen_first(folder: Path) -> None:
    """It bears the name of the training's curve, and the draw's a later one in the alphabet."""
    write(folder, REPORTS)
    scalars = [tag for tag, plugin in plugins(folder / "validation").items() if plugin == "scalars"]
    groups = sorted({tag.partition("/")[0] for tag in scalars})
    named = [
        "accuracy",
        "accuracy_interval",
        "cross_entropy",
        "final_retrain_ops",
        "validation_batch",
        CHOSEN_BY,
    ]
    assert groups == named
    assert [value.item() for value in values(folder / "validation", CHOSEN_BY).values()] == [
        pytest.approx(0.4)
    ] * 2
    for one in REPORTS:
        if one.validation is None:
            continue
        for tag, evaluated in (("", one.whole_validation), ("validation_batch/", one.validation)):
            for figure in ("accuracy", "cross_entropy"):
                found = values(folder / "validation", tag + figure)
                assert list(found) == [0, 10]
                wanted = getattr(evaluated, figure)
                assert found[one.steps[-1]].item() == pytest.approx(wanted, rel=1e-6)


def test_a_draw_of_all_validation_photos_has_no_curve_of_its_own(folder: Path) -> None:
    write(folder, [report(range(1), draws=False)])
    assert values(folder / "validation", "accuracy")[0].item() == 0.75
    assert not set(DRAW) & set(plugins(folder / "validation"))


def test_the_interval_is_beside_the_accuracy(folder: Path) -> None:
    write(folder, REPORTS)
    ends = [values(folder / "validation", tag)[10].item() for tag in INTERVAL]
    # Of 30 of 40, by SciPy.
    expected = binomtest(30, 40).proportion_ci(0.95, method="wilson")
    assert ends == pytest.approx([expected.low, expected.high], rel=1e-6)


@pytest.mark.parametrize(("step_count", "interval"), [(4000, 10), (13, 1), (1, 1), (30, 1)])
def test_the_areas_are_curves_of_few_points(folder: Path, step_count: int, interval: int) -> None:
    judged = evaluation(photos=40)
    label_ids = np.repeat([0, 1, 1, 2], 10).astype(np.int32)
    judged = replace(judged, label_ids=label_ids)
    steps = sorted({*range(0, step_count, interval), step_count - 1})
    with TensorBoardWriter(str(folder), step_count=step_count, keep_earlier=False) as writer:
        for step in steps:
            one = report(range(step, step + 1))
            writer.write(replace(one, whole_validation=judged, validation=judged))
    found = values(folder / "validation", "macro_roc_auc")
    assert list(found) == list(values(folder / "validation", "macro_average_precision"))
    assert 0 in found
    assert len(found) == min(20, len(steps))
    expected = roc_auc_score(label_ids, softmax(judged.logits, axis=1), multi_class="ovr")
    assert found[0].item() == pytest.approx(expected, rel=1e-6)


def test_validation_is_there_at_evaluation_steps(folder: Path) -> None:
    write(folder, REPORTS)
    expected: dict[str, dict[int, float]] = {name: {} for name in SCALARS}
    for one in REPORTS:
        if one.whole_validation is None:
            continue
        weights, bias = one.head.weights.astype(np.float64), one.head.bias.astype(np.float64)
        spreads = [
            figure
            for part in (weights, bias)
            for figure in (np.mean(part), np.std(part), np.max(part), np.min(part))
        ]
        whole = one.whole_validation
        for name, figure in zip(
            SCALARS, [whole.accuracy, whole.cross_entropy, *spreads], strict=True
        ):
            expected[name][one.steps[-1]] = float(figure)
    for name in SCALARS:
        found = values(folder / "validation", name)
        assert list(found) == [0, 10]
        assert {step: value.item() for step, value in found.items()} == pytest.approx(
            expected[name], rel=1e-5
        )


@pytest.mark.parametrize("run", ["train", "validation"])
def test_histograms_are_there_at_evaluation_steps(folder: Path, run: str) -> None:
    write(folder, REPORTS)
    for tag in HISTOGRAMS:
        assert list(values(folder / run, tag)) == [0, 10]
    shown = plugins(folder / run)
    assert {tag for tag, plugin in shown.items() if plugin == "histograms"} == set(HISTOGRAMS)
    extra = (*DRAW, *INTERVAL, CHOSEN_BY) if run == "validation" else ()
    scalars = {tag for tag, plugin in shown.items() if plugin == "scalars"}
    assert scalars == {*SCALARS, *extra}


@pytest.mark.parametrize(("run", "photos"), [("train", 8), ("validation", 20)])
def test_histograms_are_of_head_and_evaluation(folder: Path, run: str, photos: int) -> None:
    write(folder, REPORTS)
    last = REPORTS[-1]
    judged = last.train if run == "train" else last.validation
    assert judged is not None
    exponentials = np.exp(judged.logits.astype(np.float64))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    sources = (last.head.weights, last.head.bias, judged.logits, probabilities)
    assert [source.size for source in sources] == [18, 3, 3 * photos, 3 * photos]
    for tag, source in zip(HISTOGRAMS, sources, strict=True):
        # Rows of left edge, right edge and count.
        buckets = values(folder / run, tag)[10]
        assert buckets[:, 2].sum() == source.size
        assert buckets[0, 0] == pytest.approx(source.min(), rel=1e-5)
        assert buckets[-1, 1] == pytest.approx(source.max(), rel=1e-5)


def test_without_validation_photos_the_training_is_there_all_the_same(folder: Path) -> None:
    write(folder, [report(range(1), validation_photos=0)])
    assert list(values(folder / "train", "accuracy")) == [0]
    assert list(values(folder / "train", "activations")) == [0]
    assert events(folder / "validation").Tags()["tensors"] == []


def test_events_can_be_read_while_the_training_goes_on(folder: Path) -> None:
    with TensorBoardWriter(str(folder), step_count=11, keep_earlier=False) as writer:
        writer.write_graph(tf.Graph().as_graph_def())
        assert events(folder / "train").Tags()["graph"]
        writer.write(REPORTS[0])
        assert list(values(folder / "train", "accuracy")) == [0]
        assert list(values(folder / "validation", "activations")) == [0]
        writer.write(REPORTS[1])
        assert list(values(folder / "train", "accuracy")) == [0, 1, 2, 3, 4]


def graph_with(constant: Any) -> Any:
    """Returns a GraphDef of a large constant and a small one."""
    with tf.Graph().as_default() as graph:
        tf.identity(tf.constant(constant, name="large"), name="result")
        tf.constant([1.5, 2.5], name="small")
    return graph.as_graph_def()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.float16, np.bool_, np.str_])
def test_the_graph_is_there_without_its_large_constants(folder: Path, dtype: Any) -> None:
    constant = np.random.default_rng(0).integers(1, 9, size=[100, 1000]).astype(dtype)
    graph_def = graph_with(constant)
    before = graph_def.SerializeToString(deterministic=True)
    assert len(before) > 100_000
    with TensorBoardWriter(str(folder), step_count=11, keep_earlier=False) as writer:
        writer.write_graph(graph_def)

    assert graph_def.SerializeToString(deterministic=True) == before
    assert sum(file.stat().st_size for file in (folder / "train").iterdir()) < 10_000
    found = events(folder / "train").Graph()
    assert [node.name for node in found.node] == ["large", "result", "small"]
    assert [list(node.input) for node in found.node] == [[], ["large"], []]
    large, _, small = found.node
    assert large.attr["dtype"].type == tf.as_dtype(constant.dtype).as_datatype_enum
    sizes = [size.size for size in large.attr["value"].tensor.tensor_shape.dim]
    assert sizes == [100, 1000]
    assert tf.make_ndarray(small.attr["value"].tensor).tolist() == [1.5, 2.5]


def test_only_the_training_has_the_graph(folder: Path) -> None:
    with TensorBoardWriter(str(folder), step_count=11, keep_earlier=False) as writer:
        writer.write_graph(graph_with([1.0]))
    assert events(folder / "train").Tags()["graph"]
    assert not events(folder / "validation").Tags()["graph"]


# Earlier runs


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_replaces_the_events_of_the_first(folder: Path) -> None:
    write(folder, REPORTS)
    first = set(contents(folder))
    write(folder, [report(range(3), seed=1)])
    assert not first & set(contents(folder))
    assert list(values(folder / "train", "accuracy")) == [0, 1, 2]
    assert list(values(folder / "validation", "accuracy")) == [2]


def test_a_second_run_touches_nothing_else(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", REPORTS)
    (earlier,) = (tmp_path / "other" / "train").iterdir()
    for foreign in (
        folder / "notes.txt",
        folder / "train" / "notes.txt",
        folder / "train" / "events.out.tfevents.1700000000.host.1.0.v2",
        folder / "validation" / "events.out.tfevents.1700000000.host.profile-empty",
        folder / "train" / "plugins" / "profile" / earlier.name,
        folder / "another_run" / "train" / earlier.name,
        folder / "testing" / earlier.name,
        folder / earlier.name,
    ):
        foreign.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(earlier, foreign)
    before = contents(folder)
    write(folder, REPORTS)
    after = contents(folder)
    assert {path: after.get(path) for path in before} == before
    assert len(after) == len(before) + 2


def test_the_test_of_an_earlier_head_is_not_left_beside_new_curves(folder: Path) -> None:
    EventFile(str(folder), "test").close()
    write(folder, REPORTS, keep_earlier=True)
    assert len(list((folder / "test").iterdir())) == 1
    write(folder, REPORTS)
    assert list((folder / "test").iterdir()) == []


def test_a_resumed_run_goes_on_beside_the_events_of_the_first(folder: Path) -> None:
    write(folder, REPORTS[:2])
    before = contents(folder)
    write(folder, REPORTS[2:], keep_earlier=True)
    after = contents(folder)
    assert {path: after.get(path) for path in before} == before
    assert list(values(folder / "train", "accuracy")) == list(range(11))
    assert list(values(folder / "validation", "accuracy")) == [0, 10]


# The log


def logged_lines(logged: pytest.LogCaptureFixture, one: TrainingReport) -> list[str]:
    logged.clear()
    Log().tell(one)
    return logged.messages


@pytest.mark.parametrize(
    ("accuracy", "cross_entropy", "validation", "photos", "expected"),
    [
        (
            0.97,
            0.123456,
            0.93,
            100,
            [
                r"^\S+ \S+: Step 10: Train accuracy = 97\.0%$",
                r"^\S+ \S+: Step 10: Cross entropy = 0\.123456$",
                r"^\S+ \S+: Step 10: Validation accuracy = 93\.0% \(N=100\)$",
                r"Step 10: 95% interval of the validation accuracy: 86\.3% to 96\.6%$",
            ],
        ),
        (
            1.0,
            0.0,
            1 / 3,
            3,
            [
                r"^\S+ \S+: Step 10: Train accuracy = 100\.0%$",
                r"^\S+ \S+: Step 10: Cross entropy = 0\.000000$",
                r"^\S+ \S+: Step 10: Validation accuracy = 33\.3% \(N=3\)$",
                r"Step 10: 95% interval of the validation accuracy: 6\.1% to 79\.2%$",
            ],
        ),
        (
            0.0,
            12.5,
            None,
            0,
            [
                r"^\S+ \S+: Step 10: Train accuracy = 0\.0%$",
                r"^\S+ \S+: Step 10: Cross entropy = 12\.500000$",
            ],
        ),
    ],
)
def test_evaluations_are_logged_in_the_lines_people_look_for(
    *,
    logged: pytest.LogCaptureFixture,
    accuracy: float,
    cross_entropy: float,
    validation: float | None,
    photos: int,
    expected: list[str],
) -> None:
    one = TrainingReport(
        steps=range(1, 11),
        scalars={},
        head=Head(np.zeros([2, 3], np.float32), np.zeros([3], np.float32)),
        train=evaluation(accuracy=accuracy, cross_entropy=cross_entropy),
        validation=None
        if validation is None
        else evaluation(photos=photos, accuracy=validation, cross_entropy=9),
        whole_validation=None,
    )
    lines = logged_lines(logged, one)
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.search(pattern, line), line
        # As in "2026-01-31 12:34:56.789".
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line), line


def test_steps_without_an_evaluation_are_not_logged(logged: pytest.LogCaptureFixture) -> None:
    assert logged_lines(logged, REPORTS[1]) == []
    assert logged_lines(logged, REPORTS[2]) != []


@pytest.mark.parametrize("room", [40, 100, 20_000, 30_000])
def test_a_full_disk_is_told(folder: Path, room: int, capfd: pytest.CaptureFixture[str]) -> None:
    # Once: a traceback of TensorBoard's thread, and another one of the run.
    written = []
    with (  # noqa: PT012 - it is the block
        files_of_at_most(room),
        pytest.raises(OutputError, match=r"logs/(train|validation)/.* File too large\. Make room"),
        TensorBoardWriter(str(folder), step_count=11, keep_earlier=False) as writer,
    ):
        for step in itertools.count():
            writer.write(report(range(step, step + 1)))
            written.append(step)
    assert bool(written) == (room > 10_000)
    assert capfd.readouterr().err == ""
