"""A small network whose weights, cuts and gradients can be told by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from conftest import save_module

from image_retraining.backbone.loading import Backbone, load_backbone

_draws = np.random.default_rng(8)


def _normal(*shape: int) -> Any:
    return (_draws.normal(size=shape) * 0.4).astype(np.float32)


# 3 x 3 x 3 x 4 numbers, 4, 1 x 1 x 4 x 4, 3 x 3 x 4 x 5, 5, and 5 x 6.
FIRST, FIRST_BIAS, INNER, SECOND, SECOND_BIAS, LAST = (
    _normal(3, 3, 3, 4),
    _normal(4),
    _normal(1, 1, 4, 4),
    _normal(3, 3, 4, 5),
    _normal(5),
    _normal(5, 6),
)
COUNTS = [108, 4, 16, 180, 5, 30]


def stages(photos: Any, weights: tuple[Any, ...]) -> list[Any]:
    """Returns what there is after each stage of the network, float32 [N, 8, 8, 3] coming in.

    A photo goes through a convolution; one that is added to what came in; one with strides; and a
    layer of its means.
    """
    first, first_bias, inner, second, second_bias, last = weights
    one = tf.nn.relu(tf.nn.conv2d(photos, first, 1, "SAME") + first_bias)
    two = one + tf.nn.relu(tf.nn.conv2d(one, inner, 1, "SAME"))
    three = tf.nn.relu(tf.nn.conv2d(two, second, 2, "SAME") + second_bias)
    means = tf.reduce_mean(three, [1, 2])
    return [one, two, three, means, tf.nn.relu(means @ last)]


WEIGHTS = (FIRST, FIRST_BIAS, INNER, SECOND, SECOND_BIAS, LAST)


def saved_network(folder: Path) -> Path:
    """Writes the network as a module."""
    return save_module(folder, lambda photos: stages(photos, WEIGHTS)[-1])


def loaded_network(folder: Path) -> Backbone:
    """Returns the network as a module that was loaded."""
    return load_backbone(str(saved_network(folder)))
