"""Which photos are points, and that those which are gone cost nothing."""

import io
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, solid
from PIL import Image

from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.retraining import illustrating

COLOURS = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
# Photos of each class in each set: the first class has most of them.
COUNTS = {Split.TRAINING: [20, 3, 1], Split.VALIDATION: [6, 0, 2], Split.TESTING: [4, 2, 0]}


@pytest.fixture
def sets(tmp_path: Path) -> dict[Split, FeatureSet]:
    """Sets of photos whose vectors are their numbers; the second of all is gone."""
    sets, number = {}, 0
    for split, counts in COUNTS.items():
        label_ids = np.repeat(np.arange(3, dtype=np.int32), counts)
        paths = []
        for label_id in label_ids.tolist():
            path = tmp_path / f"{number}.png"
            if number != 1:
                path.write_bytes(encoded(solid(COLOURS[label_id], noise=0, seed=0, size=64)))
            paths.append(str(path))
            number += 1
        numbers = np.array([[int(Path(path).stem)] for path in paths], np.float32)
        sets[split] = FeatureSet(numbers, label_ids, tuple(paths))
    return sets


def test_points_are_even_over_the_classes_of_all_sets(
    sets: dict[Split, FeatureSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(illustrating, "_MOST_POINTS", 11)
    found = of_all(sets)
    # Three of c are all that there are.
    assert np.bincount(found.label_ids).tolist() == [4, 4, 3]
    assert found.count == 38
    assert found.label_ids.tolist() == sorted(found.label_ids)
    assert [Path(path).stem for path in found.paths] == [
        str(int(number)) for number in found.vectors[:, 0]
    ]
    named = {path: split.value for split, part in sets.items() for path in part.paths}
    assert list(found.splits) == [named[path] for path in found.paths]


def test_each_has_its_picture_but_those_that_are_gone(sets: dict[Split, FeatureSet]) -> None:
    found = of_all(sets)
    assert len(found.paths) == 38
    for path, label_id, picture in zip(found.paths, found.label_ids, found.pictures, strict=True):
        if not Path(path).exists():
            assert picture == b""
            continue
        with Image.open(io.BytesIO(picture)) as image:
            assert image.size == (found.side, found.side)
            middle = image.getpixel((24, 24))
        assert isinstance(middle, tuple)
        assert int(np.argmax(middle)) == label_id
    assert found.pictures.count(b"") == 1


def test_points_are_made_beside_what_a_block_does(sets: dict[Split, FeatureSet]) -> None:
    how = illustrating.IllustrationSettings(
        report_file="", report_map="none", seed=0, exif_orientation="apply"
    )
    with illustrating.points_beside(sets, ("a", "b", "c"), how) as points:
        assert points().pictures == of_all(sets).pictures
    # Of a block that fails, nobody waits for them.
    with (
        pytest.raises(OSError, match="disk"),
        illustrating.points_beside(sets, ("a", "b", "c"), how) as points,
    ):
        raise OSError("disk")
    ended = threading.Event()
    ended.set()
    with pytest.raises(CancelledError):
        illustrating.some_points(sets, ("a", "b", "c"), upright=True, ended=ended)


def of_all(sets: dict[Split, FeatureSet]) -> PhotoPoints:
    return illustrating.some_points(sets, ("a", "b", "c"), upright=True, ended=threading.Event())
