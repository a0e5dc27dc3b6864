import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.evaluation import wrong_labels
from image_retraining.foundation.records import FeatureSet, Head, Split
from image_retraining.foundation.settings import part_of
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.evaluating import (
    JudgingSettings,
    judge,
    look_at_labels,
    other_vectors,
    wrong_labels_of,
)


def judging(**settings: Any) -> JudgingSettings:
    return part_of(RetrainConfig(**settings), JudgingSettings)


def photos(count: int) -> FeatureSet:
    label_ids = np.sort(np.arange(count) % 2).astype(np.int32)
    paths = tuple(f"{number}.jpg" for number in range(count))
    return FeatureSet(np.ones([count, 3], np.float32), label_ids, paths)


HEAD = Head(np.zeros([3, 2], np.float32), np.zeros([2], np.float32))


def test_no_photo_is_drawn_twice_for_the_test() -> None:
    # With replacement, 40 draws of 41 would be distinct once in 10^16 times.
    judged = judge(HEAD, {Split.TESTING: photos(41)}, ("a", "b"), judging(test_batch_size=40))
    assert len(judged.paths) == len(set(judged.paths)) == 40
    assert judged.evaluation
    assert len(judged.evaluation.label_ids) == 40


FINGERPRINTS = ("aa" * 32, "bb" * 32)


def wrongly_labelled(names: list[str]) -> dict[Split, FeatureSet]:
    """Returns two classes, well apart, of which the first photo is of the other."""
    count = len(names)
    label_ids = np.sort(np.arange(count) % 2).astype(np.int32)
    random = np.random.default_rng(0)
    features = 6 * np.eye(2, 8)[label_ids] + random.normal(size=[count, 8])
    features[0] = features[-1] + random.normal(size=8)
    paths = tuple(f"photos/{name}" for name in names)
    digests = tuple(hashlib.sha256(path.encode()).digest() for path in paths)
    photos = FeatureSet(features.astype(np.float32), label_ids, paths, digests)
    nobody = photos.rows([])
    return {Split.TRAINING: photos, Split.VALIDATION: nobody, Split.TESTING: nobody}


def test_labels_are_looked_at_by_all_modules_that_the_cache_has(
    logged: pytest.LogCaptureFixture,
) -> None:
    sets = wrongly_labelled([f"{number}.jpg" for number in range(60)])
    photos = sets[Split.TRAINING]
    settings = judging(label_issues_file="issues.csv", label_issues_below=0.5)
    with BottleneckCache(None) as cache:
        recipe = Recipe(FINGERPRINTS[1], 8, 8, pixels=1)
        assert other_vectors(sets, FINGERPRINTS[0], cache) == []
        cache.store(recipe, dict(zip(photos.digests, photos.features[:, :5], strict=True)))
        (vectors,) = others = other_vectors(sets, FINGERPRINTS[0], cache)
        np.testing.assert_array_equal(vectors[photos.digests[7]], photos.features[7, :5])
        # Without digests nobody knows which photos they are.
        blind = {split: replace(one, digests=()) for split, one in sets.items()}
        assert other_vectors(blind, FINGERPRINTS[0], cache) == []
    found = look_at_labels(sets, ("a", "b"), settings, others)
    assert found
    assert [issue.path for issue in found.issues] == ["photos/0.jpg"]
    assert "Looking for labels that look wrong by the vectors of 2 modules" in logged.messages
    assert look_at_labels(sets, ("a", "b"), judging(), others) is None


def test_photos_of_one_object_are_told_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(wrong_labels, "find", lambda *_, object_of, **__: asked.append(object_of))
    wrong_labels_of({}, judging(), [])
    (object_of,) = asked
    assert object_of("x/plum_nohash_1.jpg") == object_of("y/plum_nohash_2.jpg") == b"plum"
    assert object_of("x/plum.jpg") == object_of("x_nohash_/pear.jpg") == b""
