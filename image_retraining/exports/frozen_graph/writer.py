"""Backbone + head → frozen graph. The one owner of the tensor names.

The names, the input in [0, 1] and the plain ops are a promise to the programs that read such
graphs: TensorFlow's label_image for Python and C++, OpenCV, phones, converters.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

from image_retraining.backbone.graphs import graph_bytes, plain_graph
from image_retraining.backbone.loading import Backbone
from image_retraining.foundation.records import Head

PHOTOS_NAME = "Placeholder"
VECTORS_SCOPE, VECTORS_NAME = "input", "BottleneckInputPlaceholder"
VECTORS_TENSOR = f"{VECTORS_SCOPE}/{VECTORS_NAME}:0"
HEAD_SCOPE = "final_retrain_ops"

_CHANNELS = 3


def build_graph(backbone: Backbone, head: Head, *, final_tensor_name: str) -> Any:
    """Returns the GraphDef that turns photos into probabilities.

    `Placeholder`, float32 [None, H, W, 3], RGB, 0 to 1, takes the photos;
    `input/BottleneckInputPlaceholder`, float32 [None, D], the feature vectors in their stead.

    Args:
        backbone: of D features.
        head: of D features and C labels.
        final_tensor_name: name of the softmax node, float32 [None, C].
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        shape = [None, *backbone.image_size, _CHANNELS]
        photos = v1.placeholder(tf.float32, shape, name=PHOTOS_NAME)
        (vectors,) = tf.graph_util.import_graph_def(
            backbone.graph_def,
            input_map={backbone.input_name: photos},
            return_elements=[backbone.output_name],
            name="module",
        )
        with tf.name_scope(VECTORS_SCOPE):
            vectors = v1.placeholder_with_default(
                vectors, [None, backbone.feature_size], name=VECTORS_NAME
            )
        with tf.name_scope(HEAD_SCOPE):
            if head.hidden_weights is not None:
                vectors = _hidden_layer(head, vectors)
            with tf.name_scope("weights"):
                weights = tf.constant(head.weights, name="final_weights")
            with tf.name_scope("biases"):
                bias = tf.constant(head.bias, name="final_biases")
            with tf.name_scope("Wx_plus_b"):
                logits = tf.add(tf.matmul(vectors, weights, name="MatMul"), bias, name="add")
        tf.nn.softmax(logits, name=final_tensor_name)
    return plain_graph(graph, final_tensor_name)


def _hidden_layer(head: Head, vectors: Any) -> Any:
    """Returns float32 [None, H], what the softmax layer takes."""
    with tf.name_scope("hidden"):
        weights = tf.constant(head.hidden_weights, name="hidden_weights")
        bias = tf.constant(head.hidden_bias, name="hidden_biases")
        inner = tf.add(tf.matmul(vectors, weights, name="MatMul"), bias, name="add")
        return tf.nn.relu(inner, name="Relu")


def has_vectors(graph_def: Any) -> bool:
    """Whether a graph gives feature vectors at VECTORS_TENSOR, as all of `build_graph` do."""
    return any(f"{node.name}:0" == VECTORS_TENSOR for node in graph_def.node)


def write_graph(path: str | Path, graph_def: Any) -> None:
    """Writes a GraphDef; equal graphs give equal bytes."""
    Path(path).write_bytes(graph_bytes(graph_def))
