"""Training above a cut, on what can be told apart only by weights that are trained."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks_made_here import WEIGHTS, loaded_network, stages

from image_retraining.foundation.errors import CheckpointError
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.foundation.state_file import StateFile
from image_retraining.tuning.cuts import cuts
from image_retraining.tuning.fitted import Epoch, Fitted, Rank, arrays_of, rank, state_of
from image_retraining.tuning.fitting import fit
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.tail import Tail
from image_retraining.tuning.trainer import Fitting, Trainer, drawn, rate

SETTINGS = Fitting(
    epochs=6,
    learning_rate=0.01,
    weight_decay=0.1,
    batch_size=8,
    label_smoothing=0.1,
    patience=0,
    seed=5,
)


class Photos:
    """What is at the cut after the sum, of photos that are lighter above or below."""

    view_count = 1

    def __init__(self, count: int, seed: int) -> None:
        draws = np.random.default_rng(seed)
        self.label_ids = (np.arange(count) % 2).astype(np.int32)
        pictures = draws.random([2, count, 8, 8, 3], dtype=np.float32)
        pictures[:, self.label_ids == 0, :4] *= 0.8
        pictures[:, self.label_ids == 1, 4:] *= 0.8
        self.activations = np.stack([stages(one, WEIGHTS)[1].numpy() for one in pictures])

    def rows(self, rows: Ints, view_numbers: Ints) -> Floats:
        found: Floats = self.activations[view_numbers, rows]
        return found


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return Flow(loaded_network(tmp_path_factory.mktemp("modules") / "network"))


@pytest.fixture(scope="module")
def training() -> Photos:
    return Photos(60, 1)


@pytest.fixture(scope="module")
def validation() -> Photos:
    return Photos(40, 2)


def trainer(flow: Flow, settings: Fitting = SETTINGS, weights: Any = (1, 1)) -> Trainer:
    head = Head(np.eye(6, 2, dtype=np.float32), np.zeros(2, np.float32))
    return Trainer(Tail(flow, cuts(flow)[3]), head, settings, np.array(weights, np.float32))


def file(path: Path, inputs: Any = None) -> StateFile[Fitted]:
    return StateFile[Fitted](
        str(path),
        {"of": inputs or "these"},
        arrays_of=arrays_of,
        state_of=state_of,
        done=lambda state: f"{state.epochs[-1].number} epochs",
    )


def fitted(flow: Flow, training: Photos, validation: Photos, path: Path, **more: Any) -> Fitted:
    found = trainer(flow, replace(SETTINGS, **more))
    return fit(found, training, validation, file(path), goes_on=False, tell=lambda _: None)


def test_it_learns_what_the_head_alone_does_not(
    flow: Flow, training: Photos, validation: Photos, tmp_path: Path
) -> None:
    state = fitted(flow, training, validation, tmp_path / "state", epochs=30)
    assert [one.number for one in state.epochs] == list(range(31))
    assert state.epochs[0].rank.accuracy < 0.8
    assert state.kept.rank.accuracy > 0.85
    assert state.epochs[-1].training_loss < state.epochs[1].training_loss
    # What is kept answers so again.
    again = trainer(flow)
    again.set_state(replace(state, numbers=state.best))
    assert rank(again.logits(validation), validation.label_ids) == state.kept.rank


def test_equal_runs_are_equal_and_other_seeds_are_not(
    flow: Flow, training: Photos, validation: Photos, tmp_path: Path
) -> None:
    first, again = (fitted(flow, training, validation, tmp_path / name) for name in "ab")
    assert first.epochs[1:] == again.epochs[1:]
    for one, other in zip(first.numbers, again.numbers, strict=True):
        np.testing.assert_array_equal(one, other)
    other_seed = fitted(flow, training, validation, tmp_path / "c", seed=6)
    assert other_seed.epochs[1:] != first.epochs[1:]


@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_training_goes_on_to_the_same_end(
    flow: Flow, training: Photos, validation: Photos, tmp_path: Path, after: int
) -> None:
    whole = fitted(flow, training, validation, tmp_path / "whole")

    def interrupt(epoch: Epoch) -> None:
        if epoch.number == after + 1:
            raise KeyboardInterrupt

    path = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(flow), training, validation, file(path), goes_on=False, tell=interrupt)
    told: list[int] = []
    resumed = fit(
        trainer(flow),
        training,
        validation,
        file(path),
        goes_on=True,
        tell=lambda epoch: told.append(epoch.number),
    )
    assert told == list(range(7))
    assert resumed.epochs[1:] == whole.epochs[1:]
    for kind in ("numbers", "moments", "best"):
        for one, other in zip(getattr(resumed, kind), getattr(whole, kind), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(CheckpointError, match="of was these, and is others"):
        fit(trainer(flow), training, validation, file(path, "others"), goes_on=True, tell=print)


def test_who_gets_no_better_stops(
    flow: Flow, training: Photos, validation: Photos, tmp_path: Path
) -> None:
    more = {"learning_rate": 1e-9, "patience": 2, "weight_decay": 0.0}
    state = fitted(flow, training, validation, tmp_path / "state", **more)
    assert len(state.epochs) - 1 == state.kept.number + 2
    assert len(state.epochs) < 7


def test_a_step_is_adams(flow: Flow, training: Photos) -> None:
    """Against the paper's formulas, of the gradients that TensorFlow gives for its own network."""
    import tensorflow as tf  # noqa: PLC0415 - of this test alone

    settings = replace(SETTINGS, batch_size=60, epochs=20)
    ours = trainer(flow, settings, weights=(0.5, 2.0))
    values = [one.numpy().astype(np.float64) for one in map(tf.constant, (*WEIGHTS[3:],))]
    head = [np.eye(6, 2), np.zeros(2)]
    numbers, starts = [*values, *head], [*values, *head]
    means, squares = ([np.zeros_like(one) for one in numbers] for _ in range(2))
    for epoch in (1, 2, 3):
        order, views = drawn(60, 1, epoch=epoch, seed=settings.seed)
        loss = ours.train(training, epoch, Progress("", 60, shown=False))
        variables = [tf.Variable(one, dtype=tf.float32) for one in numbers]
        labels = training.label_ids[order]
        with tf.GradientTape() as tape:
            two = training.rows(order, views)
            three = tf.nn.relu(tf.nn.conv2d(two, variables[0], 2, "SAME") + variables[1])
            features = tf.nn.relu(tf.reduce_mean(three, [1, 2]) @ variables[2])
            logits = features @ variables[3] + variables[4]
            wanted = np.eye(2)[labels] * 0.9 + 0.05
            losses = -tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1)
            total = tf.reduce_mean(losses * np.array([0.5, 2.0], np.float32)[labels])
        assert loss == pytest.approx(float(total), rel=1e-4)
        gradients = [one.numpy().astype(np.float64) for one in tape.gradient(total, variables)]
        # A step an epoch: 2 of 20 warm up, then half a cosine.
        share = {1: 1 / 2, 2: 1.0, 3: 1.0}[epoch]
        speed = share * settings.learning_rate
        for place, gradient in enumerate(gradients):
            numbers[place] = numbers[place] - speed * 0.1 * (numbers[place] - starts[place])
            means[place] = 0.9 * means[place] + 0.1 * gradient
            squares[place] = 0.999 * squares[place] + 0.001 * gradient**2
            # The order of the paper's end of section 2.
            speed_now = speed * math.sqrt(1 - 0.999**epoch) / (1 - 0.9**epoch)
            step = speed_now * means[place] / (np.sqrt(squares[place]) + 1e-7)
            numbers[place] = numbers[place] - step
    by_shape = {one.shape: one for one in numbers}
    for found in ours.numbers():
        np.testing.assert_allclose(found, by_shape[found.shape], rtol=2e-3, atol=2e-5)


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    assert [rate(step, 20) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert rate(11, 20) == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert rate(19, 20) == pytest.approx(0.5 * (1 + math.cos(math.pi * 17 / 18)))
    assert rate(0, 1) == 1.0


def test_each_photo_is_drawn_once_in_any_view() -> None:
    order, views = drawn(1000, 3, epoch=2, seed=0)
    assert sorted(order.tolist()) == list(range(1000))
    assert set(views.tolist()) == {0, 1, 2, 3}
    assert np.bincount(views).min() > 200
    assert drawn(1000, 3, epoch=3, seed=0)[0].tolist() != order.tolist()
    assert drawn(9, 0, epoch=2, seed=0)[1].tolist() == [0] * 9


def test_what_is_kept_has_more_right_answers_or_is_surer_of_them() -> None:
    ranks = [(0.5, 1.0), (0.75, 2.0), (0.75, 1.5), (0.7, 0.1), (0.75, 1.5)]
    epochs = tuple(Epoch(number, 0.0, Rank(*one)) for number, one in enumerate(ranks))
    state = Fitted(epochs, (), (), ())
    assert state.kept.number == 2
    assert state.waited == 2


def test_the_loss_is_told_after_the_temperature() -> None:
    labels = np.arange(60, dtype=np.int32) % 2
    logits = np.eye(2, dtype=np.float32)[labels]
    logits[:6] = logits[:6, ::-1]
    # Nine of ten right: at its best temperature the loss is that of saying 90%.
    wanted = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    for scale in (0.5, 1.0, 30.0):
        found = rank(logits * np.float32(scale), labels)
        assert found.accuracy == pytest.approx(0.9)
        assert found.cross_entropy == pytest.approx(wanted, rel=1e-3)
