from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_vectors import RECIPE, SIZE, digest, execute, numbered

from image_retraining.cache.other_modules import of_other_modules
from image_retraining.cache.vectors import FINE_TUNED, IN_HALVES, BottleneckCache

PHOTOS = [digest(number) for number in range(700)]


def test_other_modules_that_have_all_photos_are_found(tmp_path: Path) -> None:
    own, all_of_them, some, views = (
        replace(RECIPE, fingerprint=name * 32, view=view)
        for name, view in (("aa", ""), ("bb", ""), ("cc", ""), ("dd", "flip view=1"))
    )
    with BottleneckCache(str(tmp_path)) as cache:
        vectors = numbered(range(700))
        for recipe in (own, all_of_them, views):
            cache.store(recipe, vectors)
        cache.store(some, numbered(range(699)))
        # Another size, and the same module once more.
        long = {photo: np.r_[vector, vector] for photo, vector in vectors.items()}
        cache.store(replace(all_of_them, precision="bfloat16"), vectors)
        cache.store(replace(RECIPE, fingerprint="ee" * 32), long)
        found = of_other_modules(cache, own.fingerprint, [*PHOTOS, PHOTOS[0]])
        assert sorted(len(one[PHOTOS[3]]) for one in found) == [SIZE, 2 * SIZE]
        assert all(set(one) == set(PHOTOS) for one in found)
        assert of_other_modules(cache, own.fingerprint, []) == []
        assert of_other_modules(cache, own.fingerprint, [digest(9999)]) == []


def test_what_is_of_a_cut_or_of_a_tuned_network_is_no_module(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    halves, tuned = (
        replace(RECIPE, fingerprint=name * 32, precision=RECIPE.precision + kind)
        for name, kind in (("bb", IN_HALVES), ("cc", FINE_TUNED))
    )
    with BottleneckCache(str(tmp_path)) as cache:
        for recipe in (halves, tuned):
            cache.store(recipe, numbered(range(700)))
        assert of_other_modules(cache, "aa" * 32, PHOTOS) == []
        # Once, activations were taken for damaged vectors, and deleted.
        for recipe in (halves, tuned):
            assert len(cache.vectors(recipe, PHOTOS, SIZE)) == 700
    assert not caplog.records


def test_the_two_that_were_used_last_are_taken(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        for number in range(4):
            vectors = {photo: np.full([number + 1], 1, np.float32) for photo in PHOTOS[:5]}
            cache.store(replace(RECIPE, fingerprint=f"{number:064x}"), vectors)
    for number, day in enumerate((1, 9, 5, 7)):
        execute(
            tmp_path,
            "UPDATE bottlenecks SET used_day = ? WHERE recipe_id = "
            "(SELECT id FROM recipes WHERE fingerprint = ?)",
            *(day, f"{number:064x}"),
        )
    with BottleneckCache(str(tmp_path)) as cache:
        found = of_other_modules(cache, "own", PHOTOS[:5])
        assert [len(one[PHOTOS[0]]) for one in found] == [2, 4]
