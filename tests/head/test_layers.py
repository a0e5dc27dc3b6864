"""The layers of a head against formulas of our own, in double precision."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from image_retraining.foundation.records import FeatureSet, Floats, Head, Ints
from image_retraining.head.batches import TrainingBatches
from image_retraining.head.descent import (
    DescentSettings,
    initial_state,
    train,
)
from image_retraining.head.descent_steps import step_taker
from image_retraining.head.layers import HeadLayers, TrainingState, logits_of

DRAWS = np.random.default_rng(2)
# Of 7 features, 5 units and 3 labels.
VALUES = {
    "weights": DRAWS.normal(size=[5, 3]),
    "bias": DRAWS.normal(size=3),
    "hidden_weights": DRAWS.normal(size=[7, 5]),
    "hidden_bias": DRAWS.normal(size=5),
}
PLAIN = {"weights": DRAWS.normal(size=[7, 3]), "bias": DRAWS.normal(size=3)}
FEATURES = DRAWS.normal(3.0, 2.0, size=[20, 7]).astype(np.float32)
LABEL_IDS = DRAWS.integers(3, size=20).astype(np.int32)
KINDS = {
    "hidden": (HeadLayers(hidden_units=5), VALUES),
    "normalised": (HeadLayers(batch_normalization=True), PLAIN),
    "both": (HeadLayers(hidden_units=5, batch_normalization=True), VALUES),
}
ALL = HeadLayers(hidden_units=5, dropout=0.4, batch_normalization=True)
SETTINGS = DescentSettings(
    steps=60,
    learning_rate=0.1,
    validation_batch_size=20,
    eval_step_interval=10,
    report_step_interval=0,
    seed=3,
    layers=ALL,
)


def single(values: Mapping[str, Any]) -> dict[str, Floats]:
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


def steps(
    layers: HeadLayers,
    values: Mapping[str, Any],
    features: Any,
    label_ids: Any,
    *,
    seeds: Any = None,
    learning_rate: float = 1.0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns values and running means after steps of gradient descent, [steps, B] each."""
    take_steps = step_taker(layers, adam=False, l2=0.0, label_smoothing=0.0)
    running = layers.initial_running(features.shape[-1])
    seeds = np.zeros([len(features), 2], np.int64) if seeds is None else seeds
    vectors = np.reshape(features, [-1, features.shape[-1]])
    rows = np.arange(len(vectors)).reshape(np.shape(label_ids))
    batches = vectors, rows, label_ids, seeds
    state = single(values), (), running
    (after, _, running), _ = take_steps(state, batches, 0.0, learning_rate)
    return (
        {name: value.numpy() for name, value in after.items()},
        {name: value.numpy() for name, value in running.items()},
    )


def loss(layers: HeadLayers, values: Mapping[str, Any], features: Any, label_ids: Ints) -> float:
    inner = np.asarray(features, np.float64)
    if layers.hidden_units:
        inner = inner @ values["hidden_weights"]
    if layers.batch_normalization:
        inner = (inner - inner.mean(axis=0)) / np.sqrt(inner.var(axis=0) + 1e-3)
    if layers.hidden_units:
        inner = np.maximum(inner + values["hidden_bias"], 0)
    logits = inner @ values["weights"] + values["bias"]
    chosen = logits[np.arange(len(logits)), label_ids]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_goes_down_the_slope_of_the_loss(kind: str) -> None:
    layers, values = KINDS[kind]
    after, _ = steps(layers, values, FEATURES[np.newaxis], LABEL_IDS[np.newaxis])
    for name, value in values.items():
        slope = np.empty_like(value)
        for place in np.ndindex(value.shape):
            either = []
            for change in (1e-6, -1e-6):
                moved = {**values, name: value.copy()}
                moved[name][place] += change
                either.append(loss(layers, moved, FEATURES, LABEL_IDS))
            slope[place] = (either[0] - either[1]) / 2e-6
        np.testing.assert_allclose(np.float32(value) - after[name], slope, atol=2e-5)


@pytest.mark.parametrize("kind", ["normalised", "both"])
def test_the_head_standardises_as_the_batches_did(kind: str) -> None:
    """As the mean of the batches met so far says, of which there are four."""
    layers, values = KINDS[kind]
    batches = FEATURES.reshape([4, 5, 7])
    # Without learning, so that all four are of the same values.
    found, running = steps(layers, values, batches, LABEL_IDS.reshape([4, 5]), learning_rate=0)
    inner = batches.astype(np.float64)
    if layers.hidden_units:
        inner = inner @ values["hidden_weights"]
    mean, variance = inner.mean(axis=1).mean(axis=0), inner.var(axis=1).mean(axis=0)
    np.testing.assert_allclose(running["mean"], mean, rtol=1e-4)
    np.testing.assert_allclose(running["variance"], variance, rtol=1e-4)

    new = DRAWS.normal(3.0, 2.0, size=[9, 7])
    answered = new @ values["hidden_weights"] if layers.hidden_units else new
    answered = (answered - mean) / np.sqrt(variance + 1e-3)
    if layers.hidden_units:
        answered = np.maximum(answered + values["hidden_bias"], 0)
    wanted = answered @ values["weights"] + values["bias"]
    head = layers.head(found, running)
    np.testing.assert_allclose(head.logits(new.astype(np.float32)), wanted, atol=2e-4)
    tensor = logits_of(head.values(), new.astype(np.float32))
    np.testing.assert_allclose(np.asarray(tensor), wanted, atol=2e-4)


def test_of_many_batches_the_last_hundred_count_most() -> None:
    layers, values = KINDS["normalised"]
    batches = np.zeros([600, 4, 7], np.float32)
    batches[300:] = 1
    _, running = steps(layers, values, batches, np.zeros([600, 4], np.int32), learning_rate=0)
    np.testing.assert_allclose(running["mean"], 1 - 0.99**300, rtol=1e-4)


def test_dropout_leaves_out_its_share_and_makes_up_for_it() -> None:
    # The softmax layer gets ones, and its slope by weights is what came of them.
    layers = HeadLayers(dropout=0.3)
    features, label_ids = np.ones([1, 1, 10000], np.float32), np.zeros([1, 1], np.int32)
    values = {"weights": np.zeros([10000, 2]), "bias": np.zeros(2)}

    def inputs(seed: int) -> Any:
        after, _ = steps(layers, values, features, label_ids, seeds=np.array([[seed, 1]]))
        return after["weights"][:, 0] / 0.5

    found = inputs(5)
    np.testing.assert_allclose(np.unique(found), [0, 1 / 0.7], rtol=1e-5)
    left_out = np.mean(found == 0)
    assert left_out == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / 10000))
    assert inputs(5).tolist() == found.tolist()
    assert np.mean((inputs(6) == 0) == (found == 0)) < 0.65


def xor(count: int, seed: int) -> FeatureSet:
    """Returns points of four quarters, of which two opposite ones have the same label."""
    draws = np.random.default_rng(seed)
    signs = draws.choice([-1, 1], size=[count, 2])
    label_ids = (signs[:, 0] * signs[:, 1] > 0).astype(np.int32)
    order = np.argsort(label_ids, kind="stable")
    points = (signs * draws.uniform(0.3, 1.0, size=[count, 2])).astype(np.float32)
    return FeatureSet(points[order], label_ids[order], ("x.jpg",) * count)


def trained(layers: HeadLayers, **changes: Any) -> Any:
    settings = replace(SETTINGS, layers=layers, **changes)
    batches = TrainingBatches(xor(400, 1), batch_size=40, seed=settings.seed)
    start = initial_state(layers, 2, 2, seed=0)
    return list(train(batches, xor(200, 2), settings, start=start))


@pytest.mark.parametrize(
    "layers",
    [
        HeadLayers(),
        HeadLayers(batch_normalization=True),
        HeadLayers(hidden_units=32),
        HeadLayers(hidden_units=32, batch_normalization=True),
        HeadLayers(hidden_units=32, dropout=0.2, batch_normalization=True),
    ],
)
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.02), ("gradient_descent", 1.0)])
def test_a_hidden_layer_learns_what_a_softmax_layer_cannot(
    layers: HeadLayers, optimizer: str, rate: float
) -> None:
    found = trained(layers, optimizer=optimizer, learning_rate=rate, steps=600)
    accuracy = found[-1][0].whole_validation.accuracy
    assert accuracy > 0.97 if layers.hidden_units else accuracy < 0.8


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adam"])
@pytest.mark.parametrize("done", [1, 13])
def test_a_resumed_training_gives_the_same_head_bit_for_bit(done: int, optimizer: str) -> None:
    straight = trained(ALL, optimizer=optimizer)
    interrupted: TrainingState = trained(ALL, optimizer=optimizer, steps=done)[-1][1]
    batches = TrainingBatches(xor(400, 1), batch_size=40, seed=SETTINGS.seed)
    settings = replace(SETTINGS, optimizer=optimizer)
    *_, (resumed, state) = train(batches, xor(200, 2), settings, start=interrupted)
    for name, values in straight[-1][0].head.values().items():
        assert resumed.head.values()[name].tobytes() == values.tobytes()
    assert state.step == 60
    assert trained(ALL, optimizer=optimizer, seed=4)[-1][0].head.weights.tobytes() != (
        resumed.head.weights.tobytes()
    )


def test_the_first_values_are_those_for_relu() -> None:
    values = HeadLayers(hidden_units=300).initial(400, 20, seed=0)
    shapes = {name: value.shape for name, value in values.items()}
    assert shapes == {
        "weights": (300, 20),
        "bias": (20,),
        "hidden_weights": (400, 300),
        "hidden_bias": (300,),
    }
    # He et al., 2015, equation 10; three deviations of 120,000 draws are 0.6% of it.
    assert values["hidden_weights"].std() == pytest.approx(math.sqrt(2 / 400), rel=0.006)
    assert not values["hidden_bias"].any()
    # The same first softmax layer as without a hidden one.
    alone = HeadLayers().initial(300, 20, seed=0)
    assert values["weights"].tobytes() == alone["weights"].tobytes()


@pytest.mark.parametrize("values", [VALUES, PLAIN], ids=["hidden", "plain"])
def test_slopes_are_how_fast_the_logits_rise(values: Mapping[str, Any]) -> None:
    head = Head(**values)
    wanted = np.empty([7, 3])
    for feature in range(7):
        step = 1e-7 * np.eye(7)[feature]
        rise: Any = head.logits(FEATURES + step) - head.logits(FEATURES - step)
        wanted[feature] = rise.mean(axis=0) / 2e-7
    np.testing.assert_allclose(head.slopes(FEATURES), wanted, atol=1e-5)
