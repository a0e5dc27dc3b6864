"""Where a fine-tuning stands: how each epoch did, and the weights that did best.

The temperature is fitted before losses are compared: a network that trains gets over-confident
before it gets wrong, and by its plain loss the first epochs would win.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from image_retraining.evaluation.calibration import fit_temperature
from image_retraining.foundation.records import Floats, Ints
from image_retraining.head.softmax import of_logits


@dataclass(frozen=True, slots=True)
class Rank:
    """How good a network is on validation photos; the larger, the better.

    Attributes:
        accuracy: 0 to 1.
        cross_entropy: nats, after the temperature is fitted.
    """

    accuracy: float
    cross_entropy: float

    def is_better_than(self, other: "Rank") -> bool:
        """Whether it has more right answers, or as many and is surer of them."""
        return (self.accuracy, -self.cross_entropy) > (other.accuracy, -other.cross_entropy)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        number: from 1; 0 is the head alone, before the first.
        training_loss: mean of the photos learnt from, nats; nan before the first.
        rank: by the validation photos.
    """

    number: int
    training_loss: float
    rank: Rank


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where a fine-tuning stands, after an epoch.

    Attributes:
        epochs: all so far, the head alone first.
        numbers: the weights, those of the head last.
        moments: Adam's means of their gradients, and of the squares of these.
        best: the weights that validated best.
    """

    epochs: tuple[Epoch, ...]
    numbers: tuple[Floats, ...]
    moments: tuple[Floats, ...]
    best: tuple[Floats, ...]

    @property
    def kept(self) -> Epoch:
        """The epoch that validated best; the first of them."""
        kept = self.epochs[0]
        for epoch in self.epochs:
            if epoch.rank.is_better_than(kept.rank):
                kept = epoch
        return kept

    @property
    def waited(self) -> int:
        """How many epochs came after the best one."""
        return self.epochs[-1].number - self.kept.number


def rank(logits: Floats, label_ids: Ints) -> Rank:
    """Returns how good logits float32 [N, C] are, N at least 1."""
    found = of_logits(logits, label_ids)
    temperature = fit_temperature(logits, label_ids)
    calibrated = of_logits((logits / temperature).astype(np.float32), label_ids)
    return Rank(found.accuracy, calibrated.cross_entropy)


def arrays_of(state: Fitted) -> dict[str, Any]:
    """Returns the arrays of a state, as files have them."""
    epochs = [
        (one.number, one.training_loss, one.rank.accuracy, one.rank.cross_entropy)
        for one in state.epochs
    ]
    arrays: dict[str, Any] = {"epochs": np.array(epochs, np.float64)}
    for kind in ("numbers", "moments", "best"):
        for place, values in enumerate(getattr(state, kind)):
            arrays[f"{kind}_{place}"] = values
    return arrays


def state_of(arrays: Any) -> Fitted:
    """Returns the state of such arrays; raises KeyError, TypeError or ValueError without."""
    epochs = tuple(
        Epoch(int(number), loss, Rank(accuracy, cross_entropy))
        for number, loss, accuracy, cross_entropy in arrays["epochs"].tolist()
    )
    count = sum(name.startswith("numbers_") for name in arrays)

    def numbers(kind: str, count: int) -> tuple[Floats, ...]:
        return tuple(arrays[f"{kind}_{place}"] for place in range(count))

    return Fitted(
        epochs, numbers("numbers", count), numbers("moments", 2 * count), numbers("best", count)
    )
