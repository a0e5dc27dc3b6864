"""Evaluation → what it says of each class.

The figures are those of scikit-learn, which takes a second to import.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from image_retraining.evaluation.intervals import wilson
from image_retraining.evaluation.ranking_quality import mean_of_defined, one_against_rest
from image_retraining.foundation.records import Evaluation, Ints

Figures = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_TOP = 5


@dataclass(frozen=True, slots=True)
class Metrics:
    """How a head did on photos, class by class.

    A class without a photo has no figures: they are NaN, and no mean counts them. The means weigh
    each other class alike, however many photos it has.

    Attributes:
        labels: C class names.
        accuracy: share of right answers, 0 to 1; also called micro accuracy or top-1.
        top_5_accuracy: share of photos whose true label is among the five most probable, 0 to 1;
            None for fewer than six classes, of which it says nothing.
        cross_entropy: mean of -log(probability of the true label), nats.
        precision: float64 [C], share of right ones among the photos taken for a class, 0 to 1;
            0 where there are none.
        recall: float64 [C], share of right answers for the photos of a class, 0 to 1.
        f1: float64 [C], harmonic mean of precision and recall, 0 to 1.
        confusion: int64 [C, C], counts of photos; rows are true labels, columns predicted ones.
        roc_auc: float64 [C], area under the ROC curve of each class against the rest, 0 to 1; NaN,
            too, for a class that all photos are of.
        average_precision: float64 [C], of each class against the rest, 0 to 1; NaN likewise.
    """

    labels: tuple[str, ...]
    accuracy: float
    top_5_accuracy: float | None
    cross_entropy: float
    precision: Figures
    recall: Figures
    f1: Figures
    confusion: Counts
    roc_auc: Figures
    average_precision: Figures

    @property
    def count(self) -> int:
        """Number of photos."""
        return int(self.confusion.sum())

    @property
    def support(self) -> Counts:
        """int64 [C], the number of photos of each class."""
        counts: Counts = self.confusion.sum(axis=1)
        return counts

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Where the true accuracy is with 95% confidence, by the number of photos; 0 to 1."""
        return wilson(int(self.confusion.trace()), self.count)

    @property
    def top_5_accuracy_interval(self) -> tuple[float, float] | None:
        """The same of the top-5 accuracy; None where that is."""
        if self.top_5_accuracy is None:
            return None
        return wilson(self.top_5_accuracy * self.count, self.count)

    @property
    def recall_intervals(self) -> Figures:
        """float64 [C, 2], the same of each class's recall, which is its accuracy; NaN likewise."""
        rights, counts = self.confusion.diagonal().tolist(), self.support.tolist()
        ends = [
            wilson(right, count) if count else (np.nan, np.nan)
            for right, count in zip(rights, counts, strict=True)
        ]
        return np.array(ends, np.float64).reshape([-1, 2])

    @property
    def macro_precision(self) -> float:
        """Mean of the classes' precision, 0 to 1."""
        return float(np.nanmean(self.precision))

    @property
    def macro_recall(self) -> float:
        """Mean of the classes' recall, 0 to 1."""
        return float(np.nanmean(self.recall))

    @property
    def macro_accuracy(self) -> float:
        """Another name of macro_recall: a class's accuracy is its recall."""
        return self.macro_recall

    @property
    def macro_f1(self) -> float:
        """Mean of the classes' F1, 0 to 1."""
        return float(np.nanmean(self.f1))

    @property
    def macro_roc_auc(self) -> float:
        """Mean of the classes' areas under the ROC curve, 0 to 1; NaN where none is defined."""
        return mean_of_defined(self.roc_auc)

    @property
    def macro_average_precision(self) -> float:
        """Mean of the classes' average precision, 0 to 1; NaN likewise."""
        return mean_of_defined(self.average_precision)


def measure(evaluation: Evaluation, labels: Sequence[str]) -> Metrics:
    """Returns what an evaluation says of each class.

    Args:
        evaluation: of N photos, N at least 1.
        labels: C class names, C at least 2.
    """
    true_ids, predicted_ids = evaluation.label_ids, evaluation.predicted_ids
    confusion = _confusion(true_ids, predicted_ids, len(labels))
    right, taken, support = confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)
    # Whatever the head did, all three would be 0 for a class without photos.
    precision, recall, f1 = (
        np.where(support > 0, figures, np.nan)
        for figures in (
            _share(right, taken),
            _share(right, support),
            _share(2 * right, support + taken),
        )
    )
    roc_auc, average_precision = one_against_rest(evaluation.logits, true_ids)
    return Metrics(
        labels=tuple(labels),
        accuracy=float((predicted_ids == true_ids).mean()),
        top_5_accuracy=_top_accuracy(evaluation) if len(labels) > _TOP else None,
        cross_entropy=evaluation.cross_entropy,
        precision=precision,
        recall=recall,
        f1=f1,
        confusion=confusion,
        roc_auc=roc_auc,
        average_precision=average_precision,
    )


def most_confused(confusion: Counts, most: int) -> list[tuple[int, int]]:
    """Returns pairs of a true label_id and one that was answered instead, most often first.

    Args:
        confusion: int64 [C, C], rows are true labels, columns answers.
        most: how many pairs at most; none of those that never were confused.
    """
    wrong = confusion - np.diag(confusion.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    return [divmod(int(place), len(wrong)) for place in order if wrong.flat[place]]


def _confusion(true_ids: Ints, predicted_ids: Ints, label_count: int) -> Counts:
    """Returns int64 [C, C], counts of photos; rows are true labels, columns predicted ones.

    Args:
        true_ids: int32 [N].
        predicted_ids: int [N].
        label_count: C.
    """
    places = true_ids.astype(np.int64) * label_count + predicted_ids
    counts = np.bincount(places, minlength=label_count**2)
    return counts.reshape(label_count, label_count).astype(np.int64)


def _share(counts: Counts, totals: Counts) -> Figures:
    """Returns float64 [C], 0 where there are none."""
    return counts / np.maximum(totals, 1)


def _top_accuracy(evaluation: Evaluation) -> float:
    """Returns the share of photos whose true label is among the first _TOP.

    Of equal logits the lower label_id comes first, as in predicted_ids; top_k_accuracy_score has
    the higher one first, so that a right answer could be missing among the first five.
    """
    logits, true_ids = evaluation.logits, evaluation.label_ids[:, np.newaxis]
    true_logits = np.take_along_axis(logits, true_ids, axis=1)
    ties_behind = (logits == true_logits) & (np.arange(logits.shape[1]) > true_ids)
    # Those behind, not those before, are counted: a true logit of NaN is then the last.
    behind = ((logits < true_logits) | ties_behind).sum(axis=1)
    return float((behind >= logits.shape[1] - _TOP).mean())
