"""The built-in module's network, and how it becomes a Hub module.

EfficientNetV2's plan (Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", 2021), made
narrow: fused inverted residuals where the maps are large and channels few, depthwise ones where it
is the other way round. Processors compute the former several times as fast as depthwise layers of
equal use. ReLU6 throughout, and no squeeze-and-excitation: plain ops that every converter knows.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]

FEATURES = 1280


class _Stage(NamedTuple):
    kind: str
    expansion: int
    channels: int
    blocks: int
    stride: int


_FUSED, _DEPTHWISE = "fused", "depthwise"
_STEM = 16
STAGES = (
    _Stage(_FUSED, 4, 24, 1, 2),
    _Stage(_FUSED, 3, 24, 1, 1),
    _Stage(_FUSED, 4, 40, 1, 2),
    _Stage(_FUSED, 3, 40, 1, 1),
    _Stage(_DEPTHWISE, 4, 80, 3, 2),
    _Stage(_DEPTHWISE, 6, 96, 2, 1),
    _Stage(_DEPTHWISE, 6, 160, 4, 2),
)
# Of the running mean and variance, a step.
_KEPT = 0.98


class _Layers(Protocol):
    """What the network is made of: layers that can learn, or plain ops on learnt weights."""

    def convolved(self, maps: Any, channels: int, size: int, *, stride: int) -> Any:
        """Returns maps convolved, and normalised or with biases added."""

    def filtered(self, maps: Any, *, stride: int) -> Any:
        """Returns the same of a 3 x 3 convolution of each map for itself."""

    def activated(self, maps: Any) -> Any:
        """Returns maps cut off below 0 and above 6."""


def _features(photos: Any, make: _Layers) -> Any:
    """Returns float32 [N, 1280] for float32 [N, H, W, 3] of 0 to 1."""
    maps = make.activated(make.convolved(photos * 2.0 - 1.0, _STEM, 3, stride=2))
    for stage in STAGES:
        for number in range(stage.blocks):
            maps = _block(maps, make, stage, stage.stride if number == 0 else 1)
    maps = make.activated(make.convolved(maps, FEATURES, 1, stride=1))
    return keras.ops.mean(maps, axis=[1, 2])


def _block(maps: Any, make: _Layers, stage: _Stage, stride: int) -> Any:
    wide = maps.shape[-1] * stage.expansion
    if stage.kind == _DEPTHWISE:
        inner = make.activated(make.convolved(maps, wide, 1, stride=1))
        inner = make.activated(make.filtered(inner, stride=stride))
    else:
        inner = make.activated(make.convolved(maps, wide, 3, stride=stride))
    inner = make.convolved(inner, stage.channels, 1, stride=1)
    return maps + inner if stride == 1 and maps.shape[-1] == stage.channels else inner


class BatchNorm(keras.layers.Layer):  # type: ignore[misc]
    """Batch normalisation by TensorFlow's one op for it.

    Keras makes it of many, with which a step of the training takes half as long again.
    """

    epsilon = 1e-3

    def build(self, shape: tuple[int, ...]) -> None:
        """Makes the variables."""
        channels = (shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")
        self.mean = self.add_weight(
            shape=channels, initializer="zeros", name="mean", trainable=False
        )
        self.variance = self.add_weight(
            shape=channels, initializer="ones", name="variance", trainable=False
        )

    def call(self, maps: Any, *, training: bool = False) -> Any:
        """Returns float32 [N, H, W, C] for the same."""
        running = (tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance))
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=maps,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[] if training else running[0],
            variance=[] if training else running[1],
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for variable, now in ((self.mean, mean), (self.variance, variance)):
                variable.assign(_KEPT * variable + (1 - _KEPT) * now)
        return normalised


class _Learning:
    """Makes Keras layers."""

    def convolved(self, maps: Any, channels: int, size: int, *, stride: int) -> Any:
        layer = keras.layers.Conv2D(
            channels, size, stride, "same", use_bias=False, kernel_initializer="he_normal"
        )
        return BatchNorm()(layer(maps))

    def filtered(self, maps: Any, *, stride: int) -> Any:
        return BatchNorm()(keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(maps))

    def activated(self, maps: Any) -> Any:
        return keras.layers.ReLU(6.0)(maps)


def student() -> Any:
    """Returns the Keras model, float32 [N, H, W, 3] of 0 to 1 → float32 [N, 1280], untrained."""
    photos = keras.Input((None, None, 3))
    return keras.Model(photos, _features(photos, _Learning()))


class _Learnt:
    """Computes with kernels and biases in turn."""

    def __init__(self, weights: Sequence[Any]) -> None:
        self._weights: Iterator[Any] = iter(weights)

    def convolved(self, maps: Any, channels: int, size: int, *, stride: int) -> Any:
        kernel = next(self._weights)
        if kernel.shape != (size, size, maps.shape[-1], channels):
            raise ValueError(f"A kernel of {channels} channels must fit. Got {kernel.shape}.")
        return tf.nn.bias_add(tf.nn.conv2d(maps, kernel, stride, "SAME"), next(self._weights))

    def filtered(self, maps: Any, *, stride: int) -> Any:
        filtered = tf.nn.depthwise_conv2d(maps, next(self._weights), [1, stride, stride, 1], "SAME")
        return tf.nn.bias_add(filtered, next(self._weights))

    def activated(self, maps: Any) -> Any:
        return tf.nn.relu6(maps)


def folded(trained: Any) -> list[Floats]:
    """Returns a student's kernels and biases, in turn, with the normalisation in them.

    Args:
        trained: a student.
    """
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    convolutions = [layer for layer in trained.layers if isinstance(layer, kinds)]
    norms = [layer for layer in trained.layers if isinstance(layer, BatchNorm)]
    weights = []
    for convolution, norm in zip(convolutions, norms, strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        gain = gamma / np.sqrt(variance + norm.epsilon)
        (kernel,) = convolution.get_weights()
        is_depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
        weights += [kernel * (gain[:, np.newaxis] if is_depthwise else gain), beta - mean * gain]
    return weights


def features(photos: Any, weights: Sequence[Any]) -> Any:
    """Returns what a student with such weights, as `folded` gives them, puts out."""
    return _features(photos, _Learnt(weights))


class HubModule(tf.Module):  # type: ignore[misc]
    """A student as a TF Hub module: its kernels stored in float16, computed with in float32.

    Called with float32 [N, side, side, 3], RGB, 0 to 1, it gives float32 [N, 1280].
    """

    def __init__(self, weights: Sequence[Floats], *, side: int, gain: float) -> None:
        """Takes weights.

        Args:
            weights: as `folded` gives them.
            side: of the photos, in pixels.
            gain: what the features are multiplied by.
        """
        super().__init__()
        # Biases are few, and every feature hangs on theirs.
        self.stored = [
            tf.Variable(value, trainable=False, dtype=tf.float16 if value.ndim > 1 else tf.float32)
            for value in weights
        ]

        def answer(images: Any) -> Any:
            return features(images, [tf.cast(value, tf.float32) for value in self.stored]) * gain

        photos = tf.TensorSpec([None, side, side, 3], tf.float32, name="images")
        self.__call__ = tf.function(answer, input_signature=[photos], autograph=False)
        self.serve = tf.function(
            lambda images: {"default": answer(images)}, input_signature=[photos], autograph=False
        )

    def save(self, folder: str) -> None:
        """Writes the SavedModel."""
        tf.saved_model.save(self, folder, signatures={"serving_default": self.serve})
