"""What a head is made of while it is trained, and the Head that comes of it.

It is the softmax layer, after a hidden layer where one is asked for. What standardises its inputs
(batch normalisation: S. Ioffe and C. Szegedy, "Batch Normalization", 2015, without the factor that
the layer after it makes up for) is put into the weights of the Head; dropout (N. Srivastava et al.,
"Dropout", 2014) leaves nothing behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.foundation.records import Floats, Head

_INITIAL_STDDEV = 0.001
# A normal distribution that is cut at two standard deviations has this one.
_STDDEV_OF_TRUNCATED = 0.87962566103423978
# A deviation counts as no smaller than the root of this, as in Keras.
_EPSILON = 0.001
# The mean of all batches so far; of many, the last hundred count most.
_MOST_DECAY = 0.99

Values = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        values: what is trained, by the names of Head.
        step: how many steps are done.
        moments: Adam's means of the gradients and of their squares, by the same names; None before
            the first step, and without Adam.
        running: mean and variance of the batches, float32 [H or D]; none without
            --batch_normalization.
    """

    values: Values
    step: int = 0
    moments: tuple[Values, Values] | None = None
    running: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLayers:
    """The layers of a head.

    Attributes:
        hidden_units: H, of the hidden layer, with ReLU; 0 for none.
        dropout: share of the softmax layer's inputs that are left out at a step, 0 to below 1.
        batch_normalization: whether each step standardises, over its batch, what the hidden layer
            gives before ReLU; without one, the feature vectors.
    """

    hidden_units: int = 0
    dropout: float = 0.0
    batch_normalization: bool = False

    def initial(self, feature_size: int, label_count: int, *, seed: int) -> dict[str, Floats]:
        """Returns the values that training starts from, by their names in Head.

        They are small random weights [D, C], those that He et al. ("Delving Deep into Rectifiers",
        2015) recommend before ReLU, and biases of 0.
        """
        inputs = self.hidden_units or feature_size
        values = {
            "weights": _random([inputs, label_count], _INITIAL_STDDEV, [seed, 0]),
            "bias": np.zeros([label_count], np.float32),
        }
        if self.hidden_units:
            deviation = np.sqrt(2 / feature_size) / _STDDEV_OF_TRUNCATED
            values["hidden_weights"] = _random([feature_size, inputs], deviation, [seed, 1])
            values["hidden_bias"] = np.zeros([inputs], np.float32)
        return values

    def initial_running(self, feature_size: int) -> dict[str, Floats]:
        """Returns the mean and variance to start from, float32 [H or D], where they are kept."""
        if not self.batch_normalization:
            return {}
        size = self.hidden_units or feature_size
        return {"mean": np.zeros([size], np.float32), "variance": np.ones([size], np.float32)}

    def logits(self, values: Any, batch: Any, dropout_seed: Any) -> tuple[Any, dict[str, Any]]:
        """Returns tensors: the logits [B, C] of a step, and the batch's own mean and variance.

        Args:
            values: of the layers.
            batch: float32 [B, D].
            dropout_seed: int64 [2].
        """
        inner, found = batch, {}
        if self.hidden_units:
            inner = tf.matmul(inner, values["hidden_weights"])
        if self.batch_normalization:
            mean, variance = tf.nn.moments(inner, axes=[0])
            inner = (inner - mean) * tf.math.rsqrt(variance + _EPSILON)
            found = {"mean": mean, "variance": variance}
        if self.hidden_units:
            inner = tf.nn.relu(inner + values["hidden_bias"])
        if self.dropout:
            inner = tf.nn.experimental.stateless_dropout(
                inner, self.dropout, seed=dropout_seed, rng_alg="philox"
            )
        return tf.matmul(inner, values["weights"]) + values["bias"], found

    def head(self, values: Values, running: Values) -> Head:
        """Returns the Head that answers as the layers do, with running mean and variance."""
        if not running:
            return Head(**values)
        deviations = np.sqrt(running["variance"] + np.float32(_EPSILON))
        shift = running["mean"] / deviations
        if self.hidden_units:
            return Head(
                values["weights"],
                values["bias"],
                values["hidden_weights"] / deviations,
                values["hidden_bias"] - shift,
            )
        weights = values["weights"]
        return Head(weights / deviations[:, np.newaxis], values["bias"] - shift @ weights)


def after_batch(running: Any, found: Any, number: Any) -> dict[str, Any]:
    """Returns the running means, as tensors, after the batch of a step, from 0."""
    decay = tf.minimum(number / (number + 1), _MOST_DECAY)
    return {name: decay * running[name] + (1 - decay) * found[name] for name in running}


def logits_of(values: Mapping[str, Any], features: Any) -> Any:
    """Returns the logits, as a tensor [N, C], that a Head of such values gives for features."""
    if "hidden_weights" in values:
        features = tf.nn.relu(features @ values["hidden_weights"] + values["hidden_bias"])
    return features @ values["weights"] + values["bias"]


def _random(shape: list[int], stddev: float, seed: list[int]) -> Floats:
    weights: Floats = tf.random.stateless_truncated_normal(shape, seed=seed, stddev=stddev).numpy()
    return weights
