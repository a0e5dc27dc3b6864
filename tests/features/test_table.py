import hashlib
from typing import Any

import numpy as np
import pytest

from image_retraining.features.table import FeatureTable
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import ImageRecord, Split, Unreadable

SIZE = 3
# Of each photo its label and its split; sorted by label, as a catalog is.
PHOTOS = [
    (0, Split.TRAINING),
    (0, Split.TESTING),
    (0, Split.TRAINING),
    (1, Split.VALIDATION),
    (1, Split.TRAINING),
    (2, Split.TESTING),
]


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def row(number: int) -> list[float]:
    """Returns a vector that no other photo has; float32 holds it exactly."""
    return [number, number + 0.5, -number]


def vectors(*numbers: int) -> Any:
    return np.array([row(number) for number in numbers], np.float32).reshape(-1, SIZE)


def table_of(photos: list[tuple[int, Split]], *, fail_on_bad_image: bool = False) -> FeatureTable:
    records = [
        ImageRecord(f"photos/{number}.png", label_id, split)
        for number, (label_id, split) in enumerate(photos)
    ]
    return FeatureTable(records, SIZE, fail_on_bad_image=fail_on_bad_image)


@pytest.fixture
def table() -> FeatureTable:
    return table_of(PHOTOS)


def take(table: FeatureTable, *numbers: int) -> None:
    """Gives photos the vectors of their numbers, as if computed."""
    table.take_computed(list(numbers), vectors(*numbers))


def features(table: FeatureTable) -> dict[str, list[float]]:
    """Returns path → vector, over all splits."""
    return {
        path: vector
        for part in table.extraction().sets.values()
        for path, vector in zip(part.paths, part.features.tolist(), strict=True)
    }


def test_at_first_all_vectors_are_missing(table: FeatureTable) -> None:
    assert table.missing() == [0, 1, 2, 3, 4, 5]
    assert (table.done_count, table.computed_count, table.copied_count) == (0, 0, 0)
    assert table.unreadable == {}


def test_rows_filled_in_any_order_come_out_in_the_order_of_the_catalog(
    table: FeatureTable,
) -> None:
    take(table, 4, 1)
    take(table, 5)
    take(table, 3, 2, 0)
    extraction = table.extraction()
    expected: dict[Split, tuple[list[int], list[int]]] = {
        Split.TRAINING: ([0, 2, 4], [0, 0, 1]),
        Split.VALIDATION: ([3], [1]),
        Split.TESTING: ([1, 5], [0, 2]),
    }
    assert set(extraction.sets) == set(expected)
    for split, (numbers, label_ids) in expected.items():
        part = extraction.sets[split]
        assert part.paths == tuple(f"photos/{number}.png" for number in numbers)
        assert part.features.tolist() == [row(number) for number in numbers]
        assert part.features.dtype == np.float32
        assert part.label_ids.tolist() == label_ids
        assert part.label_ids.dtype == np.int32
    assert extraction.unreadable == ()


def test_what_is_missing_and_what_is_done_make_up_the_catalog(table: FeatureTable) -> None:
    take(table, 5, 0)
    assert table.missing() == [1, 2, 3, 4]
    assert table.done_count == 2
    table.take_cached({3: digest(3)}, {digest(3): vectors(3)[0]})
    assert table.missing() == [1, 2, 4]
    assert table.done_count == 3


def test_what_is_left_out_or_a_copy_is_not_missing(table: FeatureTable) -> None:
    take(table, 0)
    table.note_unreadable(4, "no image")
    table.defer_copy(1, digest(1), "")
    assert table.missing() == [1, 2, 3, 5]
    assert table.missing_count == 4
    table.defer_copy(5, digest(1), "")
    assert table.missing() == [1, 2, 3]
    assert table.missing_count == 3
    assert table.done_count == 1


def test_a_copy_is_of_one_view() -> None:
    records = [ImageRecord(f"{number}.png", 0, Split.TRAINING) for number in range(2)]
    table = FeatureTable(records, SIZE, view_count=2, fail_on_bad_image=False)
    # Rows 0 and 1 are the photos; 2 and 3 are views of the first, 4 and 5 of the second.
    names = ["", "", "view 1", "view 2", "view 1", "view 2"]
    copies = [table.defer_copy(n, digest(7), names[n]) for n in (0, 2, 3, 1, 4, 5)]
    assert copies == [False] * 3 + [True] * 3
    take(table, 0, 2, 3)
    table.share_with_copies()
    (views,) = [part.views for part in table.extraction().sets.values() if part.views is not None]
    assert views.tolist() == [[row(2), row(3)]] * 2


def test_views_that_look_alike_are_copies() -> None:
    table = FeatureTable(
        [ImageRecord("0.png", 0, Split.TRAINING)], SIZE, view_count=3, fail_on_bad_image=False
    )
    names = ["", "mirrored", "", "mirrored"]
    assert [table.defer_copy(n, digest(7), names[n]) for n in range(4)] == [False] * 2 + [True] * 2
    take(table, 0, 1)
    table.share_with_copies()
    (views,) = [part.views for part in table.extraction().sets.values() if part.views is not None]
    assert views.tolist() == [[row(1), row(0), row(1)]]


def test_no_view_of_a_photo_that_is_left_out_is_missing() -> None:
    records = [ImageRecord(f"{number}.png", 0, Split.TRAINING) for number in range(2)]
    table = FeatureTable(records, SIZE, view_count=2, fail_on_bad_image=False)
    table.note_unreadable(0, "no image")
    assert table.missing() == [1, 4, 5]


def test_only_computed_vectors_count_as_computed(table: FeatureTable) -> None:
    table.take_cached({0: digest(0)}, {digest(0): vectors(0)[0]})
    table.defer_copy(1, digest(1), "")
    take(table, 1, 2)
    table.defer_copy(3, digest(1), "")
    table.note_unreadable(4, "no image")
    table.share_with_copies()
    assert (table.done_count, table.computed_count, table.copied_count) == (4, 2, 1)


def test_cached_vectors_are_taken_by_content(table: FeatureTable) -> None:
    # Photos 1 and 4 have one content, 2 has none of the vectors, and 9 is nobody's content.
    wanted = {1: digest(7), 2: digest(8), 4: digest(7), 5: digest(6)}
    cached = {digest(6): vectors(6)[0], digest(7): vectors(7)[0], digest(9): vectors(9)[0]}
    assert sorted(table.take_cached(wanted, cached)) == [1, 4, 5]
    assert table.missing() == [0, 2, 3]
    assert features(table) == {
        "photos/1.png": row(7),
        "photos/4.png": row(7),
        "photos/5.png": row(6),
    }


@pytest.mark.parametrize("cached", [{}, {digest(9): vectors(9)[0]}], ids=["none", "others"])
def test_nothing_is_taken_where_nothing_fits(table: FeatureTable, cached: dict[bytes, Any]) -> None:
    assert table.take_cached({0: digest(0), 3: digest(3)}, cached) == []
    assert table.take_cached({}, cached) == []
    assert table.done_count == 0


def test_later_changes_of_what_was_handed_in_change_nothing(table: FeatureTable) -> None:
    computed, cached = vectors(0), vectors(1)[0]
    table.take_computed([0], computed)
    table.take_cached({1: digest(1)}, {digest(1): cached})
    computed[:] = cached[:] = 99
    assert features(table) == {"photos/0.png": row(0), "photos/1.png": row(1)}


def test_copies_get_what_the_first_of_them_got(table: FeatureTable) -> None:
    rows = [(1, 7), (5, 7), (3, 8), (4, 8), (2, 7), (0, 9)]
    copies = [number for number, content in rows if table.defer_copy(number, digest(content), "")]
    assert copies == [5, 4, 2]
    assert table.missing() == [0, 1, 3]
    # Deferred before the first of them has its vector, wherever that comes from.
    take(table, 1)
    table.take_cached({3: digest(3)}, {digest(3): vectors(3)[0]})
    table.note_unreadable(0, "no image")
    assert table.missing() == []

    table.share_with_copies()
    assert features(table) == {
        "photos/1.png": row(1),
        "photos/2.png": row(1),
        "photos/3.png": row(3),
        "photos/4.png": row(3),
        "photos/5.png": row(1),
    }
    assert table.copied_count == 3
    assert set(table.unreadable) == {0}


def test_copies_of_a_broken_photo_fail_for_its_reason(table: FeatureTable) -> None:
    take(table, 0, 2)
    assert [table.defer_copy(number, digest(7), "") for number in (3, 4, 5)] == [False, True, True]
    table.note_unreadable(1, "the file is empty")
    table.note_unreadable(3, "no image")
    table.share_with_copies()
    assert table.copied_count == 0
    assert table.extraction().unreadable == (
        Unreadable("photos/1.png", "the file is empty"),
        Unreadable("photos/3.png", "no image"),
        Unreadable("photos/4.png", "no image"),
        Unreadable("photos/5.png", "no image"),
    )


def test_unreadable_photos_come_in_the_order_of_the_catalog(table: FeatureTable) -> None:
    for number in (5, 1, 3):
        table.note_unreadable(number, f"reason {number}")
    take(table, 2)
    assert table.extraction().unreadable == tuple(
        Unreadable(f"photos/{number}.png", f"reason {number}") for number in (1, 3, 5)
    )
    assert features(table) == {"photos/2.png": row(2)}


def test_the_first_broken_photo_stops_the_run_when_it_is_to() -> None:
    table = table_of(PHOTOS, fail_on_bad_image=True)
    take(table, 0)
    with pytest.raises(PhotoError, match="--on_bad_image=fail") as raised:
        table.note_unreadable(4, "the file is empty")
    assert "Got photos/4.png: the file is empty." in str(raised.value)
    assert table.unreadable == {}


def test_one_sound_photo_is_enough(table: FeatureTable) -> None:
    for number in (0, 1, 2, 3, 5):
        table.note_unreadable(number, "no image")
    take(table, 4)
    extraction = table.extraction()
    assert [len(extraction.sets[split]) for split in Split] == [1, 0, 0]
    assert len(extraction.unreadable) == 5


@pytest.mark.parametrize("photos", [[], [(0, Split.TRAINING)], [(0, Split.TESTING)]], ids=str)
def test_sets_without_photos_have_the_shape_of_the_others(photos: list[tuple[int, Split]]) -> None:
    table = table_of(photos)
    take(table, *range(len(photos)))
    extraction = table.extraction()
    present = [split for _, split in photos]
    for split in Split:
        count = present.count(split)
        part = extraction.sets[split]
        assert part.features.shape == (count, SIZE)
        assert part.features.dtype == np.float32
        assert part.label_ids.shape == (count,)
        assert len(part.paths) == count


@pytest.mark.parametrize("left_out", [set(), {0}, {3, 4, 11}, {5, 6, 7, 8, 9}, set(range(29))])
def test_the_vectors_are_handed_out_where_they_lie(left_out: set[int]) -> None:
    rng = np.random.default_rng(5)
    splits = [list(Split)[n] for n in rng.integers(0, 3, 30)]
    records = [ImageRecord(f"{n}.png", n // 10, split) for n, split in enumerate(splits)]
    table = FeatureTable(records, SIZE, view_count=2, fail_on_bad_image=False)
    count = len(table.positions)
    for n in rng.permutation(count).tolist():
        if int(table.positions[n]) in left_out:
            table.note_unreadable(n, "no image")
        else:
            table.take_computed([n], vectors(n))
    memory = table._vectors  # noqa: SLF001 - what must not be copied
    for split, photos in table.extraction().sets.items():
        kept = [n for n, of in enumerate(splits) if of is split and n not in left_out]
        assert photos.paths == tuple(f"{n}.png" for n in kept)
        assert photos.features.tolist() == [row(n) for n in kept]
        assert np.shares_memory(photos.features, memory) == bool(kept)
        if photos.views is not None:
            firsts = [int(np.flatnonzero(table.positions == n)[1]) for n in kept]
            assert photos.views.tolist() == [[row(first), row(first + 1)] for first in firsts]
            assert np.shares_memory(photos.views, memory) == bool(kept)
