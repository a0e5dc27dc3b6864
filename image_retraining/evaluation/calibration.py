"""Validation logits → how sure a head may be of its answers, and below what it had better not say.

A head's probabilities are often too high, or too low after strong regularisation. One temperature
for all of them, which changes no answer, makes them as high as its answers are often right.

Few photos say little: of fewer than 50, chance moves the temperature by more than it mends. And a
threshold that 95% of the right answers reach needs 20 of them, of which 5% are one: of n right
answers with k = floor(0.05 n) below it, a share of (k + 1) / (n + 1) of later ones is expected
below, which is at most 10% from there on, but 33% of 2.
"""

import math
import reprlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.errors import GraphError, SettingError
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.head.softmax import softmax

_Doubles = npt.NDArray[np.float64]

# Only a handful of photos would have a temperature beyond these.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0

LEAST_PHOTOS = 50
LEAST_RIGHT = 20

_BINS = 15
_KEEP = 0.95
# A verified graph's probabilities differ from those worked out here by no more.
_SLACK = 1e-3
# No useful head has such logits; larger ones overflow at the lowest temperature.
_ASTRAY = 1e30
_RANGES = {
    "temperature": (LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE),
    "threshold": (0.0, 1.0),
    "error_before": (0.0, 1.0),
    "error_after": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What validation photos say of a head's probabilities.

    Attributes:
        temperature: what logits are divided by, 0.05 to 20; 1 where nobody knows a better one.
        threshold: an answer is unknown if its probability, by that temperature, is below; 0 to 1.
            With 0, none is: there were too few right answers.
        error_before: expected calibration error without the temperature, 0 to 1.
        error_after: the same with it, on the photos that it was fitted to.
        photo_count: number of validation photos, at least 1.
    """

    temperature: float
    threshold: float
    error_before: float
    error_after: float
    photo_count: int

    @classmethod
    def from_dict(cls, content: Any, *, path: str) -> Self:
        """Returns the calibration of its figures by their names.

        Args:
            content: what JSON gives; more names than those of the figures do no harm.
            path: the file it comes from, for messages.

        Raises:
            GraphError: a figure is missing, or no number, or out of its range.
        """
        if not isinstance(content, dict):
            raise _broken("be an object with the figures' names", content, path)
        figures = {name: _figure(content, name, path) for name in _RANGES}
        return cls(**figures, photo_count=_photo_count(content, path))


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often answers of about the same probability are right.

    Attributes:
        counts: float64 [bins], number of answers whose probability is in a bin.
        confidence: float64 [bins], mean of these probabilities; 0 in a bin without answers.
        accuracy: float64 [bins], share of right ones among these answers; likewise.
    """

    counts: _Doubles
    confidence: _Doubles
    accuracy: _Doubles


def calibrate(logits: Floats, label_ids: Ints) -> Calibration:
    """Returns what validation photos say of a head's probabilities.

    The temperature stays 1 where there are fewer than 50 photos, and where the one that fits best
    makes the expected calibration error larger. The threshold keeps 95% of the right answers, less
    what a written graph may differ by; it is 0 where fewer than 20 are right.

    Args:
        logits: float32 [N, C], N at least 1.
        label_ids: int32 [N], the true labels.

    Raises:
        SettingError: a logit is beyond 1e30, or not a number.
    """
    largest = np.abs(logits).max()
    # NaN is not below it either.
    if not largest < _ASTRAY:
        raise SettingError(
            f"A head can be calibrated if its logits for validation photos are below {_ASTRAY:g}. "
            f"Got {largest:g}: the training went astray. Lower --learning_rate."
        )
    before = after = softmax(logits)
    error = error_after = expected_calibration_error(before, label_ids)
    temperature = 1.0
    if len(logits) >= LEAST_PHOTOS:
        fitted = fit_temperature(logits, label_ids)
        probabilities = softmax(logits / fitted)
        error_fitted = expected_calibration_error(probabilities, label_ids)
        if error_fitted <= error:
            temperature, after, error_after = fitted, probabilities, error_fitted
    right_count = int((after.argmax(axis=1) == label_ids).sum())
    threshold = unknown_threshold(after, label_ids) - _SLACK if right_count >= LEAST_RIGHT else 0.0
    return Calibration(
        temperature=temperature,
        threshold=max(0.0, threshold),
        error_before=error,
        error_after=error_after,
        photo_count=len(logits),
    )


def fit_temperature(logits: Floats, label_ids: Ints) -> float:
    """Returns the T, 0.05 to 20, at which softmax(logits / T) has the lowest mean cross entropy.

    From Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.

    Where no answer is wrong, the lowest T would be the best, and all probabilities 0 or 1. N right
    answers of N rather promise (N + 1) / (N + 2), by Laplace's rule of succession. So 1 / (N + 2)
    of the truth goes evenly to all labels there. Logits that no T changes give 1.

    Args:
        logits: float32 [N, C], within 1e30, N at least 1.
        label_ids: int32 [N], the true labels.
    """
    gaps = logits - logits.max(axis=1, keepdims=True)
    true_gap = float(gaps[np.arange(len(gaps)), label_ids].mean(dtype=np.float64))
    if true_gap == 0:
        true_gap = float(gaps.mean(dtype=np.float64)) / (len(gaps) + 2)

    def slope(inverse: float) -> float:
        """Returns the loss's slope by 1 / T. It rises with 1 / T: the loss is convex in it."""
        weights = np.exp(gaps * np.float32(inverse))
        means = np.einsum("nc,nc->n", weights, gaps) / weights.sum(axis=1)
        return float(means.mean(dtype=np.float64)) - true_gap

    if slope(1.0) == 0:
        return 1.0
    if slope(1 / LOWEST_TEMPERATURE) <= 0:
        return LOWEST_TEMPERATURE
    if slope(1 / HIGHEST_TEMPERATURE) >= 0:
        return HIGHEST_TEMPERATURE
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    # By halves: to import SciPy's roots takes a fifth of a second, and this a hundredth.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / middle


def unknown_threshold(probabilities: Floats, label_ids: Ints, keep: float = _KEEP) -> float:
    """Returns the highest threshold with at least a share of the right answers not below it.

    It is the probability of one of them; 0, with which nothing is unknown, where none is right.

    Args:
        probabilities: float32 [N, C].
        label_ids: int32 [N], the true labels.
        keep: the share, above 0, to 1.
    """
    right = probabilities.argmax(axis=1) == label_ids
    confidence = np.sort(probabilities.max(axis=1)[right])
    # Rounded, because 10 * (1 - 0.9) is less than 1.
    below = math.floor(round(len(confidence) * (1 - keep), 9))
    return float(confidence[below]) if len(confidence) else 0.0


def reliability(probabilities: Floats, label_ids: Ints, bins: int = _BINS) -> Reliability:
    """Returns how often answers of about the same probability are right.

    Args:
        probabilities: float32 [N, C].
        label_ids: int32 [N], the true labels.
        bins: of equal width; each begins above its lower bound, and includes its upper one.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == label_ids
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins).astype(np.float64)
    confidences, rights = (np.bincount(places, each, bins) for each in (confidence, right))
    some = counts.clip(1)
    return Reliability(counts, confidences / some, rights / some)


def expected_calibration_error(probabilities: Floats, label_ids: Ints, bins: int = _BINS) -> float:
    """Returns how far the answers' probabilities are from how often they are right, 0 to 1.

    It is |accuracy - mean probability| of each bin, weighted by the bin's share of the answers:
    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", 2015. Chance alone moves each bin's accuracy, so that it is too high for few photos:
    of 100 flowers, a head whose probabilities are perfect has about 8%.

    Args:
        probabilities: float32 [N, C], N at least 1.
        label_ids: int32 [N], the true labels.
        bins: as for reliability().
    """
    found = reliability(probabilities, label_ids, bins)
    distances = np.abs(found.accuracy - found.confidence)
    return float(distances @ found.counts / found.counts.sum())


def calibrated(head: Head, temperature: float) -> Head:
    """Returns the head whose logits are those of another, divided by a temperature."""
    divisor = np.float32(temperature)
    return replace(head, weights=head.weights / divisor, bias=head.bias / divisor)


def with_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Returns softmax(logits / temperature) for softmax(logits), float32 [..., C] both.

    A probability of 0 stays 0, though a logit far below the others may have been behind it. Where
    all are 0, as many unlikely labels are in steps of 1 / 256, nothing tells the labels apart: they
    are equally probable.
    """
    logs = np.full_like(probabilities, -np.inf)
    # Written so that what is no number stays so, and does not count as 0.
    np.log(probabilities, out=logs, where=~(probabilities <= 0))
    logs[(probabilities == 0).all(axis=-1)] = 0
    powers = np.exp((logs - logs.max(axis=-1, keepdims=True)) / np.float32(temperature))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _figure(content: dict[str, Any], name: str, path: str) -> float:
    low, high = _RANGES[name]
    value: Any = content.get(name)
    # NaN, which Python's JSON knows, is in no range.
    if type(value) not in (int, float) or not low <= value <= high:
        raise _broken(f"have a {name}, a number from {low:g} to {high:g}", value, path)
    return float(value)


def _photo_count(content: dict[str, Any], path: str) -> int:
    value: Any = content.get("photo_count")
    # True is an int to Python.
    if type(value) is not int or value < 1:
        raise _broken("have a photo_count, a whole number from 1", value, path)
    return int(value)


def _broken(rule: str, got: object, path: str) -> GraphError:
    shown = "none" if got is None else reprlib.repr(got)
    return GraphError(
        f"The calibration in {path} must {rule}. Got {shown}. Export the graph again "
        "with --calibrate, or remove the file."
    )
