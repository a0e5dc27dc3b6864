"""Frozen graph → the functions of a SavedModel, which servers call by the names of signatures."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from image_retraining.backbone.graphs import graph_function
from image_retraining.exports.classifier import FEATURES
from image_retraining.exports.frozen_graph.writer import PHOTOS_NAME, VECTORS_TENSOR
from image_retraining.photos import pixels

# How JPEG, PNG, GIF and BMP files begin.
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")


def served(
    graph_def: Any, output_layer: str, image_size: tuple[int, int], labels: Sequence[str]
) -> Any:
    """Returns a module with the functions of the signatures."""
    # One function for all, so that the graph is written once.
    both = graph_function(graph_def, f"{PHOTOS_NAME}:0", [f"{output_layer}:0", VECTORS_TENSOR])
    names = [label.encode(errors="surrogateescape") for label in labels]

    def serve_bytes(contents: Any) -> dict[str, Any]:
        probabilities, _ = both(_pixels(contents, image_size))
        best = tf.argmax(probabilities, axis=1)
        return {"prediction": probabilities, "label": tf.gather(tf.constant(names), best)}

    module = tf.Module()
    photos = [tf.TensorSpec(both.inputs[0].shape, tf.float32, name="image")]
    module.predict = tf.function(
        lambda image: {"prediction": both(image)[0]}, input_signature=photos
    )
    module.features = tf.function(
        lambda image: dict(zip(("prediction", FEATURES), both(image), strict=True)),
        input_signature=photos,
    )
    module.serve_bytes = tf.function(
        serve_bytes, input_signature=[tf.TensorSpec([None], tf.string, name="bytes")]
    )
    return module


def _pixels(contents: Any, image_size: tuple[int, int]) -> Any:
    """Returns float32 [N, H, W, 3] for string [N]; an item that is no photo is named."""

    def one(item: Any) -> Any:
        number, data = item
        is_known = tf.reduce_any([tf.equal(_start(data, len(kind)), kind) for kind in _STARTS])
        message = "bytes must be JPEG, PNG, GIF or BMP files; this one is not, from 0:"
        check = tf.debugging.Assert(is_known, [message, number])
        with tf.control_dependencies([check]):
            return pixels.portable_pixels(tf.identity(data), image_size)

    return tf.map_fn(
        one,
        (tf.range(tf.shape(contents)[0]), contents),
        fn_output_signature=tf.TensorSpec([*image_size, 3], tf.float32),
    )


def _start(data: Any, size: int) -> Any:
    return tf.strings.substr(data, 0, tf.minimum(size, tf.strings.length(data)))
