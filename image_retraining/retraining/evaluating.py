"""The stages that judge: which photos are copies, how good and how sure a head is, wrong labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from absl import logging

from image_retraining.cache.other_modules import of_other_modules
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation import copies, unknown, wrong_labels
from image_retraining.evaluation.calibration import calibrate, calibrated
from image_retraining.evaluation.metrics import measure
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.foundation.large_arrays import folder_in
from image_retraining.foundation.records import FeatureSet, Floats, Head, Split
from image_retraining.head.sampling import Purpose, without_replacement
from image_retraining.head.softmax import evaluate, softmax
from image_retraining.photos.splits import object_of
from image_retraining.reports.findings import Calibrated, Copies, Judged, WrongLabels

Sets = Mapping[Split, FeatureSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingSettings:
    """How to judge; each field as the setting of that name."""

    duplicate_cosine: float
    drop_duplicates: bool
    calibrate: bool
    test_batch_size: int
    label_issues_file: str
    label_issues_below: float
    seed: int
    bottleneck_dir: str = ""


def find_copies(
    sets: Sets, labels: tuple[str, ...], settings: JudgingSettings, kept: copies.Kept | None = None
) -> Copies:
    """Returns which photos are one and the same; a long search is kept for the next time."""
    found = copies.find(sets, cosine=settings.duplicate_cosine, kept=kept)
    return Copies(found=found, labels=labels, are_dropped=settings.drop_duplicates)


def without_copies(sets: Sets, found: Copies, bottleneck_dir: str) -> Sets:
    """Returns what is to be learnt from, without copies if they are dropped.

    Args:
        sets: all photos.
        found: their copies.
        bottleneck_dir: where what stays may lie that takes too much memory; '' for nowhere else.

    Raises:
        PhotoError: fewer than two classes have training photos.
    """
    if found.are_dropped:
        sets = copies.without_copies(sets, found.found, folder=folder_in(bottleneck_dir))
    check_learnt(sets, found.labels)
    return sets


def check_learnt(sets: Sets, labels: tuple[str, ...]) -> None:
    """Checks that there is something to learn from.

    Raises:
        PhotoError: fewer than two classes have training photos.
    """
    learnt = set(sets[Split.TRAINING].label_ids.tolist())
    if len(learnt) < 2:
        raise PhotoError(
            "At least 2 classes must have training photos. "
            f"Got {len(learnt)} of {len(labels)}. Add photos, or lower "
            "--testing_percentage and --validation_percentage."
        )


def look_how_sure(head: Head, sets: Sets, settings: JudgingSettings) -> Calibrated:
    """Returns how sure a head may be of its answers, by validation photos; and the head to export.

    Raises:
        SettingError: the temperature is to be in the head, and the head went astray.
    """
    photos, into_head = sets[Split.VALIDATION], settings.calibrate
    calibration, evaluation, problem = None, None, ""
    if len(photos):
        evaluation = evaluate(head, photos.features, photos.label_ids)
        try:
            calibration = calibrate(evaluation.logits, evaluation.label_ids)
        except SettingError as error:
            if into_head:
                raise
            problem = str(error)
    elif into_head:
        problem = "--calibrate does nothing: there is no validation photo."
    rule = None
    if calibration is not None and evaluation is not None:
        sureness = softmax(evaluation.logits / np.float32(calibration.temperature))
        rule = unknown.fit(sets[Split.TRAINING], photos, sureness)
    in_graph = into_head and calibration is not None
    if in_graph and calibration and calibration.temperature == 1:
        problem = "--calibrate does nothing: the temperature stays 1, for the reason that follows."
    return Calibrated(
        head=calibrated(head, calibration.temperature) if calibration and in_graph else head,
        calibration=calibration,
        evaluation=evaluation if calibration else None,
        unknown=rule,
        problem=problem,
        in_graph=in_graph,
    )


def judge(head: Head, sets: Sets, labels: tuple[str, ...], settings: JudgingSettings) -> Judged:
    """Returns how a head does on the test photos, which it has never met."""
    photos = sets[Split.TESTING]
    if not len(photos):
        return Judged(labels=labels, paths=(), evaluation=None, metrics=None)
    chosen = np.arange(len(photos))
    if -1 < settings.test_batch_size < len(photos):
        chosen = without_replacement(
            len(photos), settings.test_batch_size, seed=settings.seed, purpose=Purpose.TESTING
        )
    evaluation = evaluate(head, photos.features[chosen], photos.label_ids[chosen])
    return Judged(
        labels=labels,
        paths=tuple(photos.paths[row] for row in chosen),
        evaluation=evaluation,
        metrics=measure(evaluation, labels),
    )


def other_vectors(
    sets: Sets, fingerprint: str, cache: BottleneckCache
) -> Sequence[Mapping[bytes, Floats]]:
    """Returns digest → vector of other modules that the cache has of all photos.

    Args:
        sets: all photos.
        fingerprint: of the module that they have vectors of.
        cache: where others may be.
    """
    digests = [digest for photos in sets.values() for digest in photos.digests]
    if len(digests) != sum(map(len, sets.values())):
        return []
    return of_other_modules(cache, fingerprint, digests)


def wrong_labels_of(
    sets: Sets, settings: JudgingSettings, others: Sequence[Mapping[bytes, Floats]]
) -> tuple[LabelIssue, ...]:
    """Returns the photos whose label looks wrong, the worst first.

    Args:
        sets: all photos.
        settings: from which score on.
        others: what other modules have of them.
    """
    return wrong_labels.find(
        sets,
        seed=settings.seed,
        below=settings.label_issues_below,
        others=others,
        object_of=object_of,
        folder=folder_in(settings.bottleneck_dir),
    )


def look_at_labels(
    sets: Sets,
    labels: tuple[str, ...],
    settings: JudgingSettings,
    others: Sequence[Mapping[bytes, Floats]],
) -> WrongLabels | None:
    """Returns which photos have a label that looks wrong; None unless they are asked for."""
    if not settings.label_issues_file:
        return None
    count = 1 + len(others)
    of_modules = f" by the vectors of {count} modules" if others else ""
    logging.info("Looking for labels that look wrong%s", of_modules)
    return WrongLabels(
        issues=wrong_labels_of(sets, settings, others),
        labels=labels,
        photo_count=sum(map(len, sets.values())),
    )
