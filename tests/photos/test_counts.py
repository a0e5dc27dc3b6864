import logging
from dataclasses import replace

import pytest

from image_retraining.foundation.records import Catalog, ImageRecord, Split
from image_retraining.photos.counts import log_counts


def catalog_of(**counts: tuple[int, int, int]) -> Catalog:
    """Returns a catalog of so many training, validation and testing photos a class."""
    return Catalog(
        labels=tuple(counts),
        records=tuple(
            ImageRecord(f"{label}/{label}_{split.value}_{number}.jpg", label_id, split)
            for label_id, (label, of_splits) in enumerate(counts.items())
            for split, count in zip(Split, of_splits, strict=True)
            for number in range(count)
        ),
        image_dir="photos",
    )


def warnings(logged: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in logged.records if one.levelno == logging.WARNING]


def test_counts_are_logged_as_a_table(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(rose=(30, 7, 5), a_long_name=(1200, 160, 140)))
    assert [message.split() for message in logged.messages] == [
        ["Label", "training", "validation", "testing"],
        ["rose", "30", "7", "5"],
        ["a_long_name", "1200", "160", "140"],
    ]
    ends = {len(message) for message in logged.messages}
    assert len(ends) == 1


def test_wide_letters_count_as_two_columns(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(郁金香=(30, 7, 5), rose=(120, 16, 14)))
    # Three letters are as wide as six; "validation" and "testing" are wider than any number.
    assert logged.messages == [
        "Label   training  validation  testing",
        "郁金香        30           7        5",
        "rose         120          16       14",
    ]


def test_small_classes_are_warned_of(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(enough=(10, 5, 5), few=(9, 5, 5), fewer=(1, 5, 5)))
    assert warnings(logged) == [
        "WARNING: Folder has less than 20 images, which may cause issues. few (19), fewer (11)",
    ]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((20, 0, 5), "no validation photo in 1 of 2 classes: odd"),
        ((20, 5, 0), "no testing photo in 1 of 2 classes: odd"),
        ((0, 20, 5), "no training photo in 1 of 2 classes: odd"),
    ],
)
def test_classes_without_photos_in_a_split_are_warned_of(
    logged: pytest.LogCaptureFixture, counts: tuple[int, int, int], words: str
) -> None:
    log_counts(catalog_of(even=(20, 25, 25), odd=counts))
    (warning,) = warnings(logged)
    assert words in warning


def test_a_warning_of_many_classes_names_a_few(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(**{f"class{number}": (30, 0, 5) for number in range(8)}))
    (warning,) = warnings(logged)
    assert warning.endswith(
        "no validation photo in 8 of 8 classes: class0, class1, class2, class3, class4 and 3 more"
    )


@pytest.mark.parametrize(
    ("split_by", "counts", "words"),
    [
        ("names", (50, 4, 5), ["odd (4 validation)", "--split=stratified"]),
        ("names", (50, 5, 1), ["odd (1 testing)", "--split=stratified"]),
        ("names", (50, 2, 3), ["odd (2 validation, 3 testing)"]),
        ("stratified", (50, 4, 5), ["odd (4 validation)", "raise --validation_percentage"]),
        ("folders", (50, 4, 5), ["odd (4 validation)", "Add photos to these folders"]),
        ("names", (50, 5, 5), []),
    ],
)
def test_a_handful_to_judge_by_is_warned_of(
    logged: pytest.LogCaptureFixture, split_by: str, counts: tuple[int, int, int], words: list[str]
) -> None:
    log_counts(replace(catalog_of(even=(50, 5, 5), odd=counts), split_by=split_by))
    found = warnings(logged)
    assert len(found) == bool(words)
    for word in words:
        assert word in found[0]
        assert "in 1 of 2 classes" in found[0]
        assert ("--split" in found[0]) == (split_by == "names")


@pytest.mark.parametrize(
    ("names", "count"),
    [
        # Numbers of README, those that Windows gives, one name in folders of their own, and groups.
        ([f"{number:03}.jpg" for number in range(1, 21)], 20),
        ([f"photo ({number}).jpg" for number in range(1, 26)], 25),
        ([f"{number}/image.jpg" for number in range(30)], 1),
        ([f"plum{number % 8}_nohash_{number}.jpg" for number in range(80)], 8),
        ([f"{number:03}.jpg" for number in range(50)], 0),
    ],
)
def test_few_names_that_decide_much_are_warned_of(
    logged: pytest.LogCaptureFixture, names: list[str], count: int
) -> None:
    records = tuple(
        ImageRecord(f"{label_id}/{name}", label_id, list(Split)[place % 3])
        for label_id in range(2)
        for place, name in enumerate(names)
    )
    for split_by in ("names", "folders", "stratified"):
        log_counts(Catalog(("0", "1"), records, "photos", split_by))
    found = [warning for warning in warnings(logged) if "share" in warning]
    assert len(found) == bool(count)
    for warning in found:
        assert f"{2 * len(names)} photos share {count} name(s)" in warning
        assert "--split=stratified" in warning
