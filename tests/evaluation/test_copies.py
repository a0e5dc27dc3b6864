import math
import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from image_retraining.evaluation import copies, near_vectors
from image_retraining.evaluation.copies import Duplicates, find, without_copies
from image_retraining.foundation import memory
from image_retraining.foundation.records import FeatureSet, Floats, Split
from image_retraining.reports.odd_photos import copies_lines

TRAINING, VALIDATION, TESTING = Split.TRAINING, Split.VALIDATION, Split.TESTING
LABELS = ("daisy", "rose", "tulip")
Sets = Mapping[Split, FeatureSet]


def photos(
    letter: str, features: npt.ArrayLike, *, label_ids: list[int] | None = None, digests: str = ""
) -> FeatureSet:
    """Returns photos named letter + number; each letter of digests stands for one."""
    rows = np.array(features, np.float32)
    ids = np.zeros([len(rows)], np.int32) if label_ids is None else np.array(label_ids, np.int32)
    paths = tuple(f"{letter}{number}" for number in range(len(rows)))
    return FeatureSet(rows, ids, paths, tuple(letter.encode() for letter in digests))


def in_splits(training: FeatureSet, validation: FeatureSet, testing: FeatureSet) -> Sets:
    return {TRAINING: training, VALIDATION: validation, TESTING: testing}


def of_angles(training: list[float], validation: list[float], testing: list[float]) -> Sets:
    """Returns photos with vectors in the plane, at some degrees."""
    return in_splits(
        *(
            photos(
                letter,
                np.stack([np.cos(np.radians(some)), np.sin(np.radians(some))], axis=1)
                * np.arange(1, len(some) + 1)[:, None],
            )
            for letter, some in zip("abc", (training, validation, testing), strict=True)
        )
    )


def paths(duplicates: Duplicates) -> list[list[str]]:
    return [[record.path for record in group.records] for group in duplicates.groups]


# cos 2.5° = 0.99905, cos 2.6° = 0.99897.
@pytest.mark.parametrize(
    ("training", "validation", "testing", "expected"),
    [
        pytest.param([0], [], [2.5], [["c0", "a0"]], id="just near"),
        pytest.param([0], [], [2.6], [], id="just not near"),
        pytest.param([0, 1], [], [], [], id="near within a split"),
        pytest.param([0, 2], [], [4], [["c0", "a1"]], id="its neighbour in the split is not taken"),
        pytest.param([0, 4], [2], [], [["b0", "a0", "a1"]], id="joined by a third"),
        pytest.param(
            [0, 6], [2], [4], [["c0", "a0", "b0", "a1"]], id="a chain through all three splits"
        ),
        pytest.param(
            [0, 40, 80],
            [40, 120],
            [120, 80],
            [["c1", "a2"], ["c0", "b1"], ["b0", "a1"]],
            id="training and testing come first",
        ),
        pytest.param([0], [180], [90], [], id="opposite"),
        pytest.param([], [], [], [], id="no photo"),
        pytest.param([], [], [0], [], id="one photo"),
        pytest.param([], [0], [0], [["c0", "b0"]], id="no training photo"),
    ],
)
def test_near_photos_of_different_splits_are_found(
    training: list[float], validation: list[float], testing: list[float], expected: list[list[str]]
) -> None:
    found = find(of_angles(training, validation, testing), cosine=0.999)
    assert paths(found) == expected
    assert not any(group.equal_bytes for group in found.groups)


def test_photos_of_equal_bytes_are_found_in_any_split() -> None:
    found = find(
        in_splits(
            photos("a", np.eye(9)[:5], label_ids=[0, 0, 1, 1, 2], digests="pqprs"),
            photos("b", np.eye(9)[5:6], digests="t"),
            photos("c", np.eye(9)[6:], digests="usv"),
        ),
        cosine=0.999,
    )
    assert paths(found) == [["c1", "a4"], ["a0", "a2"]]
    assert all(group.equal_bytes for group in found.groups)
    assert [group.contradictory for group in found.groups] == [True, True]
    assert [group.leaks for group in found.groups] == [True, False]


def test_bytes_and_vectors_join_to_one_group() -> None:
    near = [[1, 0, 0], [0, 1, 0]]
    sets = in_splits(
        photos("a", near, digests="pp"),
        photos("b", near[:1], digests="q"),
        photos("c", [[0, 0, 1]]),
    )
    (group,) = find(sets, cosine=0.999).groups
    assert [record.path for record in group.records] == ["b0", "a0", "a1"]
    assert not group.equal_bytes
    assert not group.leaks


def test_a_vector_without_direction_is_near_none() -> None:
    odd: list[list[float]] = [[0, 0], [np.nan, 1], [np.inf, 1]]
    sets = in_splits(photos("a", odd), photos("b", odd), photos("c", odd))
    assert paths(find(sets, cosine=0.999)) == []
    known = in_splits(photos("a", [[0, 0]], digests="p"), photos("b", odd), photos("c", odd))
    known = {**known, TESTING: photos("c", odd, digests="qrp")}
    assert paths(find(known, cosine=0.999)) == [["c2", "a0"]]


@dataclass(frozen=True)
class _Reference:
    """Groups found the slow way, photo by photo."""

    sets: Sets
    cosine: float

    def groups(self) -> set[frozenset[str]]:
        split_of, rows, digests = [], [], []
        names: list[str] = []
        for split, some in self.sets.items():
            split_of += [split] * len(some)
            rows += list(some.features.astype(np.float64))
            digests += list(some.digests)
            names += some.paths
        group_of = list(range(len(names)))
        for one in range(len(names)):
            for other in range(one):
                cosine = rows[one] @ rows[other]
                cosine /= np.sqrt(rows[one] @ rows[one]) * np.sqrt(rows[other] @ rows[other])
                near = split_of[one] != split_of[other] and cosine >= self.cosine
                if near or digests[one] == digests[other]:
                    old, new = group_of[one], group_of[other]
                    group_of = [new if number == old else number for number in group_of]
        members = [
            frozenset(names[i] for i in range(len(names)) if group_of[i] == number)
            for number in set(group_of)
        ]
        return {some for some in members if len(some) > 1}


def clustered(rng: np.random.Generator, count: int, size: int) -> Floats:
    """Returns vectors in clusters, some of them copies of others, more or less near."""
    centres = rng.gamma(0.5, 1, [5, size])
    vectors = centres[rng.integers(5, size=count)] + 0.3 * rng.standard_normal([count, size])
    copies = rng.permutation(count)[: count // 2]
    # These cosines fall on both sides of 0.999, at any size.
    changes = rng.uniform(0, 0.08, [len(copies), 1]) * rng.standard_normal([len(copies), size])
    lengths = np.linalg.norm(vectors[copies], axis=1, keepdims=True) / np.sqrt(size)
    vectors[rng.permutation(count)[: len(copies)]] = vectors[copies] + lengths * changes
    return np.asarray(vectors, np.float32)


@pytest.mark.parametrize("blocks", [(512, 2048), (7, 10)], ids=str)
@pytest.mark.parametrize("size", [2, 3, 40, 200])
def test_the_slow_way_finds_the_same(
    size: int, blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_vectors, "_BLOCK_ROWS", blocks[0])
    monkeypatch.setattr(near_vectors, "_BLOCK_COLUMNS", blocks[1])
    rng = np.random.default_rng(size)
    vectors = clustered(rng, 200, size)
    digests = rng.integers(2000, size=200).astype("S").tolist()
    sets = {
        split: FeatureSet(
            vectors[start:end],
            np.zeros([end - start], np.int32),
            tuple(f"{split.value}{row}" for row in range(end - start)),
            tuple(digests[start:end]),
        )
        for split, start, end in ((TRAINING, 0, 120), (VALIDATION, 120, 155), (TESTING, 155, 200))
    }
    expected = _Reference(sets, 0.999).groups()
    assert {frozenset(group) for group in paths(find(sets, cosine=0.999))} == expected
    assert len(expected) > (5 if size > 3 else 0)


def test_float32_hides_no_near_pair_and_float64_decides() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        one, other = rng.gamma(0.5, 1, [2, 1280]).astype(np.float32)
        product, *squares = (
            math.fsum(float(a) * float(b) for a, b in zip(some, others, strict=True))
            for some, others in ((one, other), (one, one), (other, other))
        )
        cosine = product / math.sqrt(math.prod(squares))
        sets = in_splits(photos("a", [one]), photos("b", [-one]), photos("c", [other]))
        # In float32 the cosine would be off by some 1e-7.
        assert paths(find(sets, cosine=cosine - 1e-12)) == [["c0", "a0"]]
        assert paths(find(sets, cosine=cosine + 1e-12)) == []


def test_vectors_of_one_direction_have_a_cosine_of_1() -> None:
    vectors = np.random.default_rng(0).gamma(0.5, 1, [40, 256]).astype(np.float32)
    # Doubling is exact, also in floats.
    sets = in_splits(photos("a", vectors), photos("b", vectors), photos("c", 2 * vectors))
    assert len(find(sets, cosine=1).groups) == 40
    others = vectors.copy()
    others[:, 0] += 1e-4  # of a length of 14: cosines of 1 - 3e-11
    sets = in_splits(photos("a", vectors), photos("b", others), photos("c", -vectors))
    assert find(sets, cosine=1).groups == ()


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 3.7, 1e12, 1e30])
def test_neither_length_nor_rounding_hides_one_direction(scale: float) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.gamma(0.5, 1, [500, 64]).astype(np.float32)
    # The vector of the same pixels in another batch differs by some 1e-6 of its length.
    again = vectors * np.float32(scale) * (1 + 1e-6 * rng.standard_normal(vectors.shape))
    sets = in_splits(photos("a", vectors), photos("b", again[:250]), photos("c", again[250:]))
    assert len(find(sets, cosine=1).groups) == 500


def test_what_is_left_out_is_near_one_that_stays() -> None:
    rng = np.random.default_rng(3)
    vectors = clustered(rng, 300, 3)
    sets = in_splits(
        photos("a", vectors[:200]), photos("b", vectors[200:250]), photos("c", vectors[250:])
    )
    found = find(sets, cosine=0.98)
    rows = {
        path: row / np.linalg.norm(row)
        for some in sets.values()
        for path, row in zip(some.paths, some.features.astype(np.float64), strict=True)
    }
    left_out = 0
    for group in found.groups:
        stay, others = group.records[: group.stay_count], group.records[group.stay_count :]
        left_out += len(others)
        for record in others:
            near = [rows[record.path] @ rows[one.path] for one in stay if one.split != record.split]
            assert max(near) >= 0.98 - 1e-12
    assert left_out == found.copy_count > 50
    assert any(group.stay_count > 1 for group in found.groups)
    # And of those that stay none are near, so that nothing leaks.
    assert find(without_copies(sets, found), cosine=0.98).groups == ()
    (line,) = [line for line in copies_lines(found, LABELS, dropped=True) if "left out" in line]
    assert line.startswith("Of each group all stay that are near no other that stays; ")


class _Shelf(dict[bytes, bytes]):
    """Keeps what was found in memory."""

    def put(self, key: bytes, content: bytes) -> None:
        self[key] = content


def test_a_long_search_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_WORTH_KEEPING", 1000)
    rng = np.random.default_rng(4)
    vectors = clustered(rng, 60, 5)

    def sets(**changes: Any) -> Sets:
        training = photos("a", vectors[:40], digests="pqrs" * 10)
        return in_splits(
            replace(training, **changes), photos("b", vectors[40:50]), photos("c", vectors[50:])
        )

    shelf = _Shelf()
    first = find(sets(), cosine=0.99, kept=shelf)
    assert first.groups
    assert len(shelf) == 1
    calls = []

    def searched(*given: Any, **more: Any) -> Any:
        calls.append(more)
        return near_vectors.near_pairs(*given, **more)

    monkeypatch.setattr(copies, "near_pairs", searched)
    assert find(sets(), cosine=0.99, kept=shelf) == first
    assert not calls
    # Whatever changes, it is made again.
    find(sets(), cosine=0.98, kept=shelf)
    find(sets(features=np.float32(2) * vectors[:40]), cosine=0.99, kept=shelf)
    find(sets(digests=(b"p",) * 40), cosine=0.99, kept=shelf)
    assert len(calls) == 3
    assert len(shelf) == 4
    # What is damaged is not used, nor is anything kept of small sets.
    shelf.update(dict.fromkeys(shelf, b"?"))
    assert find(sets(), cosine=0.99, kept=shelf) == first
    monkeypatch.setattr(copies, "_WORTH_KEEPING", 10_000)
    assert find(sets(), cosine=0.99, kept=(empty := _Shelf())) == first
    assert not empty


def test_thousands_of_equal_photos_end_soon() -> None:
    photo = np.linspace(0, 1, 1280)
    sets = in_splits(*(photos(letter, np.tile(photo, [700, 1])) for letter in "abc"))
    started = time.monotonic()
    (group,) = find(sets, cosine=0.999).groups
    # It takes a fifth of a second; 1.5 million pairs one by one would take much longer.
    assert time.monotonic() - started < 20
    assert len(group.records) == 2100


def test_equal_photos_are_joined_in_the_memory_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_vectors, "_BLOCK_ROWS", 200)
    monkeypatch.setattr(near_vectors, "_BLOCK_COLUMNS", 200)
    sets = in_splits(*(photos(letter, np.ones([2000, 2])) for letter in "abc"))
    find(in_splits(*(photos(letter, [[1, 0]]) for letter in "abc")), cosine=0.999)  # imports
    tracemalloc.start()
    (group,) = find(sets, cosine=0.999).groups
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(group.records) == 6000
    # 12 million pairs are near: a byte each would be too much.
    assert peak < 12_000_000


def test_the_report_names_what_leaks_first_and_what_contradicts() -> None:
    sets = in_splits(
        photos("a", np.eye(6)[:4], label_ids=[0, 0, 1, 2], digests="ppqr"),
        photos("b", np.eye(6)[4:5]),
        photos("c\n\udcff/", np.eye(6)[[3, 5]], label_ids=[1, 2]),
    )
    counts, leaks, *lines = copies_lines(find(sets, cosine=0.999), LABELS, dropped=True)
    assert "2, of 4 photos. Equal in every byte: 1;" in counts
    assert "training and in testing: 1, with 1 of the test photos." in leaks
    assert lines == [
        "Groups with labels that contradict each other: 1.",
        "  Nearly equal, with labels that contradict each other:",
        "    testing     rose  c\\n\\udcff/0",
        "    training    tulip  a3",
        "  Equal in every byte:",
        "    training    daisy  a0",
        "    training    daisy  a1",
        "One photo of each group stays; 2 are left out.",
    ]


def test_the_report_stays_short() -> None:
    angles = [float(5 * number) for number in range(30)]
    lines = copies_lines(find(of_angles(angles, [], angles), cosine=0.999), LABELS, dropped=False)
    assert sum(line.startswith("    ") for line in lines) == 40
    assert "  ... and 10 more groups" in lines
    lines = copies_lines(
        find(of_angles([0.0] * 500, [], [0.0]), cosine=0.999), LABELS, dropped=False
    )
    assert len(lines) < 20
    assert "    ... and 491 more photos" in lines
    assert "--drop_duplicates" in lines[-1]


def test_nothing_found_is_no_news() -> None:
    assert copies_lines(find(of_angles([0], [90], [45]), cosine=0.999), LABELS, dropped=True) == []


@dataclass(frozen=True, slots=True)
class _WithViews(FeatureSet):
    """A set with a further field, as there may be some day."""

    views: Floats | None = None


def test_one_photo_of_a_group_stays_with_all_that_belongs_to_it() -> None:
    features = np.eye(8)[[0, 1, 2, 0, 3]]
    plain = photos("a", features, label_ids=[0, 0, 1, 1, 2], digests="pqrps")
    training = _WithViews(
        plain.features, plain.label_ids, plain.paths, plain.digests, plain.features[:, None, :]
    )
    plain = photos("b", np.eye(8)[[1, 4]])
    without_views = _WithViews(plain.features, plain.label_ids, plain.paths)
    sets = in_splits(training, without_views, photos("c", np.eye(8)[[1, 5, 6, 5]]))
    kept = without_copies(sets, find(sets, cosine=0.999))
    assert {split: some.paths for split, some in kept.items()} == {
        TRAINING: ("a0", "a2", "a4"),
        VALIDATION: ("b1",),
        TESTING: ("c0", "c1", "c2", "c3"),
    }
    rest = kept[TRAINING]
    assert isinstance(rest, _WithViews)
    assert rest.views is not None
    assert rest.digests == (b"p", b"r", b"s")
    assert rest.label_ids.tolist() == [0, 1, 2]
    assert rest.features.argmax(axis=1).tolist() == [0, 2, 3]
    assert rest.views[:, 0].argmax(axis=1).tolist() == [0, 2, 3]
    assert find(kept, cosine=0.999).groups == ()


def test_what_stays_of_very_many_photos_lies_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = photos("a", np.eye(8)[[0, 1, 2, 0, 3]], digests="pqrps")
    training = replace(plain, views=plain.features[:, np.newaxis] + np.arange(3)[:, np.newaxis])
    sets = in_splits(training, photos("b", np.eye(8)[[4]]), photos("c", np.eye(8)[[5]]))
    wanted = without_copies(sets, found := find(sets, cosine=0.999))
    # As if no memory were free.
    monkeypatch.setattr(memory, "available", lambda: 0)
    kept = without_copies(sets, found, folder=tmp_path)
    files = [one.path for one in psutil.Process().memory_maps(grouped=False)]
    assert sum(path.startswith(str(tmp_path)) for path in files) == 2
    for name in ("features", "views"):
        one, other = getattr(kept[TRAINING], name), getattr(wanted[TRAINING], name)
        assert one.tobytes() == other.tobytes()
    # Of what loses no photo there is no copy.
    assert kept[VALIDATION] is sets[VALIDATION]


def test_a_split_may_lose_all_its_photos() -> None:
    sets = of_angles([0, 1], [0.5], [0.2])
    kept = without_copies(sets, find(sets, cosine=0.999))
    assert [len(kept[split]) for split in Split] == [0, 0, 1]
    assert kept[TRAINING].features.shape == (0, 2)
