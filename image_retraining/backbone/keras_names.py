"""How a person names what Keras has: keras:NAME, keras:NAME:WEIGHTS, or the file of a model.

Needs no TensorFlow.
"""

import difflib
import os
from dataclasses import dataclass

from image_retraining.foundation.errors import ModuleError

PREFIX = "keras:"
# In place of a file of weights: numbers drawn by a seed, for tests.
RANDOM = "random"
AVERAGE, MAX, FLATTEN = "average", "max", "flatten"
POOLINGS = (AVERAGE, MAX, FLATTEN)
_MODEL_FILES = (".keras", ".h5", ".hdf5")
_SIDE = 224
# Networks of keras.applications, and height and width of the photos that each was trained on; a
# test holds them against those that are installed.
NETWORKS = {
    **{f"ConvNeXt{size}": _SIDE for size in ("Base", "Large", "Small", "Tiny", "XLarge")},
    **{f"DenseNet{depth}": _SIDE for depth in (121, 169, 201)},
    **dict(
        zip(
            (f"EfficientNetB{number}" for number in range(8)),
            (224, 240, 260, 300, 380, 456, 528, 600),
            strict=True,
        )
    ),
    **dict(
        zip(
            (f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
            (224, 240, 260, 300, 384, 480, 480),
            strict=True,
        )
    ),
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    **{f"MobileNet{version}": _SIDE for version in ("", "V2", "V3Large", "V3Small")},
    "NASNetLarge": 331,
    "NASNetMobile": _SIDE,
    **{f"ResNet{depth}{version}": _SIDE for depth in (50, 101, 152) for version in ("", "V2")},
    "VGG16": _SIDE,
    "VGG19": _SIDE,
    "Xception": 299,
}


@dataclass(frozen=True, slots=True)
class KerasName:
    """A network of keras.applications.

    Attributes:
        network: its name, one of NETWORKS.
        weights: a file, RANDOM, or '' for those of ImageNet.
    """

    network: str
    weights: str

    @property
    def file(self) -> str:
        """The file of weights; '' where they are not in one of the person's."""
        return "" if self.weights == RANDOM else self.weights

    @classmethod
    def of(cls, handle: str) -> "KerasName":
        """Returns what a handle with the prefix names.

        Raises:
            ModuleError: no network of that name, or no such file of weights.
        """
        network, _, weights = handle.removeprefix(PREFIX).partition(":")
        if network not in NETWORKS:
            by_lower = {name.lower(): name for name in NETWORKS}
            near = difflib.get_close_matches(network.lower(), by_lower, n=3)
            hint = f" Did you mean {' or '.join(PREFIX + by_lower[name] for name in near)}?"
            raise ModuleError(
                "keras:NAME must name a network of keras.applications. "
                f"Got {network or 'nothing'}.{hint if near else f' They are {_listed()}.'}"
            )
        if weights not in ("", RANDOM) and not os.path.isfile(weights):
            raise ModuleError(
                f"{PREFIX}{network}:WEIGHTS must name a file of Keras weights, as "
                f"{PREFIX}{network}:weights.h5. Got {weights}, which is not there."
            )
        return cls(network, weights)


def is_keras(handle: str) -> bool:
    """Whether a handle names something of Keras."""
    return handle.startswith(PREFIX) or is_model_file(handle)


def is_model_file(handle: str) -> bool:
    """Whether a handle names a person's own model."""
    return handle.endswith(_MODEL_FILES) and os.path.isfile(handle)


def _listed() -> str:
    return ", ".join(sorted(NETWORKS))
