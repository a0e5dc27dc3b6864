"""Cross-validation, against scikit-learn's heads on the same folds."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from image_retraining.evaluation.cross_validation import (
    CrossValidation,
    check_fold_count,
    cross_validate,
)
from image_retraining.evaluation.folds import deal
from image_retraining.evaluation.pool import Pool, pool_of
from image_retraining.evaluation.solved_head import HeadWishes
from image_retraining.foundation import large_arrays, memory
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.head.class_weights import class_weights
from image_retraining.photos.splits import object_of

LABELS = ("a", "b", "玫瑰")


def photos_of(*counts: int, seed: int = 0, split: str = "", apart: float = 2.0) -> FeatureSet:
    """Returns vectors of 12 features; the classes overlap."""
    label_ids = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    random = np.random.default_rng(seed)
    features = apart * np.eye(len(counts), 12)[label_ids] + random.normal(size=[len(label_ids), 12])
    paths = tuple(f"{split}{number}.jpg" for number in range(len(label_ids)))
    return FeatureSet(features.astype(np.float32), label_ids, paths, tuple(map(str.encode, paths)))


def sets_of(*counts: int, apart: float = 2.0) -> dict[Split, FeatureSet]:
    return {
        split: photos_of(*counts, seed=seed, split=split.value, apart=apart)
        for seed, split in enumerate(Split)
    }


def wishes(choice: str = "balanced", **more: Any) -> HeadWishes:
    return HeadWishes(weigh=partial(class_weights, choice, LABELS), **more)


def crossed(pool: Pool, how: HeadWishes, *, folds: int = 5, seed: int = 0) -> CrossValidation:
    found = cross_validate(pool, LABELS, how, fold_count=folds, seed=seed)
    assert found
    return found


def fitted(pool: Pool, rows: Any, l2: float, *, balanced: bool) -> Any:
    """Returns scikit-learn's head: its C is 1 / (l2 * sum of the weights)."""
    label_ids = pool.label_ids[rows]
    counts = np.bincount(label_ids, minlength=3)
    weights = len(rows) / (3 * counts[label_ids]) if balanced else np.ones(len(rows))
    model = LogisticRegression(C=1 / (l2 * weights.sum()), tol=1e-8, max_iter=5000)
    return model.fit(pool.vectors(rows).astype(float), label_ids, weights)


@pytest.mark.parametrize("choice", ["balanced", "none"])
def test_each_photo_is_answered_by_the_head_of_the_other_folds(choice: str) -> None:
    pool = pool_of(sets_of(30, 14, 20))
    found = crossed(pool, wishes(choice, l2=0.03))
    assert found.paths == pool.paths
    assert set(found.folds) == set(range(5))
    assert found.strengths == (0.03,) * 5
    for fold in range(5):
        asked, learnt = np.flatnonzero(found.folds == fold), np.flatnonzero(found.folds != fold)
        model = fitted(pool, learnt, 0.03, balanced=choice == "balanced")
        expected = model.predict_proba(pool.vectors(asked).astype(float))
        np.testing.assert_allclose(found.probabilities[asked], expected, atol=2e-3)
        # It would show if photos had been learnt from.
        everything = fitted(pool, np.arange(len(pool)), 0.03, balanced=choice == "balanced")
        wrong = everything.predict_proba(pool.vectors(asked).astype(float))
        assert np.abs(wrong - expected).max() > 0.02
    right = found.predicted_ids == pool.label_ids
    assert found.metrics.accuracy == right.mean()
    assert found.metrics.count == len(pool) == 192
    for label_id in range(3):
        assert found.metrics.recall[label_id] == right[pool.label_ids == label_id].mean()


def test_the_strength_is_chosen_on_the_other_folds() -> None:
    pool = pool_of(sets_of(30, 14, 20))
    found = crossed(pool, wishes("none"), seed=3)
    strengths = [10 ** (-place / 2) for place in range(13)]
    for fold in range(5):
        rows = np.flatnonzero(found.folds != fold)
        parts = deal(pool.label_ids[rows], pool.groups[rows], 3, seed=3)
        losses = []
        for l2 in strengths[:8]:
            probabilities = np.empty([len(rows), 3])
            for part in range(3):
                model = fitted(pool, rows[parts != part], l2, balanced=False)
                asked = pool.vectors(rows[parts == part]).astype(float)
                probabilities[parts == part] = model.predict_proba(asked)
            losses.append(log_loss(pool.label_ids[rows], probabilities))
        assert found.strengths[fold] == strengths[int(np.argmin(losses))]
    assert len(set(strengths[:8]) & set(found.strengths)) >= 1


def test_random_labels_cannot_be_told() -> None:
    """No choice on the way has seen the answers."""
    pool = pool_of(sets_of(60, 60, 60, apart=0))
    found = crossed(pool, wishes("none"))
    low, high = found.metrics.accuracy_interval
    assert low < 1 / 3 < high


@pytest.mark.parametrize("kind", ["digest", "object", "moment"])
def test_what_belongs_together_never_straddles_folds(kind: str) -> None:
    """Photos come in pairs of random labels: one would tell the other's."""
    random = np.random.default_rng(1)
    single = photos_of(30, 30, 30, apart=0)
    rows = np.repeat(np.arange(90), 2)
    label_ids = random.permutation(single.label_ids)[rows]
    rows, label_ids = rows[np.argsort(label_ids, kind="stable")], np.sort(label_ids)
    noise = {"digest": 0.5, "object": 0.5, "moment": 0.1}[kind]
    features = single.features[rows] + noise * random.normal(size=[180, 12]).astype(np.float32)
    mark = "_nohash_" if kind == "object" else "-"
    paths = tuple(f"{row}{mark}{place}.jpg" for place, row in enumerate(rows))
    digests = tuple(path.encode() for path in paths)
    if kind == "digest":
        # Equal photos of two labels: of one label, one of them would be left out.
        digests = tuple(str(row).encode() for row in rows)
        label_ids = np.sort(np.r_[label_ids[:90], (label_ids[:90] + 1) % 3]).astype(np.int32)
    photos = FeatureSet(features, label_ids.astype(np.int32), paths, digests)
    nobody = photos.rows([])
    sets = {Split.TRAINING: photos, Split.VALIDATION: nobody, Split.TESTING: nobody}
    pool = pool_of(sets, object_of=object_of)
    found = crossed(pool, wishes(l2=0.001))
    owner = np.array([int(path.partition(mark)[0]) for path in found.paths])
    together = [len(set(found.folds[owner == row])) for row in range(90)]
    assert max(together) == 1


def test_equal_photos_of_one_label_count_once() -> None:
    sets = sets_of(10, 10, 10)
    copies = replace(sets[Split.TESTING], digests=sets[Split.TRAINING].digests)
    pool = pool_of({**sets, Split.TESTING: copies})
    assert len(pool) == 60
    assert not any(path.startswith("testing") for path in pool.paths)
    np.testing.assert_array_equal(
        pool.vectors(np.array([31, 2])),
        np.stack([sets[Split.VALIDATION].features[1], sets[Split.TRAINING].features[2]]),
    )
    # Of another label it is another photo, and goes where the first one goes.
    contradicting = replace(copies, label_ids=((copies.label_ids + 1) % 3).astype(np.int32))
    both = pool_of({**sets, Split.TESTING: contradicting})
    assert len(both) == 90
    assert len(np.unique(both.groups)) <= 60


def test_photos_of_unknown_content_are_all_there() -> None:
    sets = {split: replace(photos, digests=()) for split, photos in sets_of(5, 5, 5).items()}
    assert len(pool_of(sets)) == 45


# Photos of each class in each of three splits; groups are single photos.
@pytest.mark.parametrize(
    ("counts", "folds", "asked"), [((1, 1, 1), 5, 9), ((20, 1, 2), 10, 69), ((1, 20, 20), 2, 123)]
)
def test_small_classes_are_no_obstacle(counts: tuple[int, ...], folds: int, asked: int) -> None:
    found = crossed(pool_of(sets_of(*counts)), wishes(), folds=folds)
    assert len(found.paths) == asked
    assert found.fold_count == min(folds, 3 * max(counts))
    assert np.isfinite(found.probabilities).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)


def only(photos: FeatureSet) -> Pool:
    nobody = photos.rows([])
    return pool_of({Split.TRAINING: photos, Split.VALIDATION: nobody, Split.TESTING: nobody})


def test_a_class_of_a_single_photo_is_left_out() -> None:
    found = crossed(only(photos_of(20, 20, 1)), wishes())
    assert found.left_out == ("玫瑰",)
    assert found.metrics.support.tolist() == [20, 20, 0]
    assert found.probabilities.shape == (40, 3)


@pytest.mark.parametrize("counts", [(1, 1, 1), (20, 1, 0), (20, 0, 0)])
def test_less_than_two_classes_cannot_be_told_apart(counts: tuple[int, ...]) -> None:
    pool = only(photos_of(*counts))
    assert cross_validate(pool, LABELS, wishes(), fold_count=5, seed=0) is None


@pytest.mark.parametrize(("counts", "folds"), [((9, 5, 7), 5), ((2, 2, 2), 2)])
def test_so_many_folds_can_be_asked_for(counts: tuple[int, ...], folds: int) -> None:
    check_fold_count(only(photos_of(*counts)), LABELS, folds)


@pytest.mark.parametrize(
    ("counts", "folds", "message"),
    [
        ((9, 5, 7), 6, r"at most the number .* Got 6, and 5 in b\. Lower it, or add photos\."),
        ((9, 5, 1), 2, r"Got 2, and 1 in 玫瑰\."),
        ((9, 5, 0), 2, r"Got 2, and 0 in 玫瑰\."),
    ],
)
def test_more_folds_than_photos_are_refused(
    counts: tuple[int, ...], folds: int, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        check_fold_count(only(photos_of(*counts)), LABELS, folds)


def test_copies_of_vectors_lie_on_disk_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    sets = sets_of(30, 14, 20)
    wanted = crossed(pool_of(sets), wishes())
    assert "lie in a file" not in logged.text
    monkeypatch.setattr(memory, "available", lambda: 0)
    # Blocks that do not come out even.
    monkeypatch.setattr(large_arrays, "_ROWS_AT_ONCE", 7)
    found = crossed(pool_of(sets, folder=tmp_path), wishes())
    assert found.probabilities.tobytes() == wanted.probabilities.tobytes()
    assert found.strengths == wanted.strengths
    assert f"they lie in a file in {tmp_path} for" in logged.text
    assert list(tmp_path.iterdir()) == []
