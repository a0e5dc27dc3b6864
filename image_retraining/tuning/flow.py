"""Frozen graph → what a photo flows through in it, and the weights that it meets on its way."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import tensorflow as tf

from image_retraining.backbone.graphs import parsed_graph
from image_retraining.cache.frozen_modules import FrozenModule

# Op → which of its inputs may be weights. Of batch normalisation the mean and the variance stay.
_PLACES = {
    "Conv2D": (1,),
    "DepthwiseConv2dNative": (1,),
    "MatMul": (0, 1),
    "BatchMatMulV2": (0, 1),
    "Einsum": (0, 1),
    "BiasAdd": (1,),
    "Add": (0, 1),
    "AddV2": (0, 1),
    "Sub": (0, 1),
    "Mul": (0, 1),
    "FusedBatchNormV3": (1, 2),
}


class Flow:
    """A frozen graph in which all that no photo flows through is a constant.

    Attributes:
        input_name: tensor name of the photos.
        output_name: tensor name of the feature vectors.
        graph_def: the graph; its nodes stand after their inputs.
        names: the nodes that a photo flows through, in that order.
        weights: node of `names` → the constants that can be trained for it.
    """

    def __init__(self, frozen: FrozenModule) -> None:
        """Takes a graph."""
        self.input_name, self.output_name = frozen.input_name, frozen.output_name
        graph_def = parsed_graph(frozen.graph)
        flowing = {node_of(self.input_name)}
        for node in graph_def.node:
            if any(node_of(name) in flowing for name in node.input):
                flowing.add(node.name)
        self.names = [node.name for node in graph_def.node if node.name in flowing]
        self.graph_def = _with_constants(graph_def, flowing)
        constants = {node.name: node for node in self.graph_def.node if node.name not in flowing}
        self.weights = {
            node.name: _weights(node, constants)
            for node in self.graph_def.node
            if node.name in flowing
        }

    @cached_property
    def graph(self) -> Any:
        """The graph, as TensorFlow has it."""
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(self.graph_def, name="")
        return graph


def node_of(tensor_name: str) -> str:
    """Returns the node that a tensor comes from, as inputs of nodes and people name tensors."""
    return tensor_name.lstrip("^").partition(":")[0]


def size_of(constant: Any) -> int:
    """Returns how many numbers a constant's node holds."""
    size = 1
    for dimension in constant.attr["value"].tensor.tensor_shape.dim:
        size *= dimension.size
    return size


def _with_constants(graph_def: Any, flowing: set[str]) -> Any:
    """Returns the graph with the values of those nodes that no photo flows through.

    Modules may hold the normalisation of a batch as its mean, its variance and more; what is
    multiplied by is computed of these, and can be trained as one.
    """
    met = dict.fromkeys(
        node_of(name)
        for node in graph_def.node
        if node.name in flowing
        for name in node.input
        if node_of(name) not in flowing
    )
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
    ops = {node.name: node.op for node in graph_def.node}
    computed = [name for name in met if ops[name] != "Const"]
    with tf.compat.v1.Session(graph=graph) as session:
        values = dict(zip(computed, session.run([f"{name}:0" for name in computed]), strict=True))
    result = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        if node.name in flowing or (node.name in met and node.name not in values):
            result.node.append(node)
        elif node.name in values:
            result.node.append(constant(node.name, values[node.name]))
    return result


def constant(name: str, value: Any) -> Any:
    """Returns the node of a constant."""
    proto = tf.make_tensor_proto(value)
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = proto.dtype
    node.attr["value"].tensor.CopyFrom(proto)
    return node


def _weights(node: Any, constants: Mapping[str, Any]) -> dict[str, int]:
    """Returns constant → how many numbers it holds, of those that are a node's weights.

    Scalars are steps of the way, as of the range of the pixels, and no weights.
    """
    names = [node_of(name) for name in node.input]
    met = [names[place] for place in _PLACES.get(node.op, ()) if place < len(names)]
    weights = {}
    for name in met:
        found = constants.get(name)
        is_numbers = found is not None and found.attr["dtype"].type == tf.float32.as_datatype_enum
        if is_numbers and size_of(found) > 1:
            weights[name] = size_of(found)
    return weights
