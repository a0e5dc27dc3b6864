"""Frozen graph → TF2 SavedModel, for TF Serving and Python."""

from typing import Any

import tensorflow as tf

from image_retraining.frozen_graph import PHOTOS_NAME


def write_saved_model(folder: str, graph_def: Any, *, output_layer: str) -> None:
    """Writes a SavedModel with the tag `serve` and the signature `serving_default`.

    It takes `image`, float32 [None, H, W, 3], RGB, 0 to 1, and gives `prediction`, float32
    [None, C], the probabilities in the order of the labels file.

    Args:
        folder: new or empty.
        graph_def: as frozen_graph.build gives it.
        output_layer: its softmax node.
    """

    def imported() -> None:
        tf.graph_util.import_graph_def(graph_def, name="")

    run = tf.compat.v1.wrap_function(imported, []).prune(f"{PHOTOS_NAME}:0", f"{output_layer}:0")
    photos = tf.TensorSpec(run.inputs[0].shape, tf.float32, name="image")
    module = tf.Module()
    module.predict = tf.function(lambda image: {"prediction": run(image)}, input_signature=[photos])
    tf.saved_model.save(module, folder, signatures={"serving_default": module.predict})
