import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from image_retraining.foundation.records import FeatureSet, Head, TrainingReport
from image_retraining.head import batches as drawing
from image_retraining.head.batches import TrainingBatches
from image_retraining.head.descent import DescentSettings, judging_sample, train
from image_retraining.head.layers import HeadLayers, TrainingState
from image_retraining.head.sampling import Purpose, Sampler

LABEL_COUNT = 3
FEATURE_SIZE = 5
BATCH_SIZE = 16
LONGEST_STRETCH = 200
SETTINGS = DescentSettings(
    steps=60,
    learning_rate=0.5,
    validation_batch_size=20,
    eval_step_interval=10,
    report_step_interval=0,
    seed=3,
)
NO_PHOTOS = FeatureSet(np.empty([0, FEATURE_SIZE], np.float32), np.empty([0], np.int32), ())


def synthetic(*counts: int, seed: int, spread: float = 1.0, learnable: bool = True) -> FeatureSet:
    """Returns so many vectors of each class, around a corner of its own unless not learnable."""
    random = np.random.default_rng(seed)
    label_ids = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    features = random.normal(scale=spread, size=[len(label_ids), FEATURE_SIZE])
    if learnable:
        features += 2 * np.eye(len(counts), FEATURE_SIZE)[label_ids]
    paths = tuple(f"{number}.jpg" for number in range(len(label_ids)))
    return FeatureSet(features.astype(np.float32), label_ids, paths)


TRAINING = synthetic(30, 50, 12, seed=0)
VALIDATION = synthetic(9, 14, 7, seed=1)


def start(seed: int = 0) -> Head:
    return first_head(FEATURE_SIZE, LABEL_COUNT, seed=seed)


def first_head(feature_size: int, label_count: int, *, seed: int) -> Head:
    return Head(**HeadLayers().initial(feature_size, label_count, seed=seed))


def drawn(steps: range, *, training: FeatureSet = TRAINING, seed: int = SETTINGS.seed) -> Any:
    """Returns int64 [steps, B], the photos of the steps' batches."""
    sampler = Sampler(training.label_ids, seed=seed, purpose=Purpose.TRAINING)
    return np.stack([sampler.draw(step, BATCH_SIZE) for step in steps])


def stored(training: FeatureSet = TRAINING, *, seed: int = SETTINGS.seed) -> TrainingBatches:
    return TrainingBatches(training, batch_size=BATCH_SIZE, seed=seed)


def trained(
    settings: DescentSettings = SETTINGS,
    *,
    training: FeatureSet = TRAINING,
    validation: FeatureSet = VALIDATION,
    head: Head | None = None,
    first_step: int = 0,
) -> list[TrainingReport]:
    state = TrainingState((head or start()).values(), first_step)
    reports = train(stored(training), validation, settings, start=state)
    return [report for report, _ in reports]


def double_precision(
    head: Head, features: Any, label_ids: Any
) -> tuple[Any, Any, dict[str, float]]:
    """Returns the gradient of weights and bias on a batch, and the figures of a head on it.

    For softmax and cross-entropy the gradient of the logits is (probabilities - truth) / N.
    """
    weights, bias = head.weights.astype(np.float64), head.bias.astype(np.float64)
    features = features.astype(np.float64)
    logits = features @ weights + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.eye(LABEL_COUNT)[label_ids]
    error = (probabilities - truth) / len(label_ids)
    figures = {
        "accuracy": float(np.mean(logits.argmax(axis=1) == label_ids)),
        "cross_entropy": float(-np.log((probabilities * truth).sum(axis=1)).mean()),
    }
    for part, values in (("weights", weights), ("biases", bias)):
        scope = f"final_retrain_ops/{part}/summaries"
        figures[f"{scope}/mean"] = values.sum() / values.size
        squares = np.square(values - figures[f"{scope}/mean"])
        figures[f"{scope}/stddev"] = float(np.sqrt(squares.sum() / values.size))
        figures[f"{scope}/max"] = max(values.ravel())
        figures[f"{scope}/min"] = min(values.ravel())
    return features.T @ error, error.sum(axis=0), figures


def descent(
    indices: Any, head: Head, learning_rate: float
) -> Iterator[tuple[Head, dict[str, float]]]:
    """Yields, in double precision, the head after each step and the figures before it."""
    head = Head(head.weights.astype(np.float64), head.bias.astype(np.float64))
    for batch in indices:
        features, label_ids = TRAINING.features[batch], TRAINING.label_ids[batch]
        weights_gradient, bias_gradient, figures = double_precision(head, features, label_ids)
        head = Head(
            head.weights - learning_rate * weights_gradient,
            head.bias - learning_rate * bias_gradient,
        )
        yield head, figures


def all_scalars(reports: list[TrainingReport]) -> dict[str, Any]:
    """Returns name → figure of every step."""
    return {
        name: np.concatenate([report.scalars[name] for report in reports])
        for name in reports[0].scalars
    }


def evaluation_steps(reports: list[TrainingReport]) -> list[int]:
    return [report.steps[-1] for report in reports if report.train is not None]


# The mathematics


@pytest.mark.parametrize("learning_rate", [0.01, 0.5])
def test_training_is_gradient_descent(learning_rate: float) -> None:
    settings = replace(SETTINGS, learning_rate=learning_rate)
    reports = trained(settings)
    indices = drawn(range(settings.steps))
    steps = list(descent(indices, start(), learning_rate))

    heads = {report.steps[-1]: report.head for report in reports}
    assert len(heads) == 7
    for step, head in heads.items():
        np.testing.assert_allclose(head.weights, steps[step][0].weights, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(head.bias, steps[step][0].bias, rtol=1e-4, atol=1e-5)
    assert np.abs(reports[-1].head.weights).max() > 10 * np.abs(start().weights).max()

    scalars = all_scalars(reports)
    assert scalars.keys() == steps[0][1].keys()
    for name, values in scalars.items():
        assert values.dtype == np.float32
        expected = [figures[name] for _, figures in steps]
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_first_figures_are_those_before_the_first_step() -> None:
    scalars = all_scalars(trained())
    # Nearly even probabilities of 3 classes: log(3) nats.
    assert scalars["cross_entropy"][0] == pytest.approx(1.0986, abs=0.01)
    assert scalars["final_retrain_ops/biases/summaries/max"][0] == 0
    assert scalars["final_retrain_ops/biases/summaries/max"][1] > 0
    assert scalars["final_retrain_ops/weights/summaries/max"][0] == start().weights.max()


def test_evaluations_are_of_the_head_after_the_step() -> None:
    indices = drawn(range(SETTINGS.steps))
    for report in trained(replace(SETTINGS, validation_batch_size=-1)):
        batch = indices[report.steps[-1]]
        for evaluation, features, label_ids in (
            (report.train, TRAINING.features[batch], TRAINING.label_ids[batch]),
            (report.validation, VALIDATION.features, VALIDATION.label_ids),
        ):
            _, _, figures = double_precision(report.head, features, label_ids)
            assert evaluation is not None
            assert evaluation.label_ids.tolist() == label_ids.tolist()
            assert evaluation.accuracy == pytest.approx(figures["accuracy"])
            assert evaluation.cross_entropy == pytest.approx(figures["cross_entropy"], rel=1e-4)


def test_separable_classes_are_learned() -> None:
    training = synthetic(20, 20, 20, seed=5, spread=0.2)
    held_out = synthetic(100, 100, 100, seed=6, spread=0.2)
    settings = replace(SETTINGS, steps=300, validation_batch_size=-1)
    last = trained(settings, training=training, validation=held_out)[-1]
    assert last.train is not None
    assert last.train.accuracy == 1.0
    assert last.validation is not None
    assert last.validation.accuracy == 1.0
    assert last.validation.cross_entropy < 0.2


def test_what_cannot_be_learned_is_not() -> None:
    training = synthetic(20, 20, 20, seed=5, learnable=False)
    held_out = synthetic(400, 400, 400, seed=6, learnable=False)
    settings = replace(SETTINGS, steps=300, validation_batch_size=-1)
    last = trained(settings, training=training, validation=held_out)[-1]
    assert last.validation is not None
    # Chance, give or take three standard deviations of the share of 1200 photos.
    assert last.validation.accuracy == pytest.approx(1 / 3, abs=3 * (2 / 9 / 1200) ** 0.5)


# The schedule


@pytest.mark.parametrize(
    ("steps", "interval", "expected"),
    [
        (1, 10, [0]),
        (1, 1, [0]),
        (3, 1, [0, 1, 2]),
        (5, 100, [0, 4]),
        (10, 10, [0, 9]),
        (11, 10, [0, 10]),
        (25, 10, [0, 10, 20, 24]),
        (450, 300, [0, 300, 449]),
    ],
)
def test_evaluations_come_at_each_interval_and_at_the_end(
    steps: int, interval: int, expected: list[int]
) -> None:
    reports = trained(replace(SETTINGS, steps=steps, eval_step_interval=interval))
    assert evaluation_steps(reports) == expected
    assert [r.steps[-1] for r in reports if r.validation is not None] == expected


@pytest.mark.parametrize(
    ("steps", "eval_interval", "report_interval", "first_step", "ends"),
    [
        (10, 100, 4, 0, [0, 4, 8, 9]),
        (10, 100, 0, 0, [0, 9]),
        (10, 3, 4, 0, [0, 3, 4, 6, 8, 9]),
        (10, 100, 4, 5, [8, 9]),
        (10, 100, 1, 7, [7, 8, 9]),
        (650, 1000, 0, 0, [0, 200, 400, 600, 649]),
        (650, 1000, 250, 0, [0, 200, 250, 450, 500, 649]),
        (400, 1000, 0, 100, [299, 399]),
        (300, 300, 0, 100, [299]),
        (10, 5, 0, 9, [9]),
        (10, 5, 0, 10, []),
    ],
)
def test_reports_cover_every_step_once(
    *, steps: int, eval_interval: int, report_interval: int, first_step: int, ends: list[int]
) -> None:
    settings = replace(
        SETTINGS,
        steps=steps,
        eval_step_interval=eval_interval,
        report_step_interval=report_interval,
    )
    reports = trained(settings, first_step=first_step)
    covered = list(itertools.chain.from_iterable(report.steps for report in reports))
    assert covered == list(range(first_step, steps))
    assert [report.steps[-1] for report in reports] == ends
    for report in reports:
        assert len(report.steps) <= LONGEST_STRETCH
        assert {len(values) for values in report.scalars.values()} == {len(report.steps)}
        is_evaluation = report.steps[-1] % eval_interval == 0 or report.steps[-1] == steps - 1
        assert (report.train is not None) == is_evaluation
        assert (report.validation is not None) == is_evaluation


def test_the_reports_that_are_asked_for_do_not_change_the_training() -> None:
    plain, chatty = trained(), trained(replace(SETTINGS, report_step_interval=7))
    assert len(chatty) > len(plain)
    assert chatty[-1].head.weights.tobytes() == plain[-1].head.weights.tobytes()
    for name, values in all_scalars(plain).items():
        assert all_scalars(chatty)[name].tobytes() == values.tobytes()


# Validation


def test_without_validation_photos_there_is_no_validation() -> None:
    reports = trained(validation=NO_PHOTOS)
    assert evaluation_steps(reports) == [0, 10, 20, 30, 40, 50, 59]
    assert [report.validation for report in reports] == [None] * 7
    assert reports[-1].head.weights.tobytes() == trained()[-1].head.weights.tobytes()


def test_a_validation_draw_is_of_validation_photos() -> None:
    draws = []
    for report in trained(replace(SETTINGS, validation_batch_size=25)):
        assert report.validation is not None
        assert report.validation.logits.shape == (25, LABEL_COUNT)
        logits = VALIDATION.features @ report.head.weights + report.head.bias
        distances = np.abs(report.validation.logits[:, np.newaxis] - logits).max(axis=2)
        photos = distances.argmin(axis=1)
        np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-5)
        assert report.validation.label_ids.tolist() == VALIDATION.label_ids[photos].tolist()
        draws.append(photos.tolist())
    # Every evaluation draws anew.
    assert len({tuple(photos) for photos in draws}) == len(draws)


def test_a_validation_draw_is_even_over_the_classes() -> None:
    validation = synthetic(1, 6000, 2, seed=1)
    settings = replace(SETTINGS, validation_batch_size=3000, steps=1)
    (report,) = trained(settings, validation=validation)
    assert report.validation is not None
    shares = np.bincount(report.validation.label_ids) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=3 * (2 / 9 / 3000) ** 0.5)


@pytest.mark.parametrize("size", [-1, 30, 31, 100])
def test_no_more_validation_photos_are_drawn_than_there_are(size: int) -> None:
    # Once: 100 draws of 23 photos, told as N=100.
    reports = trained(replace(SETTINGS, validation_batch_size=size))
    for report in reports:
        assert report.validation is not None
        # 9, 14 and 7 photos, each of them once.
        assert np.bincount(report.validation.label_ids).tolist() == [9, 14, 7]
        right = (VALIDATION.features @ report.head.weights + report.head.bias).argmax(axis=1)
        assert report.validation.accuracy == pytest.approx(
            np.mean(right == VALIDATION.label_ids), abs=1e-6
        )
    assert reports[-1].head.weights.tobytes() == trained()[-1].head.weights.tobytes()


def test_validation_does_not_draw_as_training_does() -> None:
    settings = replace(SETTINGS, validation_batch_size=BATCH_SIZE)
    for report in trained(settings, validation=TRAINING):
        assert report.train is not None
        assert report.validation is not None
        assert report.train.logits.tolist() != report.validation.logits.tolist()


# Batches


def test_batches_are_of_the_steps_asked_for() -> None:
    every, some = stored().of(range(10)), stored().of(range(4, 7))
    photos = drawn(range(10))
    assert every.features.shape == (10, BATCH_SIZE, FEATURE_SIZE)
    assert every.features.tolist() == TRAINING.features[photos].tolist()
    assert every.label_ids.tolist() == TRAINING.label_ids[photos].tolist()
    assert some.features.tolist() == every.features[4:7].tolist()
    assert some.label_ids.tolist() == every.label_ids[4:7].tolist()
    assert len({tuple(batch) for batch in photos.tolist()}) == 10


def test_another_seed_gives_other_batches() -> None:
    other = stored(seed=SETTINGS.seed + 1)
    assert stored().of(range(2)).features.tolist() != other.of(range(2)).features.tolist()


def test_a_photo_and_its_views_are_equally_likely() -> None:
    photos = FeatureSet(
        np.arange(4, dtype=np.float32).reshape([4, 1]) * 10,
        np.array([0, 0, 1, 1], np.int32),
        ("a", "b", "c", "d"),
        views=np.array([[[10 * n + 1], [10 * n + 2]] for n in range(4)], np.float32),
    )
    batches = stored(photos).of(range(400))
    photo, view = np.divmod(batches.features[..., 0], 10)
    assert photo.tolist() == drawn(range(400), training=photos).tolist()
    assert set(view.ravel()) == {0, 1, 2}
    shares = np.bincount(view.ravel().astype(int)) / view.size
    # Three standard deviations of a share of 6400 draws.
    np.testing.assert_allclose(shares, 1 / 3, atol=3 * (2 / 9 / view.size) ** 0.5)
    assert stored(photos).of(range(7, 9)).features.tolist() == batches.features[7:9].tolist()


# Adam, regularisation, smoothing


def test_adam_is_that_of_keras() -> None:
    settings = replace(SETTINGS, optimizer="adam", learning_rate=0.03, steps=25)
    weights = tf.Variable(start().weights)
    bias = tf.Variable(start().bias)
    # Keras adds 1e-7 to the root by default, the paper 1e-8.
    adam = tf.keras.optimizers.Adam(0.03, epsilon=1e-8)
    for batch in drawn(range(25)):
        head = Head(weights.numpy(), bias.numpy())
        gradients = double_precision(head, TRAINING.features[batch], TRAINING.label_ids[batch])[:2]
        adam.apply_gradients(
            zip([tf.constant(g, tf.float32) for g in gradients], [weights, bias], strict=True)
        )
    last = trained(settings)[-1].head
    np.testing.assert_allclose(last.weights, weights, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(last.bias, bias, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("l2", "smoothing"), [(0.3, 0.0), (0.0, 0.2), (0.1, 0.6)], ids=["l2", "smoothing", "both"]
)
def test_a_step_goes_down_the_regularised_and_smoothed_loss(l2: float, smoothing: float) -> None:
    settings = replace(SETTINGS, steps=1, l2=l2, label_smoothing=smoothing)
    first = Head(np.full([FEATURE_SIZE, LABEL_COUNT], 0.1, np.float32) + start().weights, BIAS)
    (report,) = trained(settings, head=first)
    (batch,) = drawn(range(1))

    def loss(weights: Any) -> float:
        logits = TRAINING.features[batch].astype(float) @ weights + BIAS
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        truth = np.eye(LABEL_COUNT)[TRAINING.label_ids[batch]]
        truth = (1 - smoothing) * truth + smoothing / LABEL_COUNT
        return float(-(truth * logs).sum(axis=1).mean() + l2 / 2 * np.square(weights).sum())

    # The slope by differences.
    slope = np.zeros([FEATURE_SIZE, LABEL_COUNT])
    for place in np.ndindex(*slope.shape):
        nudge = np.zeros_like(slope)
        nudge[place] = 1e-5
        slope[place] = (loss(first.weights + nudge) - loss(first.weights - nudge)) / 2e-5
    moved = (first.weights - report.head.weights) / SETTINGS.learning_rate
    np.testing.assert_allclose(moved, slope, atol=1e-4)
    # What is reported is the cross entropy alone.
    _, _, figures = double_precision(first, TRAINING.features[batch], TRAINING.label_ids[batch])
    assert report.scalars["cross_entropy"][0] == pytest.approx(figures["cross_entropy"], rel=1e-5)


BIAS = np.array([0.2, -0.1, 0.0], np.float32)


def test_all_validation_photos_are_evaluated_beside_the_draw() -> None:
    for report in trained():
        assert report.whole_validation is not None
        _, _, figures = double_precision(report.head, VALIDATION.features, VALIDATION.label_ids)
        assert report.whole_validation.cross_entropy == pytest.approx(
            figures["cross_entropy"], rel=1e-4
        )


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adam"])
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([2] * 1000, id="2 photos of each of 1000 classes"),
        pytest.param([200, 4, 4], id="50 times the photos"),
    ],
)
def test_few_photos_and_uneven_classes_are_learned(optimizer: str, counts: list[int]) -> None:
    label_ids = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    places = np.random.default_rng(0).normal(size=[len(counts), 64])
    features = places[label_ids] + np.random.default_rng(1).normal(
        scale=0.2, size=[len(label_ids), 64]
    )
    training = FeatureSet(features.astype(np.float32), label_ids, ("x.jpg",) * len(label_ids))
    held_out = FeatureSet(
        places.astype(np.float32), np.arange(len(counts), dtype=np.int32), ("y.jpg",) * len(counts)
    )
    settings = replace(
        SETTINGS,
        optimizer=optimizer,
        learning_rate=0.5 if optimizer == "gradient_descent" else 0.02,
        steps=400,
        eval_step_interval=400,
    )
    batches = TrainingBatches(training, batch_size=100, seed=0)
    first = TrainingState(first_head(64, len(counts), seed=0).values())
    *_, (report, _) = train(batches, held_out, settings, start=first)
    assert report.whole_validation is not None
    assert report.whole_validation.accuracy >= 0.99


def test_class_weights_decide_how_often_a_class_is_drawn() -> None:
    weights = np.array([1, 1, 1], np.float32)
    batches = TrainingBatches(TRAINING, batch_size=9200, seed=0, class_weights=weights)
    shares = np.bincount(batches.of(range(1)).label_ids[0]) / 9200
    # As many as there are: 30, 50 and 12 of 92.
    np.testing.assert_allclose(shares, [30 / 92, 50 / 92, 12 / 92], atol=0.016)
    heavy = np.array([1, 1, 50 / 12], np.float32)
    batches = TrainingBatches(TRAINING, batch_size=9200, seed=0, class_weights=heavy)
    shares = np.bincount(batches.of(range(1)).label_ids[0]) / 9200
    np.testing.assert_allclose(shares, [30 / 130, 50 / 130, 50 / 130], atol=0.016)


# Start and resumption


def test_the_first_head_is_small_random_weights() -> None:
    head = first_head(500, 20, seed=0)
    assert head.weights.dtype == head.bias.dtype == np.float32
    assert head.weights.shape == (500, 20)
    assert head.bias.tolist() == [0] * 20
    assert np.abs(head.weights).max() <= 0.002
    assert np.abs(head.weights).max() > 0.0019
    # A normal distribution cut at two standard deviations has 0.8796 of its standard deviation;
    # three standard deviations of 10,000 draws are 2% of it, and 3% for the mean.
    assert head.weights.std() == pytest.approx(0.00088, rel=0.03)
    assert head.weights.mean() == pytest.approx(0, abs=0.00088 * 0.03)


def test_the_first_head_depends_on_the_seed() -> None:
    assert start(0).weights.tolist() == start(0).weights.tolist()
    assert start(0).weights.tolist() != start(1).weights.tolist()


@pytest.mark.parametrize("seed", [1, 2**31, 2**32, 2**63 - 1])
def test_large_seeds_are_told_apart(seed: int) -> None:
    assert start(seed).weights.tolist() != start(seed - 1).weights.tolist()
    assert start(seed).weights.tolist() != start(seed % 2**31 + 1).weights.tolist()


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adam"])
@pytest.mark.parametrize("done", [1, 13, 59])
def test_a_resumed_training_gives_the_same_head_bit_for_bit(done: int, optimizer: str) -> None:
    settings = replace(SETTINGS, optimizer=optimizer)
    beginning = TrainingState(start().values())
    straight = list(train(stored(), VALIDATION, settings, start=beginning))
    some = replace(settings, steps=done)
    *_, (_, interrupted) = train(stored(), VALIDATION, some, start=beginning)
    resumed = list(train(stored(), VALIDATION, settings, start=interrupted))

    assert interrupted.step == done
    assert resumed[-1][0].head.weights.tobytes() == straight[-1][0].head.weights.tobytes()
    assert resumed[-1][0].head.bias.tobytes() == straight[-1][0].head.bias.tobytes()
    for name, values in all_scalars([report for report, _ in straight]).items():
        later = all_scalars([report for report, _ in resumed])[name]
        assert later.tobytes() == values[done:].tobytes()
    expected = [report for report, _ in straight if report.steps[-1] >= done]
    assert evaluation_steps([report for report, _ in resumed]) == evaluation_steps(expected)
    for (one, _), other in zip(resumed, expected, strict=True):
        assert one.validation is not None
        assert other.validation is not None
        assert one.validation.logits.tobytes() == other.validation.logits.tobytes()


def test_equal_seeds_give_equal_trainings_and_others_do_not() -> None:
    one, again = trained(), trained()
    assert one[-1].head.weights.tobytes() == again[-1].head.weights.tobytes()
    other = trained(head=start(1))
    assert one[-1].head.weights.tobytes() != other[-1].head.weights.tobytes()


def test_an_interruption_that_was_dropped_ends_it(interrupt_unheard: Callable[[], None]) -> None:
    interrupt_unheard()
    with pytest.raises(KeyboardInterrupt):
        trained()


def test_of_very_many_validation_photos_the_same_ones_judge() -> None:
    assert judging_sample(VALIDATION, seed=1) is VALIDATION
    many = synthetic(9000, 6000, 300, seed=1)
    some = judging_sample(many, seed=1)
    assert len(some) == 10_000
    assert len(set(some.paths)) == 10_000
    assert judging_sample(many, seed=1).paths == some.paths
    assert judging_sample(many, seed=2).paths != some.paths
    # As many of each class as there are, but for chance: three deviations.
    assert np.bincount(some.label_ids)[2] == pytest.approx(300 * 10 / 15.3, abs=3 * 8.3)


def test_vectors_too_many_to_be_handed_over_at_once_are_learnt_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = trained()
    assert stored().of(range(2)).vectors is TRAINING.features
    monkeypatch.setattr(drawing, "MOST_HANDED_OVER", 0)
    assert len(stored().of(range(2)).vectors) == 2 * BATCH_SIZE
    for one, other in zip(at_once, trained(), strict=True):
        assert one.head.weights.tobytes() == other.head.weights.tobytes()
        assert one.scalars["cross_entropy"].tolist() == other.scalars["cross_entropy"].tolist()


def test_the_next_steps_are_taken_while_a_report_is_told() -> None:
    begun = threading.Event()

    class Watched(TrainingBatches):
        def of(self, steps: range) -> Any:
            if steps.start > 1:
                # Not before the next but one: no more is held.
                assert steps.start == 11
                begun.set()
            return super().of(steps)

    batches = Watched(TRAINING, batch_size=BATCH_SIZE, seed=SETTINGS.seed)
    reports = train(batches, VALIDATION, SETTINGS, start=TrainingState(start().values()))
    report, _ = next(reports)
    assert report.steps == range(1)
    report, _ = next(reports)
    assert report.steps == range(1, 11)
    assert begun.wait(60)
    reports.close()  # type: ignore[attr-defined]
