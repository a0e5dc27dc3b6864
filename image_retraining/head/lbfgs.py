"""Feature vectors → the best softmax layer there is for them: a convex problem, solved by L-BFGS.

The loss is the mean cross entropy, each photo counting by its weight, plus l2 / 2 times the sum of
the squared weights of the layer; the bias is free. It is that of scikit-learn's LogisticRegression
divided by the sum of the weights, with C = 1 / (l2 * that sum).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.records import Floats, Head, Ints

_Doubles = npt.NDArray[np.float64]

_MOST_ITERATIONS = 1000
# Multiplications of a loss below which a second core costs more than it gives.
_SMALL = 1e9
# Photos at a time: of more, the logits alone would take much memory.
_ROWS = 65_536
# Relative change of the loss, and largest slope, at which it counts as solved.
_LOSS_TOLERANCE, _SLOPE_TOLERANCE = 1e-9, 1e-6


@dataclass(frozen=True, slots=True)
class Samples:
    """What to learn from: blocks of feature vectors, so that large ones need not be joined.

    Attributes:
        features: float32 [n, D] each.
        label_ids: int32 [n] each.
        weights: float32 [n] each, how much each vector counts, 0 or more, and not all 0.
        label_count: C.
    """

    features: Sequence[Floats]
    label_ids: Sequence[Ints]
    weights: Sequence[Floats]
    label_count: int


@dataclass(frozen=True, slots=True)
class Solution:
    """A solved layer.

    Attributes:
        head: weights [D, C] and bias [C].
        loss: what was minimised.
        iterations: of L-BFGS.
        has_converged: False if it stopped at 1000 iterations.
    """

    head: Head
    loss: float
    iterations: int
    has_converged: bool


def solve(
    samples: Samples, *, l2: float, label_smoothing: float = 0.0, start: Head | None = None
) -> Solution:
    """Returns the layer with the lowest loss.

    Args:
        samples: N vectors, N at least 1.
        l2: strength of the regularisation, above 0.
        label_smoothing: share of the truth that goes evenly to all labels, 0 to below 1.
        start: a layer near by, which saves time; None starts from zeros.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - takes half a second

    objective = _Objective(samples, l2, label_smoothing)
    size = sum(features.size for features in samples.features) * samples.label_count
    with _thread_pools().limit(limits=1 if size < _SMALL else None):
        found = minimize(
            objective,
            objective.packed(start),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": _MOST_ITERATIONS,
                "maxfun": 2 * _MOST_ITERATIONS,
                "ftol": _LOSS_TOLERANCE,
                "gtol": _SLOPE_TOLERANCE,
            },
        )
    return Solution(objective.head(found.x), float(found.fun), int(found.nit), found.status != 1)


@cache
def _thread_pools() -> ThreadpoolController:
    """Returns those of the libraries that compute, which to find takes as long as a small head."""
    return ThreadpoolController()


def _in_blocks(samples: Samples) -> Samples:
    """Returns the samples in smaller blocks, which lie where they lay."""

    def cut(parts: Sequence[Any]) -> list[Any]:
        return [
            part[start : start + _ROWS] for part in parts for start in range(0, len(part), _ROWS)
        ]

    return Samples(
        cut(samples.features), cut(samples.label_ids), cut(samples.weights), samples.label_count
    )


class _Objective:
    """The loss and its slope, as a function of one long vector.

    The vector holds the weights [D, C] and the bias that centred features would have [C]: their
    mean is alike for all labels and would make the problem slow to solve. The solution is the same.
    """

    def __init__(self, samples: Samples, l2: float, label_smoothing: float) -> None:
        self._samples = samples = _in_blocks(samples)
        self._l2 = l2
        self._smoothing = label_smoothing
        self._total = float(sum(weights.sum(dtype=np.float64) for weights in samples.weights))
        blocks = zip(samples.weights, samples.features, strict=True)
        mean = sum(weights @ features for weights, features in blocks) / self._total
        self._mean = np.asarray(mean, np.float32)

    def packed(self, head: Head | None) -> _Doubles:
        shape = [len(self._mean) + 1, self._samples.label_count]
        packed = np.zeros(shape)
        if head is not None:
            packed[:-1] = head.weights
            packed[-1] = head.bias + self._mean @ head.weights
        return packed.ravel()

    def head(self, packed: _Doubles) -> Head:
        rows = packed.reshape([-1, self._samples.label_count])
        weights = rows[:-1].astype(np.float32)
        return Head(weights, (rows[-1] - self._mean @ rows[:-1]).astype(np.float32))

    def __call__(self, packed: _Doubles) -> tuple[float, _Doubles]:
        """Returns the loss and its slope."""
        raise_if_interrupted()
        rows = packed.reshape([-1, self._samples.label_count])
        weights, bias = rows[:-1].astype(np.float32), rows[-1].astype(np.float32)
        bias -= self._mean @ weights
        loss = 0.0
        slope = np.zeros_like(rows)
        samples = self._samples
        for features, label_ids, counts in zip(
            samples.features, samples.label_ids, samples.weights, strict=True
        ):
            block_loss, errors = self._errors(features @ weights + bias, label_ids, counts)
            loss += block_loss
            slope[:-1] += features.T @ errors
            slope[-1] += errors.sum(axis=0, dtype=np.float64)
        slope[:-1] -= np.outer(self._mean, slope[-1])
        slope /= self._total
        slope[:-1] += self._l2 * rows[:-1]
        penalty = self._l2 / 2 * float(np.square(rows[:-1]).sum())
        return loss / self._total + penalty, slope.ravel()

    def _errors(self, logits: Floats, label_ids: Ints, counts: Floats) -> tuple[float, Floats]:
        """Returns the weighted sum of the losses, and their slopes by the logits [n, C]."""
        logits -= logits.max(axis=1, keepdims=True)
        places = np.arange(len(logits))
        true = logits[places, label_ids].astype(np.float64)
        mean = logits.mean(axis=1, dtype=np.float64) if self._smoothing else 0.0
        probabilities = np.exp(logits, out=logits)
        sums = probabilities.sum(axis=1)
        probabilities /= sums[:, np.newaxis]
        log_sums = np.log(sums.astype(np.float64))
        losses = log_sums - (1 - self._smoothing) * true - self._smoothing * mean
        if self._smoothing:
            probabilities -= self._smoothing / self._samples.label_count
        probabilities[places, label_ids] -= 1 - self._smoothing
        probabilities *= counts[:, np.newaxis]
        return float(losses @ counts), probabilities
