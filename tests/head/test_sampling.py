import math
from typing import Any

import numpy as np
import pytest

from image_retraining.foundation.records import Ints
from image_retraining.head.sampling import Purpose, Sampler, without_replacement


def label_ids(counts: dict[int, int]) -> Ints:
    """Returns ascending label ids, so many of each."""
    return np.repeat(list(counts), list(counts.values())).astype(np.int32)


def test_every_class_comes_as_often_however_large_it_is() -> None:
    labels = label_ids({0: 10, 1: 500, 2: 25})
    drawn = labels[Sampler(labels, seed=0, purpose=Purpose.TRAINING).draw(0, 30_000)]
    deviation = math.sqrt(1 / 3 * 2 / 3 / 30_000)
    for label_id in (0, 1, 2):
        assert np.mean(drawn == label_id) == pytest.approx(1 / 3, abs=3 * deviation)


def test_classes_come_as_often_over_many_small_draws_too() -> None:
    labels = label_ids({0: 1, 1: 50})
    sampler = Sampler(labels, seed=0, purpose=Purpose.TRAINING)
    drawn = np.concatenate([labels[sampler.draw(number, 3)] for number in range(3000)])
    assert np.mean(drawn == 0) == pytest.approx(1 / 2, abs=3 * math.sqrt(1 / 4 / 9000))


def test_every_photo_of_a_class_comes_as_often() -> None:
    labels = label_ids({0: 7, 1: 100, 2: 13})
    drawn = Sampler(labels, seed=0, purpose=Purpose.TRAINING).draw(0, 60_000)
    for label_id in (0, 1, 2):
        (photos,) = np.nonzero(labels == label_id)
        times = np.array([np.count_nonzero(drawn == photo) for photo in photos])
        # Pearson's statistic of even shares: mean n - 1, variance 2 (n - 1) for n photos.
        statistic = np.sum((times - times.mean()) ** 2) / times.mean()
        freedom = len(photos) - 1
        assert statistic < freedom + 3 * math.sqrt(2 * freedom)


def test_photos_are_put_back() -> None:
    drawn = Sampler(label_ids({0: 2, 1: 1}), seed=0, purpose=Purpose.TRAINING).draw(0, 100)
    assert drawn.shape == (100,)
    assert set(drawn.tolist()) == {0, 1, 2}


def test_draws_are_not_the_same_photos_in_turn() -> None:
    drawn = Sampler(label_ids({0: 50, 1: 50}), seed=0, purpose=Purpose.TRAINING).draw(0, 100)
    # 100 of 100 even draws leave out 37 photos on average, give or take 3.
    assert len(set(drawn.tolist())) < 80


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"seed": 6},
        {"purpose": Purpose.TESTING},
        {"number": 8},
        {"seed": 1, "purpose": Purpose.VIEWS},
        {"purpose": Purpose.TRAINING, "number": 1},
        {"seed": 4, "number": 8},
    ],
    ids=str,
)
def test_a_draw_depends_on_seed_purpose_and_number(change: dict[str, Any]) -> None:
    labels = label_ids({0: 40, 1: 60})

    def draw(*, seed: int = 5, purpose: Purpose = Purpose.VALIDATION, number: int = 7) -> Any:
        return Sampler(labels, seed=seed, purpose=purpose).draw(number, 50).tolist()

    assert (draw() == draw(**change)) == (not change)


def test_a_draw_does_not_depend_on_the_draws_before_it() -> None:
    labels = label_ids({0: 40, 1: 60})
    used = Sampler(labels, seed=5, purpose=Purpose.VALIDATION)
    for number in (3, 0, 9):
        used.draw(number, 20)
    fresh = Sampler(labels, seed=5, purpose=Purpose.VALIDATION)
    assert used.draw(7, 50).tolist() == fresh.draw(7, 50).tolist()


@pytest.mark.parametrize(
    "counts", [{0: 3}, {4: 1}, {2: 5, 3: 1, 9: 30}, {0: 1, 1000: 1}, {1: 2, 5: 2}], ids=str
)
def test_classes_without_photos_are_never_drawn(counts: dict[int, int]) -> None:
    labels = label_ids(counts)
    drawn = Sampler(labels, seed=0, purpose=Purpose.TRAINING).draw(0, 3000)
    assert np.issubdtype(drawn.dtype, np.integer)
    assert set(drawn.tolist()) == set(range(len(labels)))
    for label_id in counts:
        share = np.mean(labels[drawn] == label_id)
        assert share == pytest.approx(1 / len(counts), abs=3 * math.sqrt(1 / 4 / 3000))


@pytest.mark.parametrize("seed", [0, 2**31, 2**63, 2**70])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    labels = label_ids({0: 40, 1: 60})
    drawn = Sampler(labels, seed=seed, purpose=Purpose.TRAINING).draw(0, 50)
    assert (
        drawn.tolist()
        != Sampler(labels, seed=seed + 1, purpose=Purpose.TRAINING).draw(0, 50).tolist()
    )


def test_without_replacement_no_photo_comes_twice_and_each_as_often() -> None:
    draws = [without_replacement(10, 7, seed=seed, purpose=Purpose.TESTING) for seed in range(2000)]
    assert all(np.diff(drawn).min() > 0 for drawn in draws)
    shares = np.bincount(np.concatenate(draws), minlength=10) / len(draws)
    np.testing.assert_allclose(shares, 0.7, atol=4 * math.sqrt(0.7 * 0.3 / 2000))
    again = without_replacement(10, 7, seed=3, purpose=Purpose.TESTING)
    assert again.tolist() == draws[3].tolist()
    assert without_replacement(3, 3, seed=0, purpose=Purpose.TESTING).tolist() == [0, 1, 2]
