import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from image_retraining.evaluation.calibration import (
    Calibration,
    calibrate,
    calibrated,
    expected_calibration_error,
    fit_temperature,
    reliability,
    unknown_threshold,
    with_temperature,
)
from image_retraining.foundation.errors import GraphError, SettingError
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.head.softmax import softmax


def floats(values: Any) -> Floats:
    return np.array(values, np.float32)


def ids(values: Any) -> Ints:
    return np.array(values, np.int32)


def drawn(photos: int, classes: int, *, spread: float, seed: int) -> tuple[Floats, Ints]:
    """Returns logits, and label_ids drawn by the probabilities that they give."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=spread, size=[photos, classes])
    exponentials = np.exp(logits)
    bounds = (exponentials / exponentials.sum(axis=1, keepdims=True)).cumsum(axis=1)
    label_ids = (random.uniform(size=[photos, 1]) > bounds[:, :-1]).sum(axis=1)
    return logits.astype(np.float32), label_ids.astype(np.int32)


def cross_entropy(logits: Floats, label_ids: Ints, temperature: float) -> float:
    """Works it out from its formula, in double precision."""
    scaled = logits.astype(float) / temperature
    true = scaled[np.arange(len(scaled)), label_ids]
    return float((np.log(np.exp(scaled).sum(axis=1)) - true).mean())


# The temperature


@pytest.mark.parametrize("scale", [3, 1, 0.4])
def test_a_known_temperature_is_found(scale: float) -> None:
    logits, label_ids = drawn(40_000, 6, spread=1.5, seed=1)
    assert fit_temperature(scale * logits, label_ids) == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_no_temperature_of_a_fine_grid_is_better(seed: int) -> None:
    logits, label_ids = drawn(60, 3 + seed, spread=2, seed=seed)
    logits *= np.float32(2.0 ** (seed - 2))
    grid = np.geomspace(0.05, 20, 6001)
    best = grid[np.argmin([cross_entropy(logits, label_ids, value) for value in grid])]
    # Two neighbours on the grid are 0.1% apart.
    assert fit_temperature(logits, label_ids) == pytest.approx(best, rel=0.001)


@pytest.mark.parametrize(
    ("logits", "label_ids", "temperature"),
    [
        # One wrong answer: the more alike all probabilities are, the better.
        ([[1, 0]], [1], 20),
        # Two of three are right by log(2) each: p = 2/3 is what logits of log(2) give.
        ([[math.log(2), 0]] * 3, [0, 0, 1], 1),
        # So it is for logits four times as large.
        ([[4 * math.log(2), 0]] * 3, [0, 0, 1], 4),
        # No answer is wrong: N of N are to have (N + 1) / (N + 2), half a photo's truth each way:
        # with N = 1, 1/3 of the truth is even, so that p = 5/6 and its odds are 5.
        ([[2, 0]], [0], 2 / math.log(5)),
        # N = 8 of three labels: 9/10 + 1/30 = 28/30 for the right one, 28 times the others'.
        ([[2, -1, -1]] * 8, [0] * 8, 3 / math.log(28)),
        # Right by next to nothing.
        ([[1e-3, 0]] * 8, [0] * 8, 0.05),
        # Nothing to tell.
        ([[5, 5, 5]], [1], 1),
        ([[-3, -3]] * 4, [0, 1, 1, 1], 1),
        # One wrong of a hundred by ten thousand.
        ([[1e4, 0]] * 100, [0] * 99 + [1], 20),
    ],
)
def test_few_photos_and_plain_ones(logits: Any, label_ids: Any, temperature: float) -> None:
    found = fit_temperature(floats(logits), ids(label_ids))
    assert found == pytest.approx(temperature, rel=1e-5)


# The calibration error

# Ten answers of two labels. Counted by hand in 5 bins, of which three have answers:
# 0.4 to 0.6: 0.55 right, 0.6 wrong, 0.6 wrong: accuracy 1/3, mean 1.75/3: 3 * |d| = 0.75
# 0.6 to 0.8: 0.7 right, 0.8 right: accuracy 1, mean 0.75: 2 * |d| = 0.5
# 0.8 to 1.0: 0.9, 0.9, 0.95, 1.0 right, 0.85 wrong: accuracy 0.8, mean 0.92: 5 * |d| = 0.6
CONFIDENCE = [0.55, 0.6, 0.6, 0.7, 0.8, 0.9, 0.9, 0.95, 1.0, 0.85]
IS_RIGHT = [1, 0, 0, 1, 1, 1, 1, 1, 1, 0]


def table() -> tuple[Floats, Ints]:
    # In doubles, for 0.6 in float32 is above 0.6.
    probabilities = np.array([[value, 1 - value] for value in CONFIDENCE])
    return probabilities, ids([1 - right for right in IS_RIGHT])


def test_calibration_error_counted_by_hand() -> None:
    found = reliability(*table(), bins=5)
    assert found.counts.tolist() == [0, 0, 3, 2, 5]
    assert found.accuracy.tolist() == pytest.approx([0, 0, 1 / 3, 1, 0.8])
    assert found.confidence.tolist() == pytest.approx([0, 0, 1.75 / 3, 0.75, 0.92])
    assert expected_calibration_error(*table(), bins=5) == pytest.approx(0.185)
    # In a single bin: 7 of 10 are right, the mean is 0.785.
    assert expected_calibration_error(*table(), bins=1) == pytest.approx(0.085)


def test_the_surest_and_the_least_sure_have_a_bin() -> None:
    sure = floats([[1, 0], [1 + 1e-7, 0]])
    assert reliability(sure, ids([0, 0]), bins=3).counts.tolist() == [0, 0, 2]
    assert expected_calibration_error(sure, ids([0, 0])) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(sure, ids([1, 1])) == pytest.approx(1)
    assert expected_calibration_error(np.zeros([2, 2], np.float32), ids([0, 1])) == 0.5


# The threshold


@pytest.mark.parametrize(
    ("confidence", "right", "keep", "threshold"),
    [
        # Of 20 right answers one may be below, of 19 none.
        (range(70, 90), [True] * 20, 0.95, 0.71),
        (range(70, 89), [True] * 19, 0.95, 0.70),
        # 10 * (1 - 0.9) is 0.9999999999999998 to Python.
        (range(70, 80), [True] * 10, 0.9, 0.71),
        (range(70, 80), [True] * 10, 1.0, 0.70),
        (range(70, 80), [True] * 10, 0.5, 0.75),
        # Wrong answers do not count, wherever they are.
        ([60, 99, 80, 61, 62], [False, False, True, True, False], 0.5, 0.80),
        # Of equal ones all stay, or all would fall.
        ([70, 80, 80, 80, 90], [True] * 5, 0.6, 0.80),
        ([80, 80, 80, 80, 90], [True] * 5, 0.8, 0.80),
        ([80, 80, 80, 90, 90], [True] * 5, 0.4, 0.90),
        ([55], [True], 0.95, 0.55),
        ([99, 55], [False, False], 0.95, 0),
    ],
)
def test_thresholds_counted_by_hand(
    confidence: Any, right: list[bool], keep: float, threshold: float
) -> None:
    top = floats(confidence) / 100
    probabilities = floats(np.stack([1 - top, top], axis=1))
    found = unknown_threshold(probabilities, ids(right), keep)
    assert found == pytest.approx(threshold, abs=1e-6)
    kept = top[right] >= found
    assert kept.mean() >= keep if kept.size else found == 0
    if kept.size:
        assert (top[right] > found).mean() < keep


# Probabilities and heads at a temperature


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1, 3, 20])
def test_a_head_and_its_probabilities_at_a_temperature(temperature: float) -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=[50, 9]).astype(np.float32)
    head = Head(floats(random.normal(size=[9, 4])), floats(random.normal(size=4)))
    logits = features @ head.weights + head.bias
    expected = np.exp(logits.astype(float) / temperature)
    expected /= expected.sum(axis=1, keepdims=True)
    scaled = calibrated(head, temperature)
    assert {scaled.weights.dtype, scaled.bias.dtype} == {np.dtype(np.float32)}
    of_head = softmax(features @ scaled.weights + scaled.bias)
    of_probabilities = with_temperature(softmax(logits), temperature)
    assert of_probabilities.dtype == np.float32
    for found in (of_head, of_probabilities):
        np.testing.assert_allclose(found, expected, atol=2e-5)
    # What label_image.py has: one photo's scores.
    np.testing.assert_array_equal(
        with_temperature(softmax(logits)[0], temperature), of_probabilities[0]
    )


def test_certain_probabilities_stay_so() -> None:
    sure = floats([[1, 0, 0], [0.5, 0.5, 0], [1e-45, 1, 1e-30]])
    assert with_temperature(sure, 0.05).tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]]
    tenth = with_temperature(sure, 10)
    assert tenth[:2].tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
    assert tenth[2, 2] == pytest.approx(1e-3, rel=2e-3)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 1.5, 20.0])
def test_scores_that_are_all_zero_tell_no_label_from_another(temperature: float) -> None:
    scores = floats([[0, 0, 0, 0], [0, 1, 0, 0]])
    assert with_temperature(scores, temperature).tolist() == [[0.25] * 4, [0, 1, 0, 0]]
    assert with_temperature(scores[0], temperature).tolist() == [0.25] * 4


# All together


def test_too_sure_a_head_is_put_right() -> None:
    logits, label_ids = drawn(5000, 5, spread=1.5, seed=8)
    found = calibrate(4 * logits, label_ids)
    assert found.temperature == pytest.approx(4, rel=0.05)
    assert found.error_before > 0.2
    assert found.error_after < 0.03
    assert found.photo_count == 5000
    probabilities = softmax(4 * logits / np.float32(found.temperature))
    right = probabilities.argmax(axis=1) == label_ids
    assert 0.95 <= (probabilities.max(axis=1)[right] >= found.threshold).mean() < 0.955


@pytest.mark.parametrize(
    ("logits", "label_ids", "threshold"),
    [
        # Certain answers stay known when a graph gives 0.9995 for 1.
        ([[3000, 0], [0, 4000]], [0, 1], 0.999),
        ([[9e29, -9e29]], [0], 0.999),
        # No right answer: nothing is unknown.
        ([[3, 0], [0, 2]], [1, 0], 0),
        # Three labels, of which none stands out.
        ([[7, 7, 7]], [0], 1 / 3 - 0.001),
    ],
)
def test_the_threshold_of_plain_photos(logits: Any, label_ids: Any, threshold: float) -> None:
    found = calibrate(np.tile(floats(logits), [40, 1]), ids(label_ids * 40))
    assert found.threshold == pytest.approx(threshold)
    assert Calibration.from_dict(asdict(found), path="x.json") == found


@pytest.mark.parametrize(("photos", "is_put_right"), [(1, False), (49, False), (50, True)])
def test_few_photos_say_nothing_of_a_temperature(photos: int, *, is_put_right: bool) -> None:
    # Half of the answers are right, and all are given with 99.99%: far too sure.
    logits = floats([[9, 0]] * photos)
    found = calibrate(logits, ids(np.arange(photos) % 2))
    assert (found.temperature > 4) == is_put_right
    if not is_put_right:
        assert found.temperature == 1
        assert found.error_after == found.error_before
    assert found.photo_count == photos


def error_by_hand(logits: Floats, label_ids: Ints, temperature: float) -> float:
    """Works the calibration error out photo by photo: 15 bins, each of (n / 15, (n + 1) / 15]."""
    gaps: dict[int, list[float]] = {}
    for row, label_id in zip(logits.astype(float) / temperature, label_ids, strict=True):
        top = np.exp(row.max()) / np.exp(row).sum()
        gaps.setdefault(math.ceil(top * 15), []).append((row.argmax() == label_id) - top)
    return sum(abs(sum(each)) for each in gaps.values()) / len(logits)


@pytest.mark.parametrize(("seed", "does_worse"), [(0, True), (6, True), (14, True), (1, False)])
def test_a_temperature_that_does_worse_is_not_taken(seed: int, *, does_worse: bool) -> None:
    # Once: 10.2% before and 13.9% after, told as if that were well.
    logits, label_ids = drawn(60, 3, spread=1.5, seed=seed)
    fitted = fit_temperature(logits, label_ids)
    before, after = (error_by_hand(logits, label_ids, t) for t in (1, fitted))
    assert (after > before) == does_worse
    found = calibrate(logits, label_ids)
    assert found.temperature == (1 if does_worse else fitted)
    assert found.error_before == pytest.approx(before, abs=1e-5)
    assert found.error_after == pytest.approx(min(before, after), abs=1e-5)


@pytest.mark.parametrize(("right", "has_one"), [(0, False), (2, False), (19, False), (20, True)])
def test_few_right_answers_say_nothing_of_what_is_unknown(right: int, *, has_one: bool) -> None:
    # Wrong answers do not help.
    logits = floats([[2, 0]] * (right + 30))
    found = calibrate(logits, ids([0] * right + [1] * 30))
    assert (found.threshold > 0) == has_one


def test_the_least_number_of_right_answers_is_what_the_threshold_promises() -> None:
    """From 20 on, the share of later right answers that it takes for unknown is at most 10%."""
    random = np.random.default_rng(0)
    lost = {}
    for count in (2, 20, 21, 39, 40):
        # Any distribution of probabilities will do, for only their order counts.
        draws = random.uniform(0.5, 1, size=[4000, count])
        rows = (floats(np.stack([1 - draw, draw], axis=1)) for draw in draws)
        cuts = [unknown_threshold(row, ids([1] * count)) for row in rows]
        lost[count] = 2 * (np.mean(cuts) - 0.5)
    assert lost[2] == pytest.approx(1 / 3, abs=0.02)
    assert all(lost[count] < 0.1 for count in (20, 21, 39, 40))


@pytest.mark.parametrize("value", [math.nan, math.inf, -2e30])
def test_logits_of_a_training_that_went_astray(value: float) -> None:
    with pytest.raises(SettingError, match=r"below 1e\+30.* Lower --learning_rate"):
        calibrate(floats([[1, 2], [value, 0]]), ids([0, 1]))


# The file

SOME = Calibration(
    temperature=1.25, threshold=0.5, error_before=0.125, error_after=0.0625, photo_count=113
)


def test_json_and_back() -> None:
    text = json.dumps({**asdict(SOME), "note": "of a later version"})
    assert Calibration.from_dict(json.loads(text), path="x.json") == SOME
    whole = {**asdict(SOME), "temperature": 2, "threshold": 0}
    found = Calibration.from_dict(whole, path="x.json")
    assert found == replace(SOME, temperature=2.0, threshold=0.0)
    assert isinstance(found.temperature, float)


@pytest.mark.parametrize("name", asdict(SOME))
@pytest.mark.parametrize(
    "value", ["1.25", None, True, -0.1, 10**400 * -1, math.nan, -math.inf, [1], {}, "x" * 1000]
)
def test_broken_figures_are_told(name: str, value: Any) -> None:
    with pytest.raises(GraphError, match=f"x.json must have a {name}, a .*number.*Got ") as caught:
        Calibration.from_dict({**asdict(SOME), name: value}, path="x.json")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("temperature", 0.049),
        ("temperature", 20.1),
        ("threshold", 1.01),
        ("error_before", 7.1),
        ("error_after", 10**400),
        ("photo_count", 0),
        ("photo_count", 113.0),
    ],
)
def test_figures_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(GraphError, match=f"must have a {name}, a .*number from"):
        Calibration.from_dict({**asdict(SOME), name: value}, path="x.json")


@pytest.mark.parametrize("name", asdict(SOME))
def test_missing_figures(name: str) -> None:
    content = asdict(SOME)
    del content[name]
    with pytest.raises(GraphError, match=rf"have a {name}, .* Got none\."):
        Calibration.from_dict(content, path="x.json")


@pytest.mark.parametrize("content", [None, [], "x", 1.25, [asdict(SOME)]])
def test_what_is_no_object(content: Any) -> None:
    with pytest.raises(GraphError, match=r"x\.json must be an object"):
        Calibration.from_dict(content, path="x.json")
