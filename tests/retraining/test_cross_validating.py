from typing import Any

import numpy as np
import pytest

from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.foundation.settings import part_of
from image_retraining.reports.findings import CrossValidated
from image_retraining.reports.log import Log
from image_retraining.retraining import cross_validating
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.cross_validating import (
    CrossValidationSettings,
    judge_by_all,
    learn_from_fewer,
    pool,
)

LABELS = ("daisy", "玫\n瑰")


def crossing(**settings: Any) -> CrossValidationSettings:
    return part_of(RetrainConfig(**settings), CrossValidationSettings)


def sets_of(**counts: tuple[int, int]) -> dict[Split, FeatureSet]:
    """Returns so many photos of both classes in each split, well apart."""
    random, sets = np.random.default_rng(0), {}
    for split in Split:
        label_ids = np.repeat([0, 1], counts[split.value]).astype(np.int32)
        features = 6 * np.eye(2, 60)[label_ids] + random.normal(size=[len(label_ids), 60])
        paths = tuple(f"{split.value}{number}.jpg" for number in range(len(label_ids)))
        digests = tuple(map(str.encode, paths))
        sets[split] = FeatureSet(features.astype(np.float32), label_ids, paths, digests)
    return sets


def judged(sets: dict[Split, FeatureSet], **settings: Any) -> CrossValidated | None:
    how = crossing(**settings)
    return judge_by_all(pool(sets, LABELS, how), sets, LABELS, how)


ENOUGH, FEW = (5, 6), (6, 4)


@pytest.mark.parametrize(
    ("validation", "testing", "asked", "folds"),
    [
        (ENOUGH, ENOUGH, 0, 0),
        (FEW, ENOUGH, 0, 5),
        (ENOUGH, FEW, 0, 5),
        ((0, 0), (0, 0), 0, 5),
        (FEW, FEW, -1, 0),
        (ENOUGH, ENOUGH, 7, 7),
        (FEW, FEW, 2, 2),
    ],
)
def test_all_photos_judge_where_it_is_asked_for_or_needed(
    validation: tuple[int, int], testing: tuple[int, int], asked: int, folds: int
) -> None:
    sets = sets_of(training=(20, 20), validation=validation, testing=testing)
    found = judged(sets, cross_validate=asked)
    assert bool(found) == bool(folds)
    if found:
        assert found.found.fold_count == folds
        assert found.found.metrics.count == sum(map(len, sets.values()))
        assert found.few_to_judge_by == (asked == 0)


def test_of_many_photos_they_judge_only_if_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_validating, "_MOST_UNASKED", 50)
    sets = sets_of(training=(20, 20), validation=FEW, testing=(1, 0))
    assert judged(sets) is None
    assert judged(sets, cross_validate=3)


def test_more_folds_than_photos_are_refused_before_the_training() -> None:
    sets = sets_of(training=(20, 4), validation=(2, 2), testing=(2, 0))
    with pytest.raises(SettingError, match=r"Got 7, and 6 in 玫\\n瑰"):
        pool(sets, LABELS, crossing(cross_validate=7))
    assert pool(sets, LABELS, crossing(cross_validate=6))


def test_a_learning_curve_is_drawn_if_it_is_asked_for() -> None:
    sets = sets_of(training=(40, 40), validation=ENOUGH, testing=ENOUGH)
    for settings in ({"learning_curve": True}, {"learning_curve": True, "cross_validate": -1}):
        how = crossing(**settings)
        photos = pool(sets, LABELS, how)
        crossed = judge_by_all(photos, sets, LABELS, how)
        assert crossed
        assert not crossed.few_to_judge_by
        curve = learn_from_fewer(photos, LABELS, crossed, how)
        assert curve
        assert (curve.fold_count, curve.judged_count) == (5, 102)
    assert learn_from_fewer(photos, LABELS, crossed, crossing()) is None


def test_heads_are_solved_as_the_training_is_asked_to() -> None:
    plain = crossing().head_wishes(LABELS)
    assert (plain.l2, plain.label_smoothing) == (None, 0)
    ids = np.array([0, 0, 0, 1], np.int32)
    assert plain.weigh(ids).tolist() == pytest.approx([2 / 3, 2])
    other = crossing(class_weight="none", l2=0.25, label_smoothing=0.1).head_wishes(LABELS)
    assert (other.l2, other.label_smoothing) == (0.25, 0.1)
    assert other.weigh(ids).tolist() == [1, 1]
    # No regularisation is for steps; a solved head would have no end.
    assert crossing(l2=0.0).head_wishes(LABELS).l2 is None


def test_the_log_says_what_people_look_for(logged: pytest.LogCaptureFixture) -> None:
    sets = sets_of(training=(20, 19), validation=FEW, testing=(1, 0))
    found = judged(sets)
    assert found
    assert found.found.metrics.accuracy == 1
    Log().tell(found)
    # Wilson's interval of 50 of 50 begins at 50 / (50 + 1.96²).
    assert logged.messages == [
        (
            "Validation or testing photos of some class are fewer than 5, so that all photos are "
            "judged, too (--cross_validate):"
        ),
        "Cross-validated accuracy = 100.0% (N=50)",
        "95% interval of the cross-validated accuracy: 92.9% to 100.0%",
        (
            "Cross-validated in 5 folds: each photo is answered by a head of lbfgs solved on the "
            "other folds, its --l2 chosen there"
        ),
        "Label   cross-validated recall     95% interval  support",
        "daisy                   100.0%  87.5% to 100.0%       27",
        r"玫\n瑰                  100.0%  85.7% to 100.0%       23",
    ]
