"""How near an export's answers are to those of the training. Needs no TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How near an export's answers are to the head's.

    Attributes:
        photo_count: photos it was asked about.
        same_answers: of how many its most probable label is the head's.
        largest_difference: of any probability, 0 to 1.
        accuracy: share of right answers, 0 to 1.
        head_accuracy: the head's.
    """

    photo_count: int
    same_answers: int
    largest_difference: float
    accuracy: float
    head_accuracy: float


def must_be_the_same(quantization: str) -> bool:
    """Whether an export in such numbers must answer as the head does; in fewer bits it only should.

    Args:
        quantization: as Format.quantization gives it.
    """
    return quantization in ("", "none")
