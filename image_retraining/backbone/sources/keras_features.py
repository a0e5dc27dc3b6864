"""Networks of keras.applications, and a person's own Keras model → a function of photos.

A network comes without what is on top of its last map, and with its own preprocessing before it, so
that it takes photos of 0 to 1 as every module does. Of a person's model the feature vector is what
goes into its last dense layer.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from image_retraining.backbone.keras_names import AVERAGE, FLATTEN, MAX, PREFIX, KerasName
from image_retraining.backbone.sources.keras_networks import UNFIT, network, preprocessing
from image_retraining.backbone.sources.source import PhotoFunction, Request
from image_retraining.foundation.errors import ModuleError, first_line
from image_retraining.foundation.text import shown

_POOLED: dict[str, Callable[[Any], Any]] = {
    AVERAGE: lambda last: tf.reduce_mean(last, axis=[1, 2]),
    MAX: lambda last: tf.reduce_max(last, axis=[1, 2]),
    FLATTEN: lambda last: tf.reshape(last, [-1, int(np.prod(last.shape[1:]))]),
}
_OF_KERAS = {AVERAGE: "avg", MAX: "max", FLATTEN: None}
# A first layer that makes this much less of pixels takes those of 0 to 255.
_SHRINKS = 1 / 100


def made(request: Request, name: KerasName | None, *, version: int) -> tuple[PhotoFunction, str]:
    """Returns the function of a module, and its fingerprint; None names a person's own model."""
    if name is None:
        model = _own_model(request.handle)
        features = _features_of_own(model, request)
        architecture, scale, prepare = model.to_json(), _pixel_scale(model), None
    else:
        pooling = None if request.feature_layer else _OF_KERAS[request.pooling]
        features = network(name, request.image_size, pooling)
        features = _up_to(features, request) if request.feature_layer else features
        architecture, scale, prepare = name.network, 255.0, preprocessing(name.network)

    def answer(photos: Any) -> Any:
        pixels = photos * scale
        with _inlined():
            last = features(prepare(pixels) if prepare else pixels, training=False)
        return _POOLED[request.pooling](last) if last.shape.rank == 4 else last

    photos = tf.TensorSpec([None, *features.input_shape[1:]], tf.float32)
    what = (version, architecture, scale, request.pooling, request.feature_layer)
    return PhotoFunction(answer, photos, alive=features), _fingerprint(features, what)


@contextlib.contextmanager
def _inlined() -> Iterator[None]:
    """Lets Keras wrap nothing into functions of its own, which TensorFlow cannot freeze.

    Keras does so with convolutions of groups of channels, as ConvNeXt has them.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(run_eagerly=True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _fingerprint(model: Any, what: tuple[Any, ...]) -> str:
    """Returns the SHA-256 of how a model is made, and of the values of its weights."""
    content = hashlib.sha256(json.dumps(what).encode())
    for value in model.get_weights():
        content.update(f"{value.dtype} {value.shape}".encode())
        content.update(np.ascontiguousarray(value).tobytes())
    return content.hexdigest()


def _own_model(path: str) -> Any:
    try:
        # Not what is written in Python in it, which could be anything.
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except UNFIT as error:
        raise ModuleError(
            f"{shown(path)} must be a Keras model that needs none of its maker's Python code. It "
            f"cannot be loaded: {first_line(error)} A file of weights alone goes with the network "
            f"that they are of: {PREFIX}NAME:{shown(path)}"
        ) from error


def _features_of_own(model: Any, request: Request) -> Any:
    if request.feature_layer:
        return _up_to(model, request)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise ModuleError(
            f"What goes into the last dense layer of {shown(request.handle)} is its feature "
            f"vector, but it has none. Name a layer with --feature_layer: {_layers(model)}"
        )
    return keras.Model(_input(model, request), dense[-1].input)


def _up_to(model: Any, request: Request) -> Any:
    """Returns the model from its input to the layer that was asked for."""
    try:
        output = model.get_layer(request.feature_layer).output
    except ValueError as error:
        raise ModuleError(
            f"--feature_layer must name a layer of {request.handle}. Got {request.feature_layer}. "
            f"The last ones: {_layers(model)}"
        ) from error
    if len(output.shape) not in (2, 4):
        raise ModuleError(
            f"--feature_layer must give a vector or a map of each photo. Got "
            f"{request.feature_layer}, which gives {output.shape}."
        )
    return keras.Model(_input(model, request), output)


def _input(model: Any, request: Request) -> Any:
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ModuleError(
            f"A model must take photos, and nothing else, to be a module. Got {request.handle}, "
            f"which takes {', '.join(str(one.shape) for one in model.inputs)}."
        )
    return model.inputs[0]


def _layers(model: Any) -> str:
    return ", ".join(layer.name for layer in model.layers[-12:])


def _pixel_scale(model: Any) -> float:
    """Returns the largest value of pixels that a person's model takes: 255 or 1.

    It takes those of 0 to 255 if it begins by making them small.
    """
    for layer in _from_the_first(model):
        if isinstance(layer, keras.layers.Rescaling):
            return 255.0 if float(np.max(np.abs(layer.scale))) <= _SHRINKS else 1.0
        if layer.weights:
            break
    return 1.0


def _from_the_first(model: Any) -> Iterator[Any]:
    """Yields the layers of a model in their order, those of models within it as well."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _from_the_first(layer)
        else:
            yield layer
