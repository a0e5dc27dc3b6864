import numpy as np
import pytest

from image_retraining.evaluation import near_cells, neighbours
from image_retraining.evaluation.neighbours import Neighbours, moments, nearest, side_by_side
from image_retraining.foundation.records import Floats


def vectors(count: int, size: int, seed: int = 0) -> Floats:
    found = np.random.default_rng(seed).standard_normal([count, size]).astype(np.float32)
    found -= found.mean(axis=0)
    return found


@pytest.mark.parametrize("cells", [8_000_000, 100])
def test_the_slow_way_finds_the_same_neighbours(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_CELLS_AT_ONCE", cells)
    some, groups = vectors(60, 30), np.arange(60) // 3
    found = nearest(some, 5, groups)
    unit = some / np.linalg.norm(some, axis=1, keepdims=True)
    for place in range(60):
        cosines = {o: float(unit[place] @ unit[o]) for o in range(60) if o // 3 != place // 3}
        expected = sorted(cosines, key=lambda other: -cosines[other])[:5]
        assert found.places[place].tolist() == expected
        np.testing.assert_allclose(found.cosines[place], [cosines[o] for o in expected], atol=1e-5)


def test_the_slow_way_finds_the_same_of_many() -> None:
    some, groups = vectors(1000, 6), np.random.default_rng(1).integers(300, size=1000)
    found = nearest(some, 4, groups)
    unit = some / np.linalg.norm(some, axis=1, keepdims=True)
    cosines = unit @ unit.T
    cosines[groups[:, np.newaxis] == groups] = -2
    expected = -np.sort(-cosines, axis=1)[:, :4]
    np.testing.assert_allclose(found.cosines, expected, atol=1e-5)
    own = np.take_along_axis(cosines, found.places, axis=1)
    np.testing.assert_allclose(own, expected, atol=1e-5)


def test_of_very_many_nearly_all_are_found_around_each(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 5000 in 300 bunches, as photos are of what people take photos of.
    random = np.random.default_rng(3)
    bunches = random.integers(300, size=5000)
    some = vectors(300, 40, 4)[bunches] + 0.5 * vectors(5000, 40, 5)
    groups = random.integers(4000, size=5000)
    everywhere = nearest(some, 5, groups)
    monkeypatch.setattr(near_cells, "_IN_A_CELL", 50)
    monkeypatch.setattr(near_cells, "_CELLS_AROUND", 10)
    found = nearest(some, 5, groups, everywhere_up_to=4999)
    shared = [len(set(a) & set(b)) for a, b in zip(found.places, everywhere.places, strict=True)]
    assert 0.9 < np.mean(shared) / 5 < 1
    assert (groups[found.places] != groups[:, np.newaxis]).all()
    assert (found.places != np.arange(5000)[:, np.newaxis]).all()
    unit = some / np.linalg.norm(some, axis=1, keepdims=True)
    of_found = np.einsum("nd,nkd->nk", unit, unit[found.places])
    np.testing.assert_allclose(found.cosines, of_found, atol=1e-5)
    assert (np.diff(found.cosines, axis=1) <= 0).all()
    again = nearest(some, 5, groups, everywhere_up_to=0)
    assert again.places.tobytes() == found.places.tobytes()


def test_whoever_is_alone_in_its_cells_has_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two bunches of one group each.
    some = np.repeat(np.eye(2, 6, dtype=np.float32), 40, axis=0)
    monkeypatch.setattr(near_cells, "_IN_A_CELL", 20)
    monkeypatch.setattr(near_cells, "_CELLS_AROUND", 1)
    found = nearest(some, 5, np.arange(80) // 40, everywhere_up_to=10)
    assert (found.cosines == -2).all()
    assert found.places.min() >= 0
    assert found.places.max() < 80


def test_few_photos_have_few_neighbours() -> None:
    found = nearest(vectors(3, 4), 10, np.array([0, 0, 1]))
    assert found.places.shape == (3, 3)
    assert (found.cosines > -1.5).sum(axis=1).tolist() == [1, 1, 2]


def test_long_vectors_keep_their_nearest() -> None:
    # Most of the spread is in few directions, as it is of a module.
    some = vectors(400, 600) * (0.98 ** np.arange(600)).astype(np.float32)
    some[:100] = some[100:200] + 0.1 * some[200:300]
    found = nearest(some, 1, np.arange(400))
    assert (found.places[:100, 0] == np.arange(100, 200)).mean() > 0.99


def test_modules_weigh_the_same_side_by_side() -> None:
    one, other = vectors(50, 8, 1) + 3, 1000 * (vectors(50, 300, 2) + 1)
    joined = side_by_side([one, other])
    assert joined.dtype == np.float32
    for part in (joined[:, :8], joined[:, 8:]):
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-5)
        assert np.square(part).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
    # A vector of zeros, or of no numbers, has no place of its own.
    one[0], one[1] = 0, np.nan
    assert np.isfinite(side_by_side([one])).all()


def test_the_nearest_join_first_and_no_group_grows_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 100 photos, of which at most 5 join; 0 to 3 are near 4, and 5 is less so.
    places = np.zeros([100, 1], np.intp)
    cosines = np.full([100, 1], 0.5, np.float32)
    places[[0, 1, 2, 3, 5]], cosines[[0, 1, 2, 3, 5], 0] = 4, [0.9, 0.95, 0.85, 0.99, 0.82]
    found = moments(np.arange(100), Neighbours(places, cosines))
    assert len(set(found[:5].tolist())) == 1
    assert len(set(found.tolist())) == 96
    # Nor does it matter how many pairs are looked at at a time.
    monkeypatch.setattr(neighbours, "_JOINS_AT_ONCE", 2)
    again = moments(np.arange(100), Neighbours(places, cosines))
    assert again.tolist() == found.tolist()
    # Photos that are known to be of one group stay together, however many they are.
    known = moments(np.arange(100) // 20, Neighbours(places, cosines))
    assert len(set(known.tolist())) == 5
