"""Frozen graph + photos → where in each photo the evidence for a label is.

By Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2017) but for its last step, the ReLU: what speaks against a label stays below 0. Who
draws a map leaves it out after enlarging it; earlier, that would move the edges of the evidence.

Where the logits are weighted means of the map of features, as with MobileNets, this is the class
activation map (Zhou et al., "Learning Deep Features for Discriminative Localization", 2016) divided
by the number of places: each place's exact share in the logit. Elsewhere it is an estimate.

It is as coarse as the map, 7 x 7 places of a photo for most networks. It puts objects a little
further to the upper left: MobileNets by 2 to 7 of 224 pixels, measured on 60 photos and their
mirror images.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.evidence.feature_map import last_map, no_map
from image_retraining.foundation.errors import GraphError, first_line
from image_retraining.foundation.records import Floats, Ints

_SAME_NUMBERS = frozenset({"Identity", "Reshape", "Squeeze"})
_PROBABILITIES = frozenset({"Sigmoid", "Softmax"})


@dataclass(frozen=True, slots=True)
class Explained:
    """What a graph says of some photos, and where it sees it.

    Attributes:
        scores: float32 [N, C].
        label_ids: int32 [N], the labels that the maps are about.
        maps: float32 [N, h, w], above 0 where a place speaks for the label, below 0 where against
            it. Where the logits are weighted means of the map of features, a map's sum is the logit
            less what is the same for all photos. Elsewhere it has no unit.
    """

    scores: Floats
    label_ids: Ints
    maps: Floats


class Evidence:
    """A frozen graph that tells where the evidence for its answers is."""

    def __init__(self, graph_def: Any, input_name: str, output_name: str) -> None:
        """Finds the map of features in the graph, and adds what is to be computed of it.

        Args:
            graph_def: a frozen GraphDef.
            input_name: tensor name of the photos, float32 [N, H, W, 3].
            output_name: tensor name of the scores, float32 [N, C]: probabilities or logits.

        Raises:
            GraphError: it has no map of features, or no gradient reaches it.
        """
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph:
            photos, scores = tf.graph_util.import_graph_def(
                # Importing a graph fills in attributes in the message that it is given.
                copy.deepcopy(graph_def),
                return_elements=[input_name, output_name],
                name="",
            )
            best = tf.argmax(scores, axis=-1, output_type=tf.int32)
            label_ids = v1.placeholder_with_default(best, [None])
            logits = _logits(scores)
            features = last_map(photos, logits)
            gradient = _gradient(tf.gather(logits, label_ids, batch_dims=1), features)
            weights = tf.reduce_mean(gradient, axis=[1, 2], keepdims=True)
            maps = tf.reduce_sum(features * weights, axis=-1)
        self._photos, self._label_ids = photos, label_ids
        self._fetches = (scores, label_ids, maps)
        self._session = v1.Session(graph=graph)

    def explain(self, images: Floats, label_ids: Ints | None = None) -> Explained:
        """Returns the scores of photos and the evidence for one label of each.

        Args:
            images: float32 [N, H, W, 3], as the graph takes them.
            label_ids: int [N]; None is the best label of each photo.

        Raises:
            GraphError: the graph cannot work with such photos.
        """
        feed: dict[Any, Any] = {self._photos: images}
        if label_ids is not None:
            feed[self._label_ids] = label_ids
        try:
            scores, of_labels, maps = self._session.run(self._fetches, feed)
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            reason = first_line(error)
            raise GraphError(
                f"--graph must take a batch of photos of any number. Got {images.shape}: {reason}"
            ) from error
        return Explained(
            np.asarray(scores, np.float32), np.asarray(of_labels), np.asarray(maps, np.float32)
        )


def _logits(scores: Any) -> Any:
    """Returns what the scores are the softmax or sigmoid of; the scores if they are neither."""
    tensor = scores
    while tensor.op.type in _SAME_NUMBERS:
        tensor = tensor.op.inputs[0]
    logits = tensor.op.inputs[0] if tensor.op.type in _PROBABILITIES else scores
    if logits.shape.rank != 2:
        raise no_map(f"{logits.name}, which should be the logits, is not [photos, labels]")
    return logits


def _gradient(chosen: Any, of: Any) -> Any:
    try:
        (gradient,) = tf.gradients(chosen, of)
    except LookupError as error:
        reason = first_line(error)
        raise no_map(f"TensorFlow cannot tell the gradients behind {of.name} ({reason})") from error
    if gradient is None:
        raise no_map(f"no gradient reaches {of.name}")
    return gradient
