"""TensorFlow graph → the same graph in the plainest terms, for readers other than TensorFlow.

OpenCV, converters and older TensorFlow releases know the ops of an inference graph, but not always
what freezing leaves around them.
"""

import itertools
from typing import Any

import tensorflow as tf

# With these, control inputs and identities decide which branch is alive.
_CONTROL_FLOW = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration", "RefSwitch"})


def plain_graph(graph: Any, output_name: str) -> Any:
    """Returns the GraphDef of what an output needs: equal graphs give equal ones.

    Nodes stand after their inputs. Private attributes are dropped, and those at their default,
    because older releases refuse a node with an attribute that they have not heard of. Control
    inputs and identities are dropped too, save in a graph with control flow, where they matter;
    casts of constants become constants.

    Args:
        graph: a tf.Graph of constants and ops without side effects.
        output_name: name of a node.
    """
    with graph.as_default():
        meta_graph = tf.compat.v1.train.export_meta_graph(strip_default_attrs=True)
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    if not any(node.op in _CONTROL_FLOW for node in nodes.values()):
        for node in nodes.values():
            _straighten_inputs(node, nodes)
        for node in nodes.values():
            _fold_cast(node, nodes)
    plain = tf.compat.v1.GraphDef(versions=meta_graph.graph_def.versions)
    plain.node.extend(_in_order(nodes, output_name))
    for node in plain.node:
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
    _rename_numbered(plain)
    return plain


def graph_bytes(graph_def: Any) -> bytes:
    """Returns a GraphDef's bytes; equal for equal ones."""
    contents: bytes = graph_def.SerializeToString(deterministic=True)
    return contents


def parsed_graph(contents: bytes) -> Any:
    """Returns the GraphDef of these bytes."""
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(contents)
    return graph_def


def graph_function(graph_def: Any, input_name: str, output_name: str | list[str]) -> Any:
    """Returns the function from one tensor of a graph to another, or to a list of others.

    Args:
        graph_def: a GraphDef.
        input_name: of the tensor that is given, as "Placeholder:0".
        output_name: of the tensor that is wanted, or of each.
    """

    def imported() -> None:
        tf.graph_util.import_graph_def(graph_def, name="")

    return tf.compat.v1.wrap_function(imported, []).prune(input_name, output_name)


def photo_shape(photos: Any) -> list[Any]:
    """Returns a tensor's sizes, None where one is left open; four of these if all are."""
    return [None] * 4 if photos.shape.rank is None else photos.shape.as_list()


def _straighten_inputs(node: Any, nodes: dict[str, Any]) -> None:
    """Drops a node's control inputs, and takes its other inputs from before identities."""
    inputs = [name for name in node.input if not name.startswith("^")]
    for place, name in enumerate(inputs):
        while nodes[_node_name(name)].op == "Identity":
            name = nodes[_node_name(name)].input[0]  # noqa: PLW2901 - follows the chain
        inputs[place] = name
    del node.input[:]
    node.input.extend(inputs)


def _fold_cast(node: Any, nodes: dict[str, Any]) -> None:
    """Makes a constant of the cast of one: modules may store their weights in fewer bits."""
    if node.op != "Cast":
        return
    of = nodes[_node_name(node.input[0])]
    if of.op != "Const":
        return
    wanted = tf.as_dtype(node.attr["DstT"].type)
    value = tf.make_ndarray(of.attr["value"].tensor).astype(wanted.as_numpy_dtype)
    node.op = "Const"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = wanted.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def _in_order(nodes: dict[str, Any], output_name: str) -> list[Any]:
    """Returns the nodes that an output needs, each after its inputs.

    The order in which freezing leaves them differs from run to run.
    """
    placed: dict[str, Any] = {}
    entered: set[str] = set()
    path = [output_name]
    while path:
        node = nodes[path[-1]]
        entered.add(node.name)
        inputs = (_node_name(name) for name in node.input)
        following = next((name for name in inputs if name not in entered), None)
        if following:
            path.append(following)
        else:
            placed.setdefault(path.pop(), node)
    return list(placed.values())


def _rename_numbered(graph_def: Any) -> None:
    """Numbers anew the constants that freezing named by a number that counts on in the process.

    Other nodes of such names have them from the module.
    """
    taken = {node.name for node in graph_def.node}
    names: dict[str, str] = {}
    numbers = itertools.count()
    for node in graph_def.node:
        scope, slash, last = node.name.rpartition("/")
        if node.op == "Const" and last.isdecimal():
            places = (f"{scope}{slash}constant_{number}" for number in numbers)
            names[node.name] = next(place for place in places if place not in taken)
    for node in graph_def.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [_renamed(name, names) for name in node.input]


def _renamed(input_name: str, names: dict[str, str]) -> str:
    """Returns the name of an input, of which a control input's begins with a circumflex."""
    name = _node_name(input_name)
    if name not in names:
        return input_name
    # A constant has one output, which needs no ":0".
    return input_name.replace(name, names[name], 1).removesuffix(":0")


def _node_name(input_name: str) -> str:
    return input_name.lstrip("^").partition(":")[0]
