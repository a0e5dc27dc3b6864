from functools import partial

import numpy as np
import pytest
from scipy.stats import binomtest

from image_retraining.evaluation.cross_validation import cross_validate
from image_retraining.evaluation.learning_curve import (
    LearningCurve,
    Outlook,
    drawn,
    learning_curve,
    outlook_of,
)
from image_retraining.evaluation.pool import Pool, pool_of
from image_retraining.evaluation.solved_head import HeadWishes
from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.head.class_weights import class_weights

LABELS = ("a", "b", "c")


def pool(count: int, *, apart: float, size: int = 40) -> Pool:
    label_ids = np.repeat(np.arange(3), count).astype(np.int32)
    random = np.random.default_rng(0)
    features = apart * np.eye(3, size)[label_ids] + random.normal(size=[3 * count, size])
    paths = tuple(f"{number}.jpg" for number in range(3 * count))
    digests = tuple(map(str.encode, paths))
    photos = FeatureSet(features.astype(np.float32), label_ids, paths, digests)
    nobody = photos.rows([])
    return pool_of({Split.TRAINING: photos, Split.VALIDATION: nobody, Split.TESTING: nobody})


def curve(photos: Pool, *, folds: int = 5) -> LearningCurve:
    wishes = HeadWishes(weigh=partial(class_weights, "balanced", LABELS))
    crossed = cross_validate(photos, LABELS, wishes, fold_count=folds, seed=0)
    assert crossed
    found = learning_curve(photos, LABELS, wishes, crossed, seed=0)
    assert found.points[-1].accuracy == crossed.metrics.accuracy
    return found


def test_more_photos_are_better_where_they_are() -> None:
    found = curve(pool(100, apart=2.0))
    assert [point.photo_count for point in found.points] == [30, 60, 120, 240]
    assert [point.draw_count for point in found.points] == [3, 3, 3, 1]
    assert (found.judged_count, found.fold_count) == (300, 5)
    accuracies = [point.accuracy for point in found.points]
    # Few photos of 40 features: a quarter of what is wrong is so for want of photos.
    assert accuracies[0] < accuracies[-1] - 0.05
    assert found.outlook
    assert found.outlook.photo_count == 480
    assert 0 <= found.outlook.low <= found.outlook.gain <= found.outlook.high
    for point in found.points:
        right = point.accuracy * 300
        around = [
            binomtest(int(end), 300).proportion_ci(method="wilson") for end in (right, right + 1)
        ]
        assert around[0].low - 1e-9 <= point.interval[0] <= around[1].low
        assert around[0].high - 1e-9 <= point.interval[1] <= around[1].high


def test_of_noise_more_photos_teach_nothing() -> None:
    found = curve(pool(60, apart=0.0))
    for point in found.points:
        assert point.accuracy == pytest.approx(1 / 3, abs=0.12)


def test_of_a_handful_nothing_can_be_told() -> None:
    found = curve(pool(4, apart=2.0), folds=2)
    assert found.outlook is None or not found.outlook.can_be_told


@pytest.mark.parametrize("share", [1 / 8, 1 / 4, 1 / 2])
def test_a_share_of_each_class_is_drawn(share: float) -> None:
    label_ids = np.repeat([0, 1, 3], [80, 16, 1]).astype(np.int32)
    rows = drawn(label_ids, np.arange(97), share, np.random.default_rng(0))
    assert rows.tolist() == sorted(set(rows.tolist()))
    counts = np.bincount(label_ids[rows], minlength=4)
    assert counts.tolist() == [80 * share, 16 * share, 0, 1]


def test_what_belongs_together_is_drawn_together() -> None:
    random = np.random.default_rng(1)
    label_ids = np.repeat(np.arange(2), 100).astype(np.int32)
    groups = np.arange(200) // 4
    for _ in range(20):
        rows = drawn(label_ids, groups, 1 / 4, random)
        is_drawn = np.isin(np.arange(200), rows).reshape(50, 4)
        assert (is_drawn.all(axis=1) == is_drawn.any(axis=1)).all()
        assert 20 <= len(rows) / 2 <= 30


def test_draws_differ() -> None:
    random, label_ids = np.random.default_rng(0), np.zeros([40], np.int32)
    first, second = (drawn(label_ids, np.arange(40), 1 / 2, random) for _ in range(2))
    assert first.tolist() != second.tolist()


def outlook(errors: list[float], photo_count: int, *, seed: int) -> Outlook:
    """Returns what is said of photos that are answered wrongly so often."""
    random = np.random.default_rng(seed)
    hardness = random.uniform(size=photo_count)
    rights = []
    for error, draws in zip(errors, (3, 3, 3, 1), strict=True):
        # Hard photos are hard at every size.
        noise = random.normal(scale=0.05, size=[draws, photo_count])
        rights.append(hardness + noise > error)
    folds = np.arange(photo_count) % 5
    sizes = [100.0, 200, 400, 800]
    return outlook_of(sizes, rights, folds, np.arange(photo_count), np.random.default_rng(seed))


def test_the_interval_holds_what_is_true() -> None:
    sizes = np.array([100.0, 200, 400, 800])
    errors = 0.05 + 0.1 * (sizes / 800) ** -0.5
    gain = 0.1 * (1 - 2**-0.5)
    held = [outlook(list(errors), 1000, seed=seed) for seed in range(20)]
    assert sum(one.low <= gain <= one.high for one in held) >= 17
    assert all(one.photo_count == 1600 for one in held)
    assert np.mean([one.gain for one in held]) == pytest.approx(gain, abs=0.01)


def test_few_photos_make_it_wide() -> None:
    few, many = (outlook([0.4, 0.3, 0.25, 0.2], count, seed=0) for count in (40, 4000))
    assert few.high - few.low > 2 * (many.high - many.low)
    assert many.can_be_told
    assert not few.can_be_told


def test_equal_photos_are_drawn_anew_together() -> None:
    random = np.random.default_rng(0)
    single = random.uniform(size=200)
    rights = [single[np.newaxis] > error for error in (0.4, 0.3, 0.25, 0.2)]
    sizes, folds = [100.0, 200, 400, 800], np.arange(200) % 5
    alone = outlook_of(sizes, rights, folds, np.arange(200), np.random.default_rng(0))
    copied = [np.repeat(right, 10, axis=1) for right in rights]
    groups, of_copies = np.repeat(np.arange(200), 10), np.repeat(folds, 10)
    together = outlook_of(sizes, copied, of_copies, groups, np.random.default_rng(0))
    each = outlook_of(sizes, copied, of_copies, np.arange(2000), np.random.default_rng(0))
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)
    assert each.high - each.low < 0.6 * (alone.high - alone.low)
