"""What is asked of a source of modules, and what it hands over: a function of photos.

Nothing of where that came from goes with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from image_retraining.backbone.keras_names import AVERAGE

# (H, W) of photos.
ImageSize = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A module that is asked for.

    Attributes:
        handle: as the person named it.
        image_size: of the photos that it is to take; None for its own.
        patience: how long a server may take for its first byte, seconds.
        pooling: what becomes of a last map of features, one of POOLINGS.
        feature_layer: the layer that gives the features; '' for the usual one.
    """

    handle: str
    image_size: ImageSize | None
    patience: float
    pooling: str = AVERAGE
    feature_layer: str = ""


@dataclass(frozen=True, slots=True)
class PhotoFunction:
    """A module's function.

    Attributes:
        answer: from float32 [N, H, W, 3], RGB, 0 to 1, to tensors in any nesting.
        photos: the tf.TensorSpec of the photos that it takes; None stands for what is left open.
        alive: what has to live as long as the function, as variables do that it only refers to.
    """

    answer: Callable[[Any], Any]
    photos: Any
    alive: Any = None


@dataclass(frozen=True, slots=True)
class FoundModule:
    """A module that is there, but not loaded, for that takes seconds.

    Attributes:
        fingerprint: SHA-256 of all that decides what it gives, hexadecimal.
        load: returns its function; raises ModuleError if it is damaged, or not one of photos, or
            does not take those of the size that was asked for.
        credit: whose work it is, where that is known; '' elsewhere.
    """

    fingerprint: str
    load: Callable[[], PhotoFunction]
    credit: str = ""


class Source(Protocol):
    """A place that modules come from."""

    def takes(self, handle: str) -> bool:
        """Whether a module of such a name comes from here."""

    def find(self, request: Request) -> FoundModule:
        """Returns a module, after downloading or unpacking it when need be.

        Raises:
            DownloadError: it cannot be downloaded.
            ModuleError: there is none of this name.
        """
