"""The part of a frozen graph above a cut, as a function whose weights are variables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.backbone.graphs import graph_bytes
from image_retraining.foundation.records import Floats
from image_retraining.tuning.cuts import Cut
from image_retraining.tuning.flow import Flow, constant, node_of

_ACTIVATIONS = "activations"


def trunk(flow: Flow, cut: Cut) -> tuple[bytes, str]:
    """Returns the graph below a cut, and the tensor of what is there of each photo, in one row."""
    row = "cut_in_a_row"
    needed, graph_def = _needed(flow.graph_def, node_of(cut.tensor)), tf.compat.v1.GraphDef()
    graph_def.versions.CopyFrom(flow.graph_def.versions)
    graph_def.node.extend(node for node in flow.graph_def.node if node.name in needed)
    shape = constant(f"{row}/shape", np.array([-1, int(np.prod(cut.shape))], np.int32))
    flat = tf.compat.v1.NodeDef(name=row, op="Reshape", input=[node_of(cut.tensor), shape.name])
    flat.attr["T"].type = tf.float32.as_datatype_enum
    flat.attr["Tshape"].type = tf.int32.as_datatype_enum
    graph_def.node.extend([shape, flat])
    return graph_bytes(graph_def), f"{row}:0"


class Tail:
    """Activations at a cut → feature vectors, by weights that can be trained.

    Attributes:
        weights: name of a constant of the graph → the variable that stands for it.
        cut: where what it is fed lies.
    """

    def __init__(self, flow: Flow, cut: Cut, *, trained_above: Cut | None = None) -> None:
        """Takes the graph, and where it is cut.

        Args:
            flow: the graph.
            cut: where what it is fed lies.
            trained_above: what lies below this one stays as it is; None trains all above `cut`.
        """
        self._flow, self.cut = flow, cut
        above = flow.names[flow.names.index(node_of(cut.tensor)) + 1 :]
        trained = flow.names.index(node_of((trained_above or cut).tensor)) + 1
        names = {weight: None for name in flow.names[trained:] for weight in flow.weights[name]}
        values = {node.name: node for node in flow.graph_def.node if node.name in names}
        self.weights = {
            name: tf.Variable(tf.make_ndarray(values[name].attr["value"].tensor), name="weight")
            for name in names
        }
        self._graph_def = self._above(set(above))

    def features(self, activations: Any, weights: Mapping[str, Any] | None = None) -> Any:
        """Returns float32 [n, D] of what is at the cut, in a tf.function.

        TensorFlow's tapes do not see what is imported: tf.gradients gives the gradients.

        Args:
            activations: float32 [n, *shape].
            weights: name → tensor to take for a weight; None takes the variables.
        """
        values = self.weights if weights is None else weights
        feeds = {f"{name}:0": tf.convert_to_tensor(value) for name, value in values.items()}
        feeds[f"{_ACTIVATIONS}:0"] = activations
        (found,) = tf.graph_util.import_graph_def(
            self._graph_def, feeds, [self._flow.output_name], name=""
        )
        return found

    def graph(self, values: Mapping[str, Floats]) -> bytes:
        """Returns the whole graph with other values of the weights."""
        graph_def = tf.compat.v1.GraphDef()
        graph_def.CopyFrom(self._flow.graph_def)
        for node in graph_def.node:
            if node.name in values:
                node.CopyFrom(constant(node.name, values[node.name]))
        return graph_bytes(graph_def)

    def _above(self, above: set[str]) -> Any:
        """Returns the graph above the cut, with places to feed the activations and the weights."""
        cut_node = node_of(self.cut.tensor)
        met = {
            node_of(name)
            for node in self._flow.graph_def.node
            if node.name in above
            for name in node.input
        }
        graph_def = tf.compat.v1.GraphDef()
        graph_def.versions.CopyFrom(self._flow.graph_def.versions)
        graph_def.node.append(_place(_ACTIVATIONS, [None, *self.cut.shape]))
        for node in self._flow.graph_def.node:
            if node.name in self.weights:
                graph_def.node.append(_place(node.name, self.weights[node.name].shape))
            elif node.name in above:
                placed = graph_def.node.add()
                placed.CopyFrom(node)
                placed.input[:] = [
                    f"{_ACTIVATIONS}:0" if node_of(name) == cut_node else name
                    for name in node.input
                ]
            elif node.name in met and node.name != cut_node:
                graph_def.node.append(node)
        return graph_def


def _needed(graph_def: Any, output: str) -> set[str]:
    nodes = {node.name: node for node in graph_def.node}
    needed, left = set(), [output]
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += [node_of(source) for source in nodes[name].input]
    return needed


def _place(name: str, shape: Any) -> Any:
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return node
