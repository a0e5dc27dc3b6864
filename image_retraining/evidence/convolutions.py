"""Frozen graph → its convolutions, what they make of photos, and what excites them most."""

import copy
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from image_retraining.evidence.feature_map import ops_between
from image_retraining.foundation.errors import GraphError, first_line
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.records import Floats, Ints

_KINDS = ("Conv2D", "DepthwiseConv2dNative")
# What may follow a convolution in its layer: sums and products with numbers of the graph.
_LINEAR = frozenset(
    {"Add", "AddV2", "BiasAdd", "FusedBatchNormV3", "Identity", "Mul", "RealDiv", "Sub"}
)
_BENT = frozenset({"Elu", "LeakyRelu", "Maximum", "Minimum", "Relu", "Relu6", "Selu"})
# Ascents: grey with so much noise to begin with, steps in units of a pixel's range, and how far
# the gradient is blurred, in pixels.
_NOISE, _STEPS, _STEP, _BLUR = 0.05, 24, 0.06, 1.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution.

    Attributes:
        name: of its op.
        number: its place among all convolutions, from 1.
        channels: how many filters it has.
        sums: tensor of what it sums up, [N, h, w, channels].
        output: tensor of what it hands on, [N, h, w, channels].
    """

    name: str
    number: int
    channels: int
    sums: Any
    output: Any


class Convolutions:
    """The convolutions of a frozen graph.

    Attributes:
        layers: some of them, evenly from the first to the last.
        count: how many there are.
    """

    def __init__(self, graph_def: Any, input_name: str, output_name: str, *, at_most: int) -> None:
        """Finds them.

        Args:
            graph_def: a frozen GraphDef.
            input_name: tensor name of the photos, float32 [N, H, W, 3], 0 to 1.
            output_name: tensor name of what the graph is for.
            at_most: how many layers, at least 1.

        Raises:
            GraphError: it has none, or they have their channels first.
        """
        with tf.Graph().as_default() as graph:
            self._photos, output = tf.graph_util.import_graph_def(
                # Importing a graph fills in attributes in the message that it is given.
                copy.deepcopy(graph_def),
                return_elements=[input_name, output_name],
                name="",
            )
            between = ops_between(self._photos, output)
            self._channels = tf.compat.v1.placeholder(tf.int32, [None])
        ops = [op for op in between if op.type in _KINDS]
        if not ops:
            raise GraphError("The module has no convolution.")
        if any(op.get_attr("data_format") != b"NHWC" for op in ops):
            raise GraphError("The module's convolutions have their channels first.")
        places = np.unique(np.linspace(0, len(ops) - 1, at_most).round().astype(int)).tolist()
        names = {op.name for op in between}
        self.layers = tuple(_layer(ops[place], place + 1, names) for place in places)
        self.count = len(ops)
        self._first = ops[0]
        self._session = tf.compat.v1.Session(graph=graph)

    def filters(self) -> Floats:
        """Returns float32 [h, w, channels in, filters], the weights of the first convolution."""
        weights = np.asarray(self._session.run(self._first.inputs[1]), np.float32)
        if self._first.type == "Conv2D":
            return weights
        # Each filter of a depthwise convolution looks at one channel.
        return weights.reshape([*weights.shape[:2], 1, -1])

    def maps(self, images: Floats) -> list[Floats]:
        """Returns float32 [N, h, w, channels] a layer, what it makes of photos.

        Args:
            images: float32 [N, H, W, 3], 0 to 1.
        """
        outputs = [layer.output for layer in self.layers]
        maps: list[Floats] = self._session.run(outputs, {self._photos: images})
        return maps

    def exciting(
        self, layer: Layer, channels: Sequence[int], size: tuple[int, int], *, seed: int
    ) -> Floats:
        """Returns float32 [K, H, W, 3], 0 to 1: for each filter a picture that excites it much.

        By gradient ascent on pixels, from grey with a little noise: D. Erhan et al., "Visualizing
        Higher-Layer Features of a Deep Network", 2009; K. Simonyan et al., "Deep Inside
        Convolutional Networks", 2014. What grows is the mean over the picture of what the filter
        sums up, before anything is cut off, for where all is cut off no gradient is left. The steps
        are blurred a little, without which dots rather than shapes come out (J. Yosinski et al.,
        "Understanding Neural Networks Through Deep Visualization", 2015).

        Args:
            layer: one of the layers.
            channels: K filters of it.
            size: (H, W).
            seed: of the noise.

        Raises:
            GraphError: no gradient gets from the layer to the pixels.
        """
        gradient = self._gradient(layer)
        noise = np.random.default_rng(seed).normal(size=[*size, 3])
        pictures = np.repeat((0.5 + _NOISE * noise)[np.newaxis], len(channels), axis=0)
        for step in range(_STEPS):
            raise_if_interrupted()
            feed = {self._photos: pictures, self._channels: np.asarray(channels, np.int32)}
            slope = np.asarray(self._session.run(gradient, feed), np.float64)
            slope = gaussian_filter(slope, (0, _BLUR, _BLUR, 0))
            length = np.sqrt((slope**2).mean(axis=(1, 2, 3), keepdims=True))
            slope = slope / np.maximum(length, np.finfo(np.float64).tiny)
            pictures = (pictures + _STEP * (1 - step / _STEPS) * slope).clip(0, 1)
        return pictures.astype(np.float32)

    def _gradient(self, layer: Layer) -> Any:
        with self._session.graph.as_default():
            of_filters = tf.transpose(layer.sums, [0, 3, 1, 2])
            chosen = tf.gather(of_filters, self._channels, batch_dims=1)
            try:
                (gradient,) = tf.gradients(tf.reduce_mean(chosen, [1, 2]), self._photos)
            except LookupError as error:
                raise GraphError(
                    f"TensorFlow cannot tell the gradients before {layer.name} "
                    f"({first_line(error)})."
                ) from error
        if gradient is None:
            raise GraphError(f"No gradient gets from {layer.name} to the pixels.")
        return gradient


def liveliest(maps: Floats, count: int) -> Ints:
    """Returns int32 [count at most], ascending: the filters whose answers differ most.

    Args:
        maps: float32 [N, h, w, channels].
        count: how many.
    """
    spreads = maps.std(axis=(0, 1, 2))
    return np.sort(np.argsort(-spreads, kind="stable")[:count]).astype(np.int32)


def _layer(op: Any, number: int, between: Container[str]) -> Layer:
    """Returns a convolution with what follows it alone: what it adds, scales and cuts off."""
    sums = op.outputs[0]
    following = _alone_behind(sums, _LINEAR, between)
    while following is not None:
        sums = following.outputs[0]
        following = _alone_behind(sums, _LINEAR, between)
    bent = _alone_behind(sums, _BENT, between)
    output = bent.outputs[0] if bent is not None else sums
    return Layer(op.name, number, int(sums.shape[-1]), sums, output)


def _alone_behind(tensor: Any, kinds: Container[str], between: Container[str]) -> Any:
    """Returns the one op that takes a tensor, if it is of some kind and takes else no photos.

    Args:
        tensor: [N, h, w, D].
        kinds: of ops.
        between: names of ops by which photos become the answer.
    """
    takers = tensor.consumers()
    if len(takers) != 1 or takers[0].type not in kinds:
        return None
    others = [given.op.name for given in takers[0].inputs if given is not tensor]
    is_alone = not any(name in between for name in others)
    return takers[0] if is_alone and takers[0].outputs[0].shape == tensor.shape else None
