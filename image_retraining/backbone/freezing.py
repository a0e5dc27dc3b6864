"""Function of photos → frozen graph: variables become constants, outputs one feature vector."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

# TensorFlow has no public function that turns a function's variables into constants.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from image_retraining.backbone.graphs import graph_bytes, graph_function, plain_graph
from image_retraining.backbone.handles import MODULE_RULE
from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.foundation.errors import ModuleError, first_line
from image_retraining.foundation.records import Floats

# Raise it with whatever changes the graph that is made of a module: kept ones are then unused.
FREEZING_VERSION = 3

_OUTPUTS = ("default", "feature_vector")
_CHANNELS = 3


def freeze(
    handle: str, answer: Callable[[Any], Any], *, image_size: tuple[int, int]
) -> FrozenModule:
    """Returns the frozen graph of a function of photos, after running it once.

    On CPU a frozen graph is 1.6 to 2 times as fast, for TensorFlow can fold and fuse its ops.

    Args:
        handle: what the person calls the module, for messages.
        answer: from float32 [N, H, W, 3], RGB, 0 to 1, to tensors in any nesting.
        image_size: (H, W).

    Raises:
        ModuleError: it gives no feature vectors, or cannot be frozen, or does not run.
    """
    photos = tf.TensorSpec([None, *image_size, _CHANNELS], tf.float32, name="images")
    function = tf.function(lambda images: _feature_output(handle, answer(images)), autograph=False)
    try:
        frozen = _without_variables(function.get_concrete_function(photos))
        # Whether the module can work with this size shows when it runs.
        sample = sample_photos(image_size)
        vectors = frozen(tf.constant(sample))[0].numpy()
    except (TypeError, ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = first_line(error)
        raise ModuleError(
            f"{MODULE_RULE} Got {handle}, which cannot be frozen and run on photos of "
            f"{image_size} (height, width): {reason}"
        ) from error
    if vectors.shape[0] != len(sample) or not np.isfinite(vectors).all():
        raise ModuleError(
            f"{MODULE_RULE} It must give a feature vector of finite numbers for each photo. Got "
            f"{handle}, which does not for photos of {image_size} (height, width)."
        )
    graph_def, input_name, output_name = _plain(frozen)
    return FrozenModule(
        graph=graph_bytes(graph_def),
        input_name=input_name,
        output_name=output_name,
        image_size=image_size,
        sample_vectors=vectors,
    )


def tried_out(
    graph_def: Any, input_name: str, output_name: str, image_size: tuple[int, int]
) -> Floats:
    """Returns float32 [2, D], what a frozen graph answers to the sample photos.

    Args:
        graph_def: a GraphDef.
        input_name: tensor name of the photos.
        output_name: tensor name of the answers, one row a photo.
        image_size: (H, W).
    """
    function = graph_function(graph_def, input_name, output_name)
    answers: Floats = function(tf.constant(sample_photos(image_size))).numpy()
    return answers


def frozen_function(function: Any) -> tuple[Any, str, str]:
    """Returns the frozen graph of a function, and the tensor names of its input and output.

    Args:
        function: a ConcreteFunction from one tensor to one tensor.
    """
    return _plain(_without_variables(function))


def _without_variables(function: Any) -> Any:
    """Returns a ConcreteFunction in which variables are constants."""
    with _quiet_tensorflow():
        return convert_variables_to_constants_v2(function)


def _plain(frozen: Any) -> tuple[Any, str, str]:
    (photos,), (answer,) = frozen.inputs, frozen.outputs
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), name="")
    return plain_graph(graph, answer.op.name), photos.name, answer.name


def sample_photos(image_size: tuple[int, int]) -> Floats:
    """Returns float32 [2, H, W, 3], 0 to 1: waves of colour, on which to try a module out.

    Args:
        image_size: (H, W).
    """
    row, column = np.mgrid[: image_size[0], : image_size[1]][..., np.newaxis]
    shift = np.arange(_CHANNELS)
    waves = [np.sin(row / 9 + column / 23 + shift), np.sin(row / 40 - column / 5 + 2 * shift)]
    return (0.5 + 0.5 * np.stack(waves)).astype(np.float32)


def _feature_output(handle: str, outputs: Any) -> Any:
    """Returns, of what a module puts out, the tensor of feature vectors, float32 [None, D]."""
    named = _named_outputs(outputs)
    vectors = {
        name: output
        for name, output in named.items()
        if output.dtype == tf.float32 and output.shape.rank == 2 and output.shape[0] is None
    }
    if not vectors:
        shapes = ", ".join(f"{name or 'output'} {output.shape}" for name, output in named.items())
        raise ModuleError(
            f"{MODULE_RULE} It must put out feature vectors, float32 [None, D]. "
            f"Got {handle}, which puts out {shapes}."
        )
    name = next((name for name in _OUTPUTS if name in vectors), next(iter(vectors)))
    if len(vectors) > 1:
        logging.info("Of the module's outputs %s, '%s' is taken.", ", ".join(vectors), name)
    return vectors[name]


def _named_outputs(outputs: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the tensors in outputs of any nesting, by their names or places joined with '/'."""
    if isinstance(outputs, Mapping):
        inner = sorted(outputs.items())
    elif isinstance(outputs, list | tuple):
        inner = [(str(place), output) for place, output in enumerate(outputs)]
    else:
        return {prefix: outputs}
    named: dict[str, Any] = {}
    for name, output in inner:
        named |= _named_outputs(output, f"{prefix}/{name}" if prefix else name)
    return named


@contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Silences warnings of collections in old modules that do not survive freezing, nor matter."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
