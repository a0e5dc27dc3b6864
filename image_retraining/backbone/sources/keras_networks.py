"""Networks of keras.applications → Keras models up to the feature vector, with their weights."""

import sys
import urllib.error
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from image_retraining.backbone.keras_names import NETWORKS, PREFIX, KerasName
from image_retraining.backbone.sources.downloads import DOWNLOAD_ERRORS, no_silence, why
from image_retraining.backbone.sources.source import ImageSize
from image_retraining.foundation.errors import ModuleError, first_line
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.text import shown

_SEED = 1
# What Keras raises for files, sizes and layers that do not fit.
UNFIT = (OSError, TypeError, ValueError, LookupError, AttributeError, ImportError)


def network(name: KerasName, image_size: ImageSize | None, pooling: str | None) -> Any:
    """Returns a network of keras.applications without its top.

    Args:
        name: of it, and of its weights.
        image_size: (H, W) of its photos; None for its own.
        pooling: of its last map, as Keras names it; None leaves the map.

    Raises:
        ModuleError: the size or the weights do not suit it, or cannot be downloaded.
    """
    side = NETWORKS[name.network]
    size = image_size or (side, side)

    def built(weights: str | None) -> Any:
        with warnings.catch_warnings():
            # Of sizes that weights were not made for.
            warnings.simplefilter("ignore")
            return getattr(keras.applications, name.network)(
                include_top=False, weights=weights, pooling=pooling, input_shape=(*size, 3)
            )

    def unweighted() -> Any:
        try:
            return built(None)
        except ValueError as error:
            raise ModuleError(
                f"--image_size must be one that {PREFIX}{name.network} takes. Got {size} (height, "
                f"width): {first_line(error)}"
            ) from error

    if not name.weights:
        return _of_imagenet(name.network, partial(built, "imagenet"), unweighted)
    model = unweighted()
    model.set_weights(_stored(name, model) if name.file else list(_drawn(model)))
    return model


def _of_imagenet(network: str, weighted: Callable[[], Any], unweighted: Callable[[], Any]) -> Any:
    notice("Taking the weights of %s from Keras, which downloads them if need be", network)
    try:
        with no_silence():
            return weighted()
    except Exception as error:
        if isinstance(error, ValueError):
            # Of the size, about which Keras complains before it downloads, or of the file.
            unweighted()
        # Keras makes a bare Exception, which names the address, of what urllib says.
        cause = error.__context__ if type(error) is Exception else error
        if not isinstance(cause, DOWNLOAD_ERRORS):
            raise
        if isinstance(cause, urllib.error.HTTPError):
            # Keras leaves the answer open.
            cause.close()
        raise ModuleError(
            f"The weights of {network} cannot be downloaded: {why(cause)} ({first_line(error)}). "
            "Check the connection (a proxy is taken from HTTPS_PROXY), or bring that file from "
            f"elsewhere and name it: --tfhub_module={PREFIX}{network}:FILE"
        ) from error


def _drawn(model: Any) -> Iterator[Any]:
    """Yields weights that keep the size of what goes through; the same for the same network."""
    rng = np.random.default_rng(_SEED)
    for value in model.get_weights():
        if value.ndim < 2:
            yield value
        else:
            # What a number of the result is a sum of; by channels, that is no more than a place.
            by_channel = value.ndim == 4 and value.shape[-1] == 1
            terms = np.prod(value.shape[:2] if by_channel else value.shape[:-1])
            spread = np.sqrt(2 / max(1, terms))
            yield rng.normal(0, spread, value.shape).astype(value.dtype)


def _stored(name: KerasName, model: Any) -> Any:
    """Returns the weights in a file, of the network without its top or of all of it."""
    with warnings.catch_warnings():
        # Of what fits one of the two only.
        warnings.simplefilter("ignore")
        try:
            model.load_weights(name.weights)
            return model.get_weights()
        except UNFIT as error:
            reason = first_line(error)
        whole = getattr(keras.applications, name.network)(weights=None)
        try:
            whole.load_weights(name.weights)
        except UNFIT as error:
            raise ModuleError(
                f"{shown(name.weights)} must hold Keras weights of {name.network}, of all of it or "
                f"of it without its top. It cannot be taken for either: {reason}"
            ) from error
    # What is on top comes last.
    return whole.get_weights()[: len(model.get_weights())]


def preprocessing(network: str) -> Callable[[Any], Any]:
    """Returns a network's own function of pixels of 0 to 255."""
    module = sys.modules[getattr(keras.applications, network).__module__]
    return module.preprocess_input  # type: ignore[no-any-return]
