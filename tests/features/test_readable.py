"""Classes of which no photo can be read."""

import numpy as np
import pytest

from image_retraining.features.readable import of_readable
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import (
    Catalog,
    Extraction,
    FeatureSet,
    ImageRecord,
    Split,
    Unreadable,
)


def found(unreadable: str) -> tuple[Catalog, Extraction]:
    """Returns photos a1 to c2, the second of each class for the test, of which some are broken."""
    names = [f"{label}{number}" for label in "abc" for number in (1, 2)]
    splits = [Split.TRAINING, Split.TESTING] * 3
    records = tuple(
        ImageRecord(name, "abc".index(name[0]), split)
        for name, split in zip(names, splits, strict=True)
    )
    sets = {}
    for split in Split:
        sound = [r for r in records if r.split is split and r.path not in unreadable.split()]
        sets[split] = FeatureSet(
            np.array([[ord(r.path[0])] for r in sound], np.float32).reshape([len(sound), 1]),
            np.array([r.label_id for r in sound], np.int32),
            tuple(r.path for r in sound),
        )
    broken = tuple(Unreadable(name, "is broken") for name in names if name in unreadable.split())
    return Catalog(("a", "b", "c"), records, "photos"), Extraction(sets, broken)


@pytest.mark.parametrize(
    ("unreadable", "labels", "training", "testing", "warned"),
    [
        ("", "abc", [0, 1, 2], [0, 1, 2], []),
        ("b2", "abc", [0, 1, 2], [0, 2], []),
        ("b1 b2", "ac", [0, 1], [0, 1], ["b"]),
        ("a1 a2 c1", "bc", [0], [0, 1], ["a"]),
    ],
)
def test_classes_that_cannot_be_read_are_left_out(
    unreadable: str,
    labels: str,
    training: list[int],
    testing: list[int],
    warned: list[str],
    logged: pytest.LogCaptureFixture,
) -> None:
    # Once: a label that was never learnt stayed in the graph.
    catalog, extraction = of_readable(*found(unreadable))
    assert "".join(catalog.labels) == labels
    assert extraction.sets[Split.TRAINING].label_ids.tolist() == training
    assert extraction.sets[Split.TESTING].label_ids.tolist() == testing
    assert len(extraction.sets[Split.VALIDATION]) == 0
    for photos in extraction.sets.values():
        assert photos.label_ids.dtype == np.int32
        told = [labels[number] for number in photos.label_ids]
        assert told == [path[0] for path in photos.paths]
    assert [r.path for r in catalog.records] == [
        f"{label}{n}" for label in "abc" for n in (1, 2) if f"{label}{n}" not in unreadable.split()
    ]
    assert all(labels[r.label_id] == r.path[0] for r in catalog.records)
    assert [line.split("'")[1] for line in logged.messages] == warned


@pytest.mark.parametrize(
    ("unreadable", "words"),
    [
        ("a1 a2 b1 b2 c1 c2", "Of 6 photos in 3 classes none can"),
        ("a1 a2 c1 c2", "Of 6 photos in 3 classes only photos of 'b' can"),
    ],
)
def test_two_classes_must_be_left(unreadable: str, words: str) -> None:
    with pytest.raises(PhotoError) as caught:
        of_readable(*found(unreadable))
    assert words in str(caught.value)
    assert str(caught.value).endswith("the first that cannot is a1: is broken.")
