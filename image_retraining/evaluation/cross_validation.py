"""How good heads are on photos they have not met, each photo of all splits being asked once.

The photos are dealt into K folds, stratified by class, those of one content, object or moment into
one. Each fold is answered by a head solved on the others, whose regularisation was chosen on the
others too: M. Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", 1974.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from image_retraining.evaluation.folds import Positions, deal
from image_retraining.evaluation.metrics import Metrics, measure
from image_retraining.evaluation.pool import Pool
from image_retraining.evaluation.solved_head import HeadWishes, solved_head
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats, Ints
from image_retraining.foundation.text import shown
from image_retraining.head.softmax import of_logits, softmax

# So many numbers to learn from take more than a few seconds.
_MANY = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """The answers to N photos by heads that have not met them.

    Attributes:
        paths: N file names.
        label_ids: int32 [N], the true labels.
        probabilities: float32 [N, C], out of fold.
        folds: int [N], the fold of each photo.
        fold_count: K.
        strengths: K, the regularisation that was chosen for the head of each fold.
        left_out: the labels of a single photo, or of copies of one, whose photos are not among
            the N: no head can know them without.
        metrics: of all answers together.
    """

    paths: tuple[str, ...]
    label_ids: Ints
    probabilities: Floats
    folds: Positions
    fold_count: int
    strengths: tuple[float, ...]
    left_out: tuple[str, ...]
    metrics: Metrics

    def misclassified(self) -> Iterator[tuple[str, int]]:
        """Yields path and predicted label_id of each photo that was answered wrongly."""
        answers = zip(self.paths, self.predicted_ids.tolist(), self.label_ids, strict=True)
        return ((path, predicted) for path, predicted, true in answers if predicted != true)

    @property
    def predicted_ids(self) -> Ints:
        """int32 [N], the most probable label of each photo."""
        ids: Ints = self.probabilities.argmax(axis=1).astype(np.int32)
        return ids


def check_fold_count(pool: Pool, labels: tuple[str, ...], fold_count: int) -> None:
    """Checks that each fold can have photos of each class.

    Raises:
        SettingError: a class has fewer groups than there are to be folds.
    """
    counts = pool.group_counts(len(labels))
    smallest = int(counts.argmin())
    if counts[smallest] < fold_count:
        raise SettingError(
            "--cross_validate must be at most the number of photos in the smallest class, those "
            f"of one moment or object counting as one. Got {fold_count}, and {counts[smallest]} "
            f"in {shown(labels[smallest])}. Lower it, or add photos."
        )


def cross_validate(
    pool: Pool, labels: tuple[str, ...], wishes: HeadWishes, *, fold_count: int, seed: int
) -> CrossValidation | None:
    """Returns how heads do on photos that they have not met; None for fewer than two classes.

    A class of a single group is left out.

    Args:
        pool: the photos.
        labels: C class names.
        wishes: how heads are solved.
        fold_count: how many folds, at least 2. Classes of fewer groups are in as many as they can.
        seed: deals the photos.
    """
    counts = pool.group_counts(len(labels))
    if np.count_nonzero(counts > 1) < 2:
        return None
    some = of_known_classes(pool, len(labels))
    fold_count = min(fold_count, int(counts.max()))
    folds = deal(some.label_ids, some.groups, fold_count, seed=seed)
    logits = np.empty([len(some), len(labels)], np.float32)
    strengths = []
    size = len(some) * some.parts[0].features.shape[1]
    with Progress("Cross-validating", len(some), shown=size >= _MANY) as progress:
        for fold in range(fold_count):
            asked = np.flatnonzero(folds == fold)
            solved = solved_head(some, np.flatnonzero(folds != fold), wishes, seed=seed)
            strengths.append(solved.l2)
            logits[asked] = solved.head.logits(some.vectors(asked))
            progress.advance(len(asked))
    return CrossValidation(
        paths=some.paths,
        label_ids=some.label_ids,
        probabilities=softmax(logits),
        folds=folds,
        fold_count=fold_count,
        strengths=tuple(strengths),
        left_out=tuple(labels[label_id] for label_id in np.flatnonzero(counts == 1)),
        metrics=measure(of_logits(logits, some.label_ids), labels),
    )


def of_known_classes(pool: Pool, label_count: int) -> Pool:
    """Returns the photos of classes that heads can know without some of them: of two groups up."""
    counts = pool.group_counts(label_count)
    return pool.rows(np.flatnonzero(counts[pool.label_ids] > 1))
