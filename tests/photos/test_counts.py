import logging

import pytest

from image_retraining.foundation.records import Catalog, ImageRecord, Split
from image_retraining.photos.counts import log_counts


def catalog_of(**counts: tuple[int, int, int]) -> Catalog:
    """Returns a catalog of so many training, validation and testing photos a class."""
    return Catalog(
        labels=tuple(counts),
        records=tuple(
            ImageRecord(f"{label}/{split.value}_{number}.jpg", label_id, split)
            for label_id, (label, of_splits) in enumerate(counts.items())
            for split, count in zip(Split, of_splits, strict=True)
            for number in range(count)
        ),
        image_dir="photos",
    )


def test_counts_are_logged_as_a_table(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(rose=(30, 4, 5), a_long_name=(1200, 160, 140)))
    assert [message.split() for message in logged.messages] == [
        ["Label", "training", "validation", "testing"],
        ["rose", "30", "4", "5"],
        ["a_long_name", "1200", "160", "140"],
    ]
    ends = {len(message) for message in logged.messages}
    assert len(ends) == 1


def test_wide_letters_count_as_two_columns(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(郁金香=(30, 4, 5), rose=(120, 16, 14)))
    # Three letters are as wide as six; "validation" and "testing" are wider than any number.
    assert logged.messages == [
        "Label   training  validation  testing",
        "郁金香        30           4        5",
        "rose         120          16       14",
    ]


def test_small_classes_are_warned_of(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(enough=(18, 1, 1), few=(17, 1, 1), fewer=(1, 1, 1)))
    (warning,) = (r for r in logged.records if r.levelno == logging.WARNING)
    assert warning.getMessage() == (
        "WARNING: Folder has less than 20 images, which may cause issues. few (19), fewer (3)"
    )


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((20, 0, 1), "no validation photo in 1 of 2 classes: odd"),
        ((20, 1, 0), "no testing photo in 1 of 2 classes: odd"),
        ((0, 20, 1), "no training photo in 1 of 2 classes: odd"),
    ],
)
def test_classes_without_photos_in_a_split_are_warned_of(
    logged: pytest.LogCaptureFixture, counts: tuple[int, int, int], words: str
) -> None:
    log_counts(catalog_of(even=(20, 2, 2), odd=counts))
    (warning,) = (r for r in logged.records if r.levelno == logging.WARNING)
    assert words in warning.getMessage()


def test_a_warning_of_many_classes_names_a_few(logged: pytest.LogCaptureFixture) -> None:
    log_counts(catalog_of(**{f"class{number}": (30, 0, 1) for number in range(8)}))
    (warning,) = (r for r in logged.records if r.levelno == logging.WARNING)
    assert warning.getMessage().endswith(
        "no validation photo in 8 of 8 classes: class0, class1, class2, class3, class4 and 3 more"
    )
