"""When an answer is too unsure to be given, or the photo too unlike what was learnt: unknown."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from absl import logging

from image_retraining.evaluation.calibration import LEAST_RIGHT, with_temperature
from image_retraining.evaluation.unknown import FeatureRule
from image_retraining.exports.classifier import Classifier, Features, Scorer
from image_retraining.exports.facts import ModelFacts, facts_path
from image_retraining.exports.unknown_file import rule_in
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Floats, Prediction
from image_retraining.labelling.config import AUTO


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """An answer is unknown if its probability, by the temperature, is below the threshold.

    Attributes:
        threshold: a probability, 0 to 1.
        temperature: what makes the scores' probabilities the calibrated ones.
        by_features: what takes the place of the threshold, where feature vectors tell too.
        step: what lies between two scores, if they are rounded: the highest may mean 1.
    """

    threshold: float
    temperature: float
    by_features: FeatureRule | None = None
    step: float = 0.0

    def sureness(self, scores: Floats) -> float:
        """Returns the probability of the best of float32 [C]."""
        # Graphs of other makers may give what is no probability.
        if self.temperature == 1:
            return float(scores.max())
        return float(with_temperature(scores[np.newaxis], self.temperature).max())

    def is_unknown(self, scores: Floats, distance: float) -> bool:
        """Whether the answer to a photo is unknown.

        Args:
            scores: float32 [C].
            distance: as `asked` gives it.
        """
        sureness = 1.0 if scores.max() >= 1 - self.step else self.sureness(scores)
        if self.by_features is not None:
            return self.by_features.is_unknown(distance, sureness)
        # Written so that what is no number is unknown, where anything is to be.
        return self.threshold > 0 and not sureness >= self.threshold

    def asked(self, classifier: Classifier) -> Scorer:
        """Returns what gives scores and, if the rule needs it, a distance behind them."""
        if self.by_features is None or classifier.features is None:
            return classifier
        return _WithDistance(classifier.streams, classifier.features, self.by_features)

    def taken_apart(self, prediction: Prediction) -> Prediction:
        """Returns the prediction of such scores, with the distance in its place."""
        scores = prediction.scores
        if self.by_features is None or scores is None:
            return prediction
        return replace(prediction, scores=scores[:-1], distance=float(scores[-1]))


class _WithDistance:
    """Gives scores and, behind them, how far the feature vector is from what was learnt.

    Attributes:
        streams: how many batches are best scored at a time.
    """

    def __init__(self, streams: int, features: Features, rule: FeatureRule) -> None:
        self.streams = streams
        self._features, self._rule = features, rule

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C + 1] for float32 [N, H, W, 3]."""
        scores, vectors = self._features.with_scores(images)
        distances = self._rule.space.distances(vectors).astype(np.float32)
        return np.concatenate([scores, distances[:, np.newaxis]], axis=1)


def unknown_rule(
    threshold: str, facts: ModelFacts | None, classifier: Classifier, name: str
) -> UnknownRule:
    """Returns the rule that a threshold asks for.

    Args:
        threshold: as --unknown_threshold; '' for none.
        facts: what is known of the classifier.
        classifier: gives the scores.
        name: of the classifier, for messages.

    Raises:
        GraphError: the classifier's own threshold is asked for, and it has none; or its file of
            it cannot be read.
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
    rule = _by_features(facts, classifier.features, name)
    return UnknownRule(facts.calibration.threshold, temperature, rule, classifier.score_step)


def _by_features(facts: ModelFacts, features: Features | None, name: str) -> FeatureRule | None:
    """Returns the rule by feature vectors; without one, it says why, and what follows."""
    alone = "photos are unknown by the probability alone, which lets more foreign ones through"
    if features is None:
        logging.info("No feature vectors in %s: %s.", name, alone)
        return None
    if not facts.unknown_rule:
        logging.info("No rule for feature vectors with %s: %s.", name, alone)
        return None
    rule = rule_in(features.rule(), features.rule_name, facts)
    if rule is None:
        logging.warning(
            "WARNING: %s is missing, or another graph's. So %s.", features.rule_name, alone
        )
    return rule
