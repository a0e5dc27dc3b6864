"""The last stage: what to do next, by what the others measured."""

from image_retraining.evaluation.advice import Evidence
from image_retraining.evaluation.advice import advise as advise_by
from image_retraining.evaluation.agreement import neighbours_agree
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.evaluation.pool import Pool
from image_retraining.reports.findings import Advised, Copies, CrossValidated, Judged, WrongLabels


def advise(
    photos: Pool,
    *,
    copies: Copies,
    crossed: CrossValidated | None,
    curve: LearningCurve | None,
    judged: Judged,
    wrong: WrongLabels | None,
) -> Advised:
    """Returns what to do next."""
    evidence = Evidence(
        labels=judged.labels,
        photo_counts=photos.counts(len(judged.labels)),
        metrics=crossed.found.metrics if crossed else judged.metrics,
        crossed=crossed.found if crossed else None,
        curve=curve,
        agreement=neighbours_agree(photos),
        # Those that are left out do no harm.
        copies=None if copies.are_dropped else copies.found,
        test_count=len(judged.paths),
        issues=wrong.issues if wrong else None,
    )
    return Advised(advice=advise_by(evidence), labels=judged.labels)
