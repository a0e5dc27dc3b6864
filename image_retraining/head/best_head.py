"""Which head to keep of those that a training passes through: the one that validates best."""

from dataclasses import dataclass, replace

from image_retraining.foundation.records import Head, TrainingReport


@dataclass(frozen=True, slots=True)
class HeadChoice:
    """The best head so far.

    Attributes:
        head: the one with the lowest cross entropy on all validation photos (of very many, on a
            fixed sample), each counting by the weight of its class, as in the training.
        step: after which it was so.
        cross_entropy: of it, so weighted, nats.
        waited: how many evaluations since then found none better.
    """

    head: Head
    step: int
    cross_entropy: float
    waited: int = 0


def chosen(before: HeadChoice | None, report: TrainingReport) -> HeadChoice | None:
    """Returns the choice after a report; of equal heads the earlier one stays.

    A report without an evaluation of all validation photos changes nothing.
    """
    if report.whole_validation is None:
        return before
    cross_entropy = report.whole_validation.weighted_cross_entropy
    # Written so that a cross entropy that is no number never wins over one that is.
    if before is None or cross_entropy < before.cross_entropy:
        return HeadChoice(report.head, report.steps[-1], cross_entropy)
    return replace(before, waited=before.waited + 1)
