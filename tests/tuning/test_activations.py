"""Activations as they come back from the cache."""

import numpy as np
import pytest

from image_retraining.cache.vectors import IN_HALVES, BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError, SettingError
from image_retraining.foundation.records import FeatureSet, Floats
from image_retraining.photos.distortions import NO_VIEWS
from image_retraining.tuning.activations import Activations

RECIPE = Recipe("ab" * 32, 8, 8, pixels=1, precision=f"float32{IN_HALVES}")
DIGESTS = tuple(bytes([number]) * 32 for number in range(4))
VALUES = np.random.default_rng(1).normal(size=[4, 12]).astype(np.float32)


def activations(values: Floats) -> Activations:
    cache = BottleneckCache(None)
    cache.store(RECIPE, dict(zip(DIGESTS[: len(values)], values, strict=True)))
    paths = tuple(f"{number}.jpg" for number in range(4))
    photos = FeatureSet(np.empty([4, 0], np.float32), np.zeros(4, np.int32), paths, DIGESTS)
    return Activations(photos, NO_VIEWS, cache, RECIPE, (2, 2, 3))


def test_they_come_in_the_order_that_is_asked_for_in_half_the_precision() -> None:
    rows = np.array([2, 0, 2], np.int32)
    found = activations(VALUES).rows(rows, np.zeros_like(rows))
    assert found.dtype == np.float32
    assert found.tolist() == VALUES[rows].astype(np.float16).reshape([3, 2, 2, 3]).tolist()


def test_what_is_beyond_float16_is_told() -> None:
    found = activations(VALUES * np.float32(1e6))
    with pytest.raises(SettingError, match=r"activations fit into float16.* --fine_tune=all"):
        found.rows(np.array([1], np.int32), np.array([0], np.int32))


def test_what_has_left_the_cache_is_told() -> None:
    with pytest.raises(CacheError, match=r"without those of 3\.jpg\. Run again with --resume"):
        activations(VALUES[:3]).rows(np.array([0, 3], np.int32), np.array([0, 0], np.int32))
