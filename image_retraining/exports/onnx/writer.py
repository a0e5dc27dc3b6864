"""Frozen graph → ONNX file, for ONNX Runtime and what else reads ONNX."""

import contextlib
import logging as standard_logging
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from image_retraining.exports.frozen_graph.writer import PHOTOS_NAME, VECTORS_TENSOR, has_vectors
from image_retraining.exports.onnx.metadata import metadata, vectors_name
from image_retraining.foundation.errors import ExportError, short_line
from image_retraining.foundation.quiet import quiet_stderr

# Before all names but those of the input and the output, in which there is no slash.
_SCOPE = "classifier"


def onnx_bytes(
    graph_def: Any,
    *,
    output_layer: str,
    labels: tuple[str, ...],
    facts: str,
    unknown: bytes = b"",
) -> bytes:
    """Returns the ONNX file of a graph; equal graphs give equal bytes.

    Its input `Placeholder` takes photos, float32 [N, H, W, 3], RGB, 0 to 1; its first output,
    called as the softmax node, gives probabilities, float32 [N, C]; its second, `features`, the
    feature vectors, float32 [N, D].

    Args:
        graph_def: as frozen_graph.writer.build_graph gives it.
        output_layer: its softmax node.
        labels: C names.
        facts: a JSON object.
        unknown: the file that tells what is unknown by feature vectors; b"" without.

    Raises:
        ExportError: ONNX does not know one of the graph's ops.
    """
    with _quiet_converter():
        model = _converted(graph_def, output_layer)
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = "N"
    for name, text in metadata(labels, facts, unknown).items():
        model.metadata_props.add(key=name, value=text)
    contents: bytes = model.SerializeToString(deterministic=True)
    return contents


def _converted(graph_def: Any, output_layer: str) -> Any:
    """Returns the onnx.ModelProto of a graph."""
    from onnx import checker  # noqa: PLC0415 - an extra
    from tf2onnx import optimizer  # noqa: PLC0415 - an extra
    from tf2onnx.tfonnx import process_tf_graph  # noqa: PLC0415

    photos = f"{PHOTOS_NAME}:0"
    named = {f"{output_layer}:0": output_layer}
    if has_vectors(graph_def):
        named[VECTORS_TENSOR] = vectors_name(output_layer)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(_without_erfc(graph_def), name="")
    try:
        converted = process_tf_graph(
            graph,
            input_names=[photos],
            output_names=list(named),
            # Nothing is fed but photos, vectors in their stead neither: ONNX knows no such default.
            use_default=[n.name for n in graph_def.node if n.op == "PlaceholderWithDefault"],
            tensors_to_rename={photos: PHOTOS_NAME, **named},
        )
        model = optimizer.optimize_graph(converted, catch_errors=False).make_model("classifier")
        _put_in_order(model.graph)
        # tf2onnx hands on ops that it does not know, under their own names.
        checker.check_model(model)
    # What tf2onnx raises for shapes that it does not know, and ONNX for ops.
    except (
        TypeError,
        ValueError,
        RuntimeError,
        LookupError,
        AssertionError,
        checker.ValidationError,
    ) as error:
        raise ExportError(
            f"The module must be of ops that ONNX knows. Got: {short_line(error)} Use another "
            "module, or go without the ONNX file."
        ) from error
    return model


def _without_erfc(graph_def: Any) -> Any:
    """Returns a graph with 1 - Erf(x) in place of Erfc(x), as in GELU; ONNX knows no Erfc."""
    known = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        if node.op != "Erfc":
            known.node.append(node)
            continue
        erf = known.node.add(name=f"{node.name}/erf", op="Erf", input=node.input)
        one = known.node.add(name=f"{node.name}/one", op="Const")
        one.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0, tf.float32))
        one.attr["dtype"].type = tf.float32.as_datatype_enum
        left = known.node.add(name=node.name, op="Sub", input=[one.name, erf.name])
        for made in (erf, left):
            made.attr["T"].type = tf.float32.as_datatype_enum
    return known


def _put_in_order(graph: Any) -> None:
    """Names nodes and tensors anew and puts nodes after their inputs, for equal bytes.

    tf2onnx numbers them on through the process, and takes sets for lists. A graph of branches or
    loops stays as it is: what is inside them goes by the old names.
    """
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return
    nodes = _makers_first(graph)
    constants = {constant.name: constant for constant in graph.initializer}
    names = {end.name: end.name for end in (*graph.input, *graph.output)} | {"": ""}
    kept: list[Any] = []
    for number, node in enumerate(nodes, 1):
        for name in node.input:
            if name in constants and name not in names:
                names[name] = f"{_SCOPE}/constant_{len(kept)}"
                kept.append(constants[name])
        node.name = f"{_SCOPE}/{node.op_type}_{number}"
        for place, output in enumerate(node.output):
            names.setdefault(output, f"{node.name}_{place}" if place else node.name)
    for node in nodes:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: str(attribute.name))
        _replace(node.attribute, attributes)
    for constant in kept:
        constant.name = names[constant.name]
    _replace(graph.node, nodes)
    _replace(graph.initializer, kept)
    del graph.value_info[:]


def _makers_first(graph: Any) -> list[Any]:
    """Returns the nodes that the outputs need, each after those whose outputs it takes."""
    makers = {output: node for node in graph.node for output in node.output}
    nodes: list[Any] = []
    entered: set[str] = set()
    for end in graph.output:
        # What an output before it needs is there already.
        path = [makers[end.name]] if makers[end.name].output[0] not in entered else []
        while path:
            node = path[-1]
            entered.add(node.output[0])
            makes = (makers[name] for name in node.input if name in makers)
            following = next((maker for maker in makes if maker.output[0] not in entered), None)
            if following is not None:
                path.append(following)
            else:
                nodes.append(path.pop())
    return nodes


def _replace(field: Any, messages: list[Any]) -> None:
    """Fills a repeated field of a message with some of its own messages, in a new order."""
    copies = [type(message).FromString(message.SerializeToString()) for message in messages]
    del field[:]
    field.extend(copies)


@contextlib.contextmanager
def _quiet_converter() -> Iterator[None]:
    """Keeps the converter's chatter off the screen, and its hands off the log."""
    handlers, level = list(standard_logging.root.handlers), standard_logging.root.level
    with quiet_stderr():
        try:
            import tf2onnx  # noqa: F401, PLC0415 - an extra; it sets up the log

            standard_logging.getLogger("tf2onnx").setLevel(standard_logging.CRITICAL)
            yield
        finally:
            standard_logging.root.handlers = handlers
            standard_logging.root.setLevel(level)
