"""Modules compared on one set of photos: which of them are as good as the best, which to take.

Two modules are told apart by the photos that one answers rightly and the other does not, each photo
asked once by heads that have not met it (Q. McNemar, "Note on the Sampling Error of the Difference
Between Correlated Proportions or Percentages", 1947). If they were equally good, each of these
photos would fall to either with probability 1/2: the test is that of the binomial distribution,
exact and two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from image_retraining.evaluation.cross_validation import CrossValidation
    from image_retraining.evaluation.metrics import Metrics
    from image_retraining.foundation.records import Unreadable

# Modules that are this unlikely to be equally good are told apart.
LEVEL = 0.05
# Few photos tell little apart. What was less accurate by more than this share is not recommended.
MARGIN = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a module costs on this machine.

    Attributes:
        photos_per_second: how many photos are read, decoded and turned into feature vectors.
        milliseconds: how long the exported graph takes for a decoded photo that comes alone.
        megabytes: of the exported graph, in 1e6 bytes.
        int8_megabytes: of the TensorFlow Lite file in 8-bit integers; None unless it is asked for.
    """

    photos_per_second: float
    milliseconds: float
    megabytes: float
    int8_megabytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A module, and how it does.

    Attributes:
        module: as it was named.
        image_size: (H, W) of the photos that it takes, in pixels.
        feature_size: D.
        crossed: the answers of heads to photos that they have not met.
        tested: how a head of the training photos does on the test photos; None where there is none.
        costs: what it costs.
    """

    module: str
    image_size: tuple[int, int]
    feature_size: int
    crossed: CrossValidation
    tested: Metrics | None
    costs: Costs


@dataclass(frozen=True, slots=True)
class Failure:
    """A module that could not be compared.

    Attributes:
        module: as it was named.
        reason: why.
    """

    module: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Modules on one set of photos.

    Attributes:
        contenders: N of them, at least 1: the most accurate first, of equals the quicker.
        p_values: N, how likely differences such as from the first are between equals; 1 of itself.
        failures: the other modules.
        unreadable: photos that could not be read, by no module.
    """

    contenders: tuple[Contender, ...]
    p_values: tuple[float, ...]
    failures: tuple[Failure, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def recommended(self) -> Contender:
        """The quickest of those that may be recommended."""
        return min(self._near, key=lambda one: one.costs.milliseconds)

    @property
    def near_count(self) -> int:
        """How many contenders may be recommended; the first is one of them."""
        return len(self._near)

    @property
    def _near(self) -> list[Contender]:
        """Those that are not told apart from the first, and less accurate by MARGIN at most."""
        least = self.contenders[0].crossed.metrics.accuracy - MARGIN
        return [
            one
            for place, one in enumerate(self.contenders)
            if self.is_as_good(place) and one.crossed.metrics.accuracy >= least
        ]

    def is_as_good(self, place: int) -> bool:
        """Whether the contender at a place is not told apart from the first."""
        return self.p_values[place] >= LEVEL


def compare(
    contenders: Sequence[Contender],
    failures: Sequence[Failure] = (),
    unreadable: Sequence[Unreadable] = (),
) -> Comparison:
    """Returns modules in their order, and which of them to take.

    Args:
        contenders: at least one.
        failures: those that could not be compared.
        unreadable: photos that could not be read.
    """
    ordered = sorted(
        contenders, key=lambda one: (-one.crossed.metrics.accuracy, one.costs.milliseconds)
    )
    best = ordered[0].crossed
    p_values = [1.0, *(p_value(best, one.crossed) for one in ordered[1:])]
    return Comparison(
        contenders=tuple(ordered),
        p_values=tuple(p_values),
        failures=tuple(failures),
        unreadable=tuple(unreadable),
    )


def p_value(one: CrossValidation, other: CrossValidation) -> float:
    """Returns how likely such a difference is between equals, 0 to 1, by the photos of both."""
    of_one, of_other = _right(one), _right(other)
    common = [path for path in one.paths if path in of_other]
    pairs = np.array([(of_one[path], of_other[path]) for path in common], np.bool_).reshape(-1, 2)
    return mcnemar(pairs[:, 0], pairs[:, 1])


def mcnemar(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Returns the p-value, 0 to 1, of the exact two-sided test.

    Args:
        one: bool [N], which photos one answers rightly.
        other: bool [N], which ones the other does.
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - takes a second

    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one == only_other:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def _right(crossed: CrossValidation) -> dict[str, bool]:
    right = crossed.predicted_ids == crossed.label_ids
    return dict(zip(crossed.paths, right.tolist(), strict=True))
