import numpy as np
import pytest

from image_retraining.foundation.records import Split
from image_retraining.photos.strata import stratified

NUMBERED = [f"rose/photo ({number}).jpg" for number in range(1, 26)]


def sizes(splits: dict[str, Split]) -> tuple[int, ...]:
    found = list(splits.values())
    return tuple(found.count(split) for split in Split)


def split_at(paths: list[str], validation: int = 10, testing: int = 10) -> dict[str, Split]:
    return stratified("rose", paths, validation_percentage=validation, testing_percentage=testing)


@pytest.mark.parametrize(
    ("count", "validation", "testing", "expected"),
    [
        (100, 10, 10, (80, 10, 10)),
        (40, 10, 10, (32, 4, 4)),
        (20, 10, 10, (16, 2, 2)),
        (100, 0, 25, (75, 0, 25)),
        (100, 25, 0, (75, 25, 0)),
        (100, 0, 0, (100, 0, 0)),
        (200, 33, 17, (100, 66, 34)),
        # At least one each, where there are enough; the tests before the validation.
        (5, 10, 10, (3, 1, 1)),
        (3, 10, 10, (1, 1, 1)),
        (2, 10, 10, (1, 0, 1)),
        (2, 10, 0, (1, 1, 0)),
        (1, 10, 10, (1, 0, 0)),
        (3, 49, 50, (1, 1, 1)),
    ],
)
def test_a_class_is_cut_at_the_percentages(
    count: int, validation: int, testing: int, expected: tuple[int, int, int]
) -> None:
    for name in ("rose/{}.jpg", "rose/{}/image.jpg", "rose/{}_nohash_1.jpg"):
        paths = [name.format(number) for number in range(count)]
        assert sizes(split_at(paths, validation, testing)) == expected


def test_classes_with_the_same_names_are_cut_in_different_ways() -> None:
    paths = [f"{number:03}.jpg" for number in range(40)]
    tests = {
        frozenset(path for path, split in splits.items() if split is Split.TESTING)
        for label in ("daisy", "rose", "tulip", "lily")
        for splits in [stratified(label, paths, validation_percentage=10, testing_percentage=10)]
    }
    assert len(tests) > 1


def test_the_order_of_the_paths_does_not_matter() -> None:
    shuffled = [NUMBERED[place] for place in np.random.default_rng(1).permutation(len(NUMBERED))]
    assert split_at(shuffled) == split_at(NUMBERED)


def test_the_order_is_that_of_sha1() -> None:
    # As printf 'rose\0a.jpg' | sha1sum gives: 05.. of a, then b, d, c, and d3.. of e.
    splits = split_at(["x/a.jpg", "y/b.jpg", "z/c.jpg", "x/d.jpg", "e.jpg"])
    assert [path for path, split in splits.items() if split is Split.VALIDATION] == ["x/a.jpg"]
    assert [path for path, split in splits.items() if split is Split.TESTING] == ["e.jpg"]


def test_photos_of_one_object_stay_together() -> None:
    paths = [f"plum{number % 10}_nohash_{number}.jpg" for number in range(100)]
    splits = split_at(paths)
    assert sizes(splits) == (80, 10, 10)
    for plum in range(10):
        assert len({splits[path] for path in paths if path.startswith(f"plum{plum}_")}) == 1


def test_a_cut_is_as_near_as_large_groups_let_it_be() -> None:
    paths = [f"plum{number // 30}_nohash_{number}.jpg" for number in range(90)]
    assert sizes(split_at(paths)) == (30, 30, 30)


def test_photos_that_are_added_move_few() -> None:
    # docs/photos.md says how many: 10 photos added to 100 moved 1.3 of them in the mean of 1000
    # draws, at most 6. The split by chance would move a third.
    counts = []
    for seed in range(100):
        numbers = np.random.default_rng(seed).choice(10**6, 110, replace=False)
        names = [f"IMG_{number:06}.jpg" for number in numbers]
        before, after = split_at(names[:100]), split_at(names)
        counts.append(sum(after[name] is not split for name, split in before.items()))
    assert sum(counts) / len(counts) < 2
    assert max(counts) <= 8
