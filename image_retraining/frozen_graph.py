"""Backbone + head ↔ frozen graph and labels file. The one owner of the tensor names.

The names, the input in [0, 1] and the plain ops are a promise to the programs that read such
graphs: TensorFlow's label_image for Python and C++, OpenCV, phones, converters.
"""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from image_retraining.backbone import Backbone
from image_retraining.errors import GraphError
from image_retraining.plain_graph import graph_bytes, plain_graph
from image_retraining.records import Floats, Head

PHOTOS_NAME = "Placeholder"
VECTORS_SCOPE, VECTORS_NAME = "input", "BottleneckInputPlaceholder"
HEAD_SCOPE = "final_retrain_ops"

_CHANNELS = 3


def build(backbone: Backbone, head: Head, *, final_tensor_name: str) -> Any:
    """Returns the GraphDef that turns photos into probabilities.

    `Placeholder`, float32 [None, H, W, 3], RGB, 0 to 1, takes the photos;
    `input/BottleneckInputPlaceholder`, float32 [None, D], the feature vectors in their stead.

    Args:
        backbone: of D features.
        head: weights [D, C], bias [C].
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
            with tf.name_scope("weights"):
                weights = tf.constant(head.weights, name="final_weights")
            with tf.name_scope("biases"):
                bias = tf.constant(head.bias, name="final_biases")
            with tf.name_scope("Wx_plus_b"):
                logits = tf.add(tf.matmul(vectors, weights, name="MatMul"), bias, name="add")
        tf.nn.softmax(logits, name=final_tensor_name)
    return plain_graph(graph, final_tensor_name)


def write(path: str | Path, graph_def: Any) -> None:
    """Writes a GraphDef; equal graphs give equal bytes."""
    Path(path).write_bytes(graph_bytes(graph_def))


def write_labels(path: str | Path, labels: Sequence[str]) -> None:
    """Writes labels, one a line in UTF-8; the line's number, from 0, is the label_id."""
    Path(path).write_bytes(labels_text(labels))


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Returns the labels of a labels file.

    Raises:
        GraphError: the file is missing or cannot be read.
    """
    try:
        return labels_in(Path(path).read_bytes())
    except OSError as error:
        raise GraphError(
            f"--labels must be a labels file. Got {path}: {error.strerror}."
        ) from error


def labels_text(labels: Iterable[str]) -> bytes:
    """Returns the content of a labels file."""
    return "".join(f"{label}\n" for label in labels).encode(errors="surrogateescape")


def labels_in(text: bytes) -> tuple[str, ...]:
    """Returns the labels in the content of a labels file."""
    lines = text.decode(errors="surrogateescape").removesuffix("\n").split("\n")
    return tuple(line.removesuffix("\r") for line in lines)


def graph_function(graph_def: Any, input_name: str, output_name: str) -> Any:
    """Returns the function from one tensor of a graph to another.

    Args:
        graph_def: a GraphDef.
        input_name: of the tensor that is given, as "Placeholder:0".
        output_name: of the tensor that is wanted.
    """

    def imported() -> None:
        tf.graph_util.import_graph_def(graph_def, name="")

    return tf.compat.v1.wrap_function(imported, []).prune(input_name, output_name)


class FrozenGraph:
    """A frozen graph from disk, ready to run on photos.

    Attributes:
        image_size: (H, W) of the photos it takes; None where it leaves one of them open.
        output_size: C, how many scores it gives a photo; None where that is left open.
        graph_def: what was read.
        input_name: tensor name of the photos.
        output_name: tensor name of the scores.
    """

    def __init__(self, path: str | Path, *, input_layer: str = "", output_layer: str = "") -> None:
        """Reads a graph.

        Args:
            path: a binary GraphDef.
            input_layer: node that takes photos, float32 [N, H, W, 3]; '' to find it.
            output_layer: node that gives scores, float32 [N, C]; '' to find it.

        Raises:
            GraphError: the file is no graph, or has no such nodes, or several that could be it.
        """
        self._path = path
        graph_def = _read(path)
        input_name = _chosen("input_layer", input_layer, graph_def, _photo_inputs(graph_def))
        output_name = _chosen("output_layer", output_layer, graph_def, _outputs(graph_def))

        try:
            self._function = graph_function(graph_def, input_name, output_name)
        except (ValueError, KeyError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            raise GraphError(
                f"--graph must be a graph that can run. Got {path}: {reason}"
            ) from error
        self.graph_def, self.input_name, self.output_name = graph_def, input_name, output_name
        photos, scores = self._function.inputs[0], self._function.outputs[0]
        shape = [None] * 4 if photos.shape.rank is None else photos.shape.as_list()
        self.image_size = tuple(shape[1:3]) if len(shape) == 4 else (None, None)
        self.output_size = scores.shape[-1] if scores.shape.rank else None

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3].

        Raises:
            GraphError: the graph cannot work with such photos.
        """
        try:
            return np.asarray(self._function(tf.convert_to_tensor(images)), np.float32)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise GraphError(
                f"--graph must take a batch of photos of any number, as --input_layer and "
                f"--input_height and --input_width say. Got {self._path}: {reason}"
            ) from error


def _read(path: str | Path) -> Any:
    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(Path(path).read_bytes())
    except OSError as error:
        raise GraphError(f"--graph must be a graph file. Got {path}: {error.strerror}.") from error
    except DecodeError as error:
        raise GraphError(f"--graph must be a frozen graph. Got {path}, which is none.") from error
    if not graph_def.node:
        raise GraphError(f"--graph must be a frozen graph. Got {path}, which is empty.")
    return graph_def


def _photo_inputs(graph_def: Any) -> list[str]:
    """Returns the names of the nodes that may take photos."""
    placeholders = [node for node in graph_def.node if node.op == "Placeholder"]
    return [node.name for node in placeholders if _may_be_photos(node.attr["shape"].shape)]


def _may_be_photos(shape: Any) -> bool:
    """Whether a placeholder's shape is [?, ?, ?, 3] or unknown, which older graphs leave empty."""
    sizes = [dimension.size for dimension in shape.dim]
    return shape.unknown_rank or not sizes or (len(sizes) == 4 and sizes[3] in (-1, _CHANNELS))


def _outputs(graph_def: Any) -> list[str]:
    """Returns the names of the nodes whose result no other node uses; softmax nodes if any."""
    used = {name.partition(":")[0].lstrip("^") for node in graph_def.node for name in node.input}
    ends = [node for node in graph_def.node if node.name not in used and node.op != "NoOp"]
    softmaxes = [node.name for node in ends if node.op == "Softmax"]
    return softmaxes or [node.name for node in ends]


def _chosen(flag: str, wanted: str, graph_def: Any, candidates: list[str]) -> str:
    """Returns the tensor name of the wanted node, or of the only candidate."""
    if not wanted:
        if len(candidates) == 1:
            return f"{candidates[0]}:0"
        found = f"one of {', '.join(candidates)}" if candidates else "its name"
        raise GraphError(f"The graph's layer cannot be told by itself; give --{flag}: {found}.")
    node = wanted.removesuffix(":0")
    names = [node.name for node in graph_def.node]
    if node in names:
        return f"{node}:0"
    likely = candidates or difflib.get_close_matches(node, names)
    hint = f" Likely ones: {', '.join(likely)}." if likely else ""
    raise GraphError(f"--{flag} must be a node of the graph. Got {wanted}.{hint}")
