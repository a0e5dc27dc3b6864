import numpy as np
import pytest

from image_retraining.labelling.unknown import UnknownRule


@pytest.mark.parametrize(
    ("scores", "threshold", "temperature", "is_unknown"),
    [
        ([0.5, 0.5], 0.6, 1.0, True),
        ([0.7, 0.3], 0.6, 1.0, False),
        # What an int8 file gives when each of a thousand labels has less than 1 / 512.
        ([0.0, 0.0, 0.0, 0.0], 0.6, 1.3, True),
        ([0.0, 0.0, 0.0, 0.0], 0.6, 1.0, True),
        # No number is no probability that reaches the threshold.
        ([float("nan"), 0.9], 0.6, 1.0, True),
        ([float("nan"), 0.9], 0.6, 1.3, True),
        # Nothing is unknown where nobody asked.
        ([float("nan"), 0.9], 0.0, 1.0, False),
        ([0.0, 0.0, 0.0, 0.0], 0.0, 1.0, False),
    ],
)
def test_an_answer_is_unknown_unless_it_reaches_the_threshold(
    scores: list[float],
    threshold: float,
    temperature: float,
    is_unknown: bool,  # noqa: FBT001
) -> None:
    rule = UnknownRule(threshold, temperature)
    assert rule.is_unknown(np.array(scores, np.float32), 0.0) is is_unknown
