"""When an answer is too unsure to be given: unknown."""

from dataclasses import dataclass

import numpy as np

from image_retraining.evaluation.calibration import LEAST_RIGHT, with_temperature
from image_retraining.exports.facts import ModelFacts, facts_path
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Floats
from image_retraining.labelling.config import AUTO


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """An answer is unknown if its probability, by the temperature, is below the threshold.

    Attributes:
        threshold: a probability, 0 to 1.
        temperature: what makes the scores' probabilities the calibrated ones.
    """

    threshold: float
    temperature: float

    def sureness(self, scores: Floats) -> float:
        """Returns the probability of the best of float32 [C]."""
        # Graphs of other makers may give what is no probability.
        if self.temperature == 1:
            return float(scores.max())
        return float(with_temperature(scores[np.newaxis], self.temperature).max())


def unknown_rule(threshold: str, facts: ModelFacts | None, name: str) -> UnknownRule:
    """Returns the rule that a threshold asks for.

    Args:
        threshold: as --unknown_threshold; '' for none.
        facts: what is known of the classifier.
        name: of the classifier, for messages.

    Raises:
        GraphError: the classifier's own threshold is asked for, and it has none.
    """
    if threshold != AUTO:
        return UnknownRule(float(threshold or 0), 1.0)
    if facts is None or facts.calibration is None:
        raise GraphError(
            f"--unknown_threshold={AUTO} needs a graph with {facts_path('its name')} beside it, "
            f"written by retrain.py with validation photos. {name} has none. Give a probability, "
            "as in --unknown_threshold=0.6."
        )
    if not facts.calibration.threshold:
        raise GraphError(
            f"--unknown_threshold={AUTO} needs at least {LEAST_RIGHT} right answers on validation "
            f"photos. The training of {name} had fewer, on {facts.calibration.photo_count}. Train "
            "with more photos, or give a probability, as in --unknown_threshold=0.6."
        )
    temperature = 1.0 if facts.temperature_in_graph else facts.calibration.temperature
    return UnknownRule(facts.calibration.threshold, temperature)
