import numpy as np
import pytest

from image_retraining.evaluation.folds import deal, group_counts, groups_by_keys


def test_folds_are_even_over_the_classes() -> None:
    label_ids = np.repeat(np.arange(3), [50, 25, 10]).astype(np.int32)
    folds = deal(label_ids, np.arange(85), 5, seed=0)
    for label_id, count in enumerate((50, 25, 10)):
        dealt = np.bincount(folds[label_ids == label_id], minlength=5)
        assert dealt.tolist() == [count // 5] * 5


@pytest.mark.parametrize("seed", range(5))
def test_no_group_straddles_folds(seed: int) -> None:
    random = np.random.default_rng(seed)
    label_ids = np.sort(random.integers(4, size=300)).astype(np.int32)
    # Groups of all sizes, some of them of several classes.
    groups = random.integers(80, size=300)
    folds = deal(label_ids, groups, 4, seed=seed)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    assert set(folds) == {0, 1, 2, 3}
    assert (np.bincount(folds) > 50).all()


def test_equal_seeds_deal_alike() -> None:
    label_ids = np.repeat(np.arange(2), 50).astype(np.int32)
    one, same, other = (deal(label_ids, np.arange(100), 5, seed=seed) for seed in (7, 7, 2**40))
    assert one.tolist() == same.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("label_ids", "groups"),
    [([0, 0, 1, 1], [0, 0, 0, 0]), ([0, 1], [0, 1]), ([0, 0, 1, 1], [0, 1, 2, 3])],
    ids=["one group", "two photos", "two a class"],
)
def test_what_cannot_be_dealt_is_one_fold(label_ids: list[int], groups: list[int]) -> None:
    folds = deal(np.array(label_ids, np.int32), np.array(groups), 3, seed=0)
    assert folds.tolist() == [0] * len(label_ids)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], 0),
        ([[b"", b""]] * 3, 3),
        ([[b"a", b""], [b"b", b""], [b"a", b""]], 2),
        # The first and the last have nothing in common but the one between them.
        ([[b"a", b"x"], [b"a", b"y"], [b"b", b"y"]], 1),
        # A digest that is as an object is.
        ([[b"a", b"b"], [b"b", b"a"]], 2),
    ],
)
def test_groups_share_a_key(keys: list[list[bytes]], expected: int) -> None:
    assert len(set(groups_by_keys(keys).tolist())) == expected


def test_groups_are_counted_for_each_class() -> None:
    label_ids = np.array([0, 0, 0, 1, 1, 2], np.int32)
    assert group_counts(label_ids, np.array([5, 5, 6, 6, 6, 7]), 4).tolist() == [2, 1, 1, 0]
