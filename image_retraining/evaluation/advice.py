"""What was measured → what to do about it: each piece of advice holds the figures it stands on.

The four situations of transfer learning, few or many photos, like or unlike what the module has
learnt from, are told from evidence: how the accuracy grows with the photos, and whether those that
lie near each other in the module's vectors are of one class. What is not known gives no advice.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from image_retraining.evaluation.copies import Duplicates
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.learning_curve import LearningCurve, Outlook
from image_retraining.evaluation.metrics import Metrics
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.foundation.records import Split

# Photos of a class below which its figures, and what is learnt of it, are chance.
FEW_PHOTOS = 20
# Of two classes, so many photos are taken for the other, and such a share of both.
_CONFUSED, _CONFUSED_SHARE = 5, 0.05
_MOST_PAIRS = 3
# A gain of accuracy that is worth the labelling, and one that is hardly.
_WORTH, _HARDLY = 0.005, 0.01
# Of how far near photos agree; sets at hand that a module knows are from 0.69 up.
_UNLIKE = 0.5
# A head that has not met a photo is as sure of another label.
_SURE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured; None where it was not.

    Attributes:
        labels: C class names.
        photo_counts: C numbers of photos of all splits, copies of one photo counting once.
        metrics: by most photos that were not learnt from: of the cross-validation, or the test.
        crossed: the cross-validation.
        curve: the learning curve.
        agreement: of photos that are near each other, 0 by chance to 1; NaN where unknown.
        copies: which photos are one and the same.
        test_count: how many test photos there are.
        issues: photos whose label looks wrong.
    """

    labels: tuple[str, ...]
    photo_counts: tuple[int, ...]
    metrics: Metrics | None
    crossed: CrossValidation | None
    curve: LearningCurve | None
    agreement: float
    copies: Duplicates | None
    test_count: int
    issues: Sequence[LabelIssue] | None


@dataclass(frozen=True, slots=True)
class FewPhotos:
    """A class has few photos.

    Attributes:
        label_id: the class.
        photo_count: of it.
        recall_interval: where its true recall is with 95% confidence; None where none was judged.
    """

    label_id: int
    photo_count: int
    recall_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Confused:
    """Two classes are taken for each other.

    Attributes:
        label_ids: the two.
        taken: how many photos of the first were taken for the second, and the other way round.
        judged: how many photos of each were judged.
    """

    label_ids: tuple[int, int]
    taken: tuple[int, int]
    judged: tuple[int, int]


@dataclass(frozen=True, slots=True)
class MorePhotos:
    """More photos help, or hardly; None where that lies between.

    Attributes:
        outlook: what twice as many may bring.
        helps: whether they do.
    """

    outlook: Outlook
    helps: bool | None


@dataclass(frozen=True, slots=True)
class UnlikeModule:
    """The photos are unlike what the module knows.

    Attributes:
        agreement: how far labels of near photos agree, 0 by chance to 1.
    """

    agreement: float


@dataclass(frozen=True, slots=True)
class CopiesFound:
    """Some photos are one and the same.

    Attributes:
        copy_count: how many go when of each group one stays.
        leaked_count: how many test photos are learnt from.
        test_count: of how many.
    """

    copy_count: int
    leaked_count: int
    test_count: int


@dataclass(frozen=True, slots=True)
class SuspiciousLabels:
    """Some labels look wrong.

    Attributes:
        issue_count: how many were found where they were looked for; None where they were not.
        sure_count: of the cross-validated photos, to how many heads that have not met them give
            another label with a probability of 0.95 and more; None where that is not known.
        worst: the path of the worst of them, the label that it has, and the likely one.
    """

    issue_count: int | None
    sure_count: int | None
    worst: tuple[str, int, int]


Advice = FewPhotos | Confused | MorePhotos | UnlikeModule | CopiesFound | SuspiciousLabels


def advise(evidence: Evidence) -> tuple[Advice, ...]:
    """Returns what to do, what spoils the figures first."""
    return tuple(advice for rule in _RULES for advice in rule(evidence))


def _copies(evidence: Evidence) -> Iterator[Advice]:
    groups = evidence.copies.groups if evidence.copies else ()
    if not groups or evidence.copies is None:
        return
    leaking = [record for group in groups if group.leaks for record in group.records]
    leaked = sum(record.split is Split.TESTING for record in leaking)
    yield CopiesFound(evidence.copies.copy_count, leaked, evidence.test_count)


def _suspicious_labels(evidence: Evidence) -> Iterator[Advice]:
    if evidence.issues is not None:
        if evidence.issues:
            worst = evidence.issues[0]
            named = (worst.path, worst.label_id, worst.likely_id)
            yield SuspiciousLabels(len(evidence.issues), None, named)
        return
    crossed = evidence.crossed
    if crossed is None:
        return
    sureness = crossed.probabilities.max(axis=1)
    sureness[crossed.predicted_ids == crossed.label_ids] = 0
    count = int((sureness >= _SURE).sum())
    if count:
        row = int(sureness.argmax())
        likely = int(crossed.predicted_ids[row])
        named = (crossed.paths[row], int(crossed.label_ids[row]), likely)
        yield SuspiciousLabels(None, count, named)


def _few_photos(evidence: Evidence) -> Iterator[Advice]:
    metrics = evidence.metrics
    for label_id, count in enumerate(evidence.photo_counts):
        if count < FEW_PHOTOS:
            known = metrics is not None and metrics.support[label_id] > 0
            ends = metrics.recall_intervals[label_id].tolist() if metrics and known else None
            yield FewPhotos(label_id, count, ends and (ends[0], ends[1]))


def _confused(evidence: Evidence) -> Iterator[Advice]:
    if evidence.metrics is None:
        return
    taken, judged = evidence.metrics.confusion, evidence.metrics.support.tolist()
    both = np.triu(taken + taken.T, 1)
    found = [
        (int(both[pair]), pair)
        for pair in combinations(range(len(judged)), 2)
        if both[pair] >= _CONFUSED
        and both[pair] >= _CONFUSED_SHARE * (judged[pair[0]] + judged[pair[1]])
    ]
    for _, (one, other) in sorted(found, key=lambda pair: (-pair[0], pair[1]))[:_MOST_PAIRS]:
        there_and_back = int(taken[one, other]), int(taken[other, one])
        yield Confused((one, other), there_and_back, (judged[one], judged[other]))


def _more_photos(evidence: Evidence) -> Iterator[Advice]:
    outlook = evidence.curve.outlook if evidence.curve else None
    if outlook is None or not outlook.can_be_told:
        return
    helps = True if outlook.low >= _WORTH else None
    yield MorePhotos(outlook, False if outlook.high < _HARDLY else helps)


def _unlike_module(evidence: Evidence) -> Iterator[Advice]:
    # NaN is not below it.
    if not math.isnan(evidence.agreement) and evidence.agreement < _UNLIKE:
        yield UnlikeModule(evidence.agreement)


_RULES = (_copies, _suspicious_labels, _few_photos, _confused, _more_photos, _unlike_module)
