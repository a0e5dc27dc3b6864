"""What a fine-tuning finds."""

from dataclasses import dataclass

from image_retraining.evaluation.metrics import Metrics
from image_retraining.tuning.fitted import Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a fine-tuning came to.

    Attributes:
        tensor: above which weights were trained.
        share_above: of all weights, 0 to 1.
        epochs: how they did on the validation photos; the first is the head alone.
        kept: the best of them.
        is_better: whether the tuned network is the one to use, and not the head alone.
        validation_count: how many photos say so.
        alone: how the head alone did on the test photos; None without.
    """

    tensor: str
    share_above: float
    epochs: tuple[Epoch, ...]
    kept: Epoch
    is_better: bool
    validation_count: int
    alone: Metrics | None
