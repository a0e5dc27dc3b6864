from typing import Any

import numpy as np

from image_retraining.foundation.records import FeatureSet, Head, Split
from image_retraining.foundation.settings import part_of
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.evaluating import JudgingSettings, judge


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
