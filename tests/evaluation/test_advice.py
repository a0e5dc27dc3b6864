from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from image_retraining.evaluation.advice import (
    Advice,
    Confused,
    CopiesFound,
    Evidence,
    FewPhotos,
    MorePhotos,
    SuspiciousLabels,
    UnlikeModule,
    advise,
)
from image_retraining.evaluation.copies import DuplicateGroup, Duplicates
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.learning_curve import LearningCurve, Outlook
from image_retraining.evaluation.metrics import Metrics, measure
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.foundation.records import ImageRecord, Split
from image_retraining.head.softmax import of_logits
from image_retraining.reports.advice_lines import advice_lines

LABELS = ("daisy", "玫\n瑰", "tulips")
NAN = float("nan")
NOTHING = Evidence(
    labels=LABELS,
    photo_counts=(200, 200, 200),
    metrics=None,
    crossed=None,
    curve=None,
    agreement=NAN,
    copies=None,
    test_count=0,
    issues=None,
)


def metrics(confusion: list[list[int]]) -> Metrics:
    """Returns those of answers that are counted so."""
    true_ids, predicted_ids = np.nonzero(np.array(confusion))
    times = np.array(confusion)[true_ids, predicted_ids]
    logits = np.eye(3, dtype=np.float32)[np.repeat(predicted_ids, times)]
    return measure(of_logits(logits, np.repeat(true_ids, times).astype(np.int32)), LABELS)


def curve(gain: float, low: float, high: float) -> LearningCurve:
    return LearningCurve((), 998, 5, Outlook(1600, gain, low, high))


def copies(*groups: tuple[Split, ...]) -> Duplicates:
    records = [
        tuple(ImageRecord(f"{number}-{place}", 0, split) for place, split in enumerate(splits))
        for number, splits in enumerate(groups)
    ]
    return Duplicates(tuple(DuplicateGroup(one, equal_bytes=True) for one in records), 0.999)


def crossed(probabilities: list[list[float]], label_ids: list[int]) -> CrossValidation:
    known, ids = np.array(probabilities, np.float32), np.array(label_ids, np.int32)
    paths = tuple(f"{place}.jpg" for place in range(len(ids)))
    folds = np.arange(len(ids)) % 2
    measured = measure(of_logits(np.log(known), ids), LABELS)
    return CrossValidation(
        paths=paths,
        label_ids=ids,
        probabilities=known,
        folds=folds,
        fold_count=2,
        strengths=(1.0, 1.0),
        left_out=(),
        metrics=measured,
    )


TRAIN, TEST = Split.TRAINING, Split.TESTING
ISSUES = (LabelIssue("a.jpg", 0, 2, 0.001), LabelIssue("b.jpg", 1, 2, 0.01))
SURE = [[0.97, 0.02, 0.01], [0.94, 0.03, 0.03], [0.01, 0.98, 0.01]]


# What is known → the advice, and what people read of it.
@pytest.mark.parametrize(
    ("known", "advice", "words"),
    [
        ({}, (), ""),
        (
            {"agreement": 0.7, "curve": curve(0.03, 0, 0.2), "copies": copies(), "issues": ()},
            (),
            "",
        ),
        (
            {"copies": copies((TRAIN, TRAIN), (TRAIN, TEST, TEST)), "test_count": 90},
            (CopiesFound(3, 2, 90),),
            "3 of the photos are copies of others, and 2 of 90 test photos are learnt from. --drop",
        ),
        (
            {"copies": copies((TRAIN, TRAIN)), "test_count": 90},
            (CopiesFound(1, 0, 90),),
            "1 of the photos is a copy of another. --drop_duplicates leaves out all but one",
        ),
        (
            {"issues": ISSUES},
            (SuspiciousLabels(2, None, ("a.jpg", 0, 2)),),
            "2 labels look wrong. Look at them, first at a.jpg (daisy, rather tulips).",
        ),
        (
            {"agreement": 0.499},
            (UnlikeModule(0.499),),
            "agree to 0.50, where 0 is chance and 1 is always",
        ),
        (
            {"curve": curve(0.012, 0.005, 0.02)},
            (MorePhotos(Outlook(1600, 0.012, 0.005, 0.02), helps=True),),
            (
                "More photos would help: twice as many to learn from, 1600, may bring 1.2 points "
                "of accuracy by the learning curve (95% interval 0.5 to 2.0 points)."
            ),
        ),
        (
            {"curve": curve(0.006, 0.0, 0.018)},
            (MorePhotos(Outlook(1600, 0.006, 0.0, 0.018), helps=None),),
            "More photos may help: twice",
        ),
        (
            {"curve": curve(0.002, 0.0, 0.009)},
            (MorePhotos(Outlook(1600, 0.002, 0.0, 0.009), helps=False),),
            "More photos of the same kind would hardly help: twice",
        ),
        ({"curve": replace(curve(0, 0, 0), outlook=None)}, (), ""),
        (
            {"metrics": metrics([[90, 6, 4], [4, 90, 6], [3, 1, 96]])},
            (Confused((0, 1), (6, 4), (100, 100)),),
            (
                r"daisy and 玫\n瑰 are confused: 6 of 100 daisy were taken for 玫\n瑰, 4 of 100 "
                r"玫\n瑰 for daisy."
            ),
        ),
        # Five photos of two large classes are none to speak of; four never are.
        ({"metrics": metrics([[90, 3, 0], [2, 90, 0], [0, 0, 90]])}, (), ""),
        ({"metrics": metrics([[4, 2, 0], [2, 4, 0], [0, 0, 9]])}, (), ""),
    ],
)
def test_advice_stands_on_figures(
    known: dict[str, Any], advice: tuple[Advice, ...], words: str
) -> None:
    found = advise(replace(NOTHING, **known))
    assert found == advice
    lines = advice_lines(found, LABELS)
    assert bool(lines) == bool(advice)
    assert words in "\n".join(lines)
    if lines:
        assert lines[0] == "Advice, from what was measured:"
        assert len(lines) == 1 + len(advice)
        assert all(any(letter.isdigit() for letter in line) for line in lines[1:])


def test_photos_that_heads_are_sure_of_are_counted() -> None:
    judged = crossed([*SURE, *SURE], [1, 1, 2, 0, 0, 1])
    found = advise(replace(NOTHING, crossed=judged))
    assert found == (SuspiciousLabels(None, 2, ("2.jpg", 2, 1)),)
    (line,) = advice_lines(found, LABELS)[1:]
    assert "95% sure that 2 photos should have another label, first of all 2.jpg" in line
    assert advise(replace(NOTHING, crossed=crossed(SURE, [0, 0, 1]))) == ()
    # Where labels were looked at, that says more.
    assert advise(replace(NOTHING, crossed=judged, issues=())) == ()


def test_classes_of_few_photos_are_told_together() -> None:
    judged = metrics([[3, 1, 0], [0, 0, 0], [0, 0, 60]])
    found = advise(replace(NOTHING, photo_counts=(19, 2, 20), metrics=judged))
    assert [(one.label_id, one.photo_count) for one in found if isinstance(one, FewPhotos)] == [
        (0, 19),
        (1, 2),
    ]
    (line,) = advice_lines(found, LABELS)[1:]
    # Of 3 of 4, by Wilson's formula.
    assert line == (
        "  - 2 classes have fewer than 20 photos, so that what is learnt and measured of them is "
        r"largely chance: daisy (19, recall 30.1% to 95.4%), 玫\n瑰 (2, none of them judged). Add "
        "photos of these first."
    )


def test_the_most_confused_come_first_and_not_all() -> None:
    labels = ("a", "b", "c", "d")
    confusion = np.full([4, 4], 5)
    confusion[3, 2] = 9
    judged = Metrics(
        labels=labels,
        accuracy=0.25,
        top_5_accuracy=None,
        cross_entropy=1.0,
        precision=np.ones(4),
        recall=np.ones(4),
        f1=np.ones(4),
        confusion=confusion,
        roc_auc=np.ones(4),
        average_precision=np.ones(4),
    )
    found = advise(replace(NOTHING, labels=labels, photo_counts=(50,) * 4, metrics=judged))
    pairs = [one.label_ids for one in found if isinstance(one, Confused)]
    assert pairs == [(2, 3), (0, 1), (0, 2)]
