"""The stages that judge by all photos: how heads do on those they have not met, and by how many."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from absl import logging

from image_retraining.evaluation.cross_validation import (
    CrossValidation,
    check_fold_count,
    cross_validate,
)
from image_retraining.evaluation.learning_curve import LearningCurve, learning_curve
from image_retraining.evaluation.pool import Pool, pool_of
from image_retraining.evaluation.solved_head import HeadWishes
from image_retraining.foundation.large_arrays import folder_in
from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.head.class_weights import class_weights
from image_retraining.photos.splits import object_of
from image_retraining.reports.findings import CrossValidated

Sets = Mapping[Split, FeatureSet]

# What nobody asked for takes seconds at most.
_MOST_UNASKED = 5000
_FEW_TO_JUDGE_BY = 5
_USUAL_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidationSettings:
    """How to judge by all photos; each field as the setting of that name."""

    cross_validate: int
    learning_curve: bool
    class_weight: str
    l2: float
    label_smoothing: float
    seed: int
    bottleneck_dir: str = ""

    def head_wishes(self, labels: tuple[str, ...]) -> HeadWishes:
        """Returns how heads are to be solved: as the one that is trained, as far as that goes."""
        return HeadWishes(
            weigh=partial(class_weights, self.class_weight, labels),
            label_smoothing=self.label_smoothing,
            # A solved head needs some.
            l2=self.l2 if self.l2 > 0 else None,
        )


def pool(sets: Sets, labels: tuple[str, ...], settings: CrossValidationSettings) -> Pool:
    """Returns all photos as one set; many that nobody asked to judge by are not compared.

    Raises:
        SettingError: there are to be more folds than the smallest class has photos.
    """
    compares = _is_asked_for(settings) or sum(map(len, sets.values())) <= _MOST_UNASKED
    return _pool(sets, labels, settings, compares=compares)


def judge_by_all(
    photos: Pool, sets: Sets, labels: tuple[str, ...], settings: CrossValidationSettings
) -> CrossValidated | None:
    """Returns how heads do on photos that they have not met; None where nobody needs it."""
    is_asked_for = _is_asked_for(settings)
    if not (is_asked_for or _needs_it(sets, labels, settings)):
        return None
    if is_asked_for:
        logging.info("Cross-validating")
    found = _crossed(photos, labels, settings)
    if found is None:
        return None
    return CrossValidated(found=found, few_to_judge_by=not is_asked_for)


def learn_from_fewer(
    photos: Pool,
    labels: tuple[str, ...],
    crossed: CrossValidated | None,
    settings: CrossValidationSettings,
) -> LearningCurve | None:
    """Returns how heads do that learn from fewer photos; None unless that is asked for."""
    if crossed is None or not settings.learning_curve:
        return None
    logging.info("Learning from fewer photos")
    wishes = settings.head_wishes(labels)
    return learning_curve(photos, labels, wishes, crossed.found, seed=settings.seed)


def of_all(
    sets: Sets, labels: tuple[str, ...], settings: CrossValidationSettings
) -> CrossValidation | None:
    """Returns how heads do on photos that they have not met, whatever was asked for.

    The folds are as many as are asked for, else 5 at most; None for fewer than two classes of which
    heads can know some photos without others.

    Raises:
        SettingError: as for `pool`.
    """
    return _crossed(_pool(sets, labels, settings, compares=True), labels, settings)


def _pool(
    sets: Sets, labels: tuple[str, ...], settings: CrossValidationSettings, *, compares: bool
) -> Pool:
    folder = folder_in(settings.bottleneck_dir)
    found = pool_of(sets, object_of=object_of, compares=compares, folder=folder)
    if settings.cross_validate > 0:
        check_fold_count(found, labels, settings.cross_validate)
    return found


def _crossed(
    photos: Pool, labels: tuple[str, ...], settings: CrossValidationSettings
) -> CrossValidation | None:
    return cross_validate(
        photos,
        labels,
        settings.head_wishes(labels),
        fold_count=max(settings.cross_validate, 0) or _USUAL_FOLDS,
        seed=settings.seed,
    )


def _is_asked_for(settings: CrossValidationSettings) -> bool:
    return settings.cross_validate > 0 or settings.learning_curve


def _needs_it(sets: Sets, labels: tuple[str, ...], settings: CrossValidationSettings) -> bool:
    """Whether figures of some class would be chance without, and it takes seconds at most."""
    if settings.cross_validate < 0 or sum(map(len, sets.values())) > _MOST_UNASKED:
        return False
    judging = [sets[split].label_ids for split in (Split.VALIDATION, Split.TESTING)]
    return any(np.bincount(ids, minlength=len(labels)).min() < _FEW_TO_JUDGE_BY for ids in judging)
