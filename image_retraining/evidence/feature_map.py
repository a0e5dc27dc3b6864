"""Graph of a network → the last map of features over the photo, where evidence has a place.

Everything here is read off the graph; nothing is computed.
"""

from typing import Any

import tensorflow as tf

from image_retraining.foundation.errors import GraphError

_RULE = (
    "Heat maps need a graph of a convolutional network, in which all evidence passes through a map "
    "of features over the photo. Got one in which"
)
_ADVICE = "Label without heat maps (--heatmap_dir), or retrain with a module of such a network."

# What these make of pixels are weighted sums.
_LINEAR = frozenset(
    {
        "Add",
        "AddV2",
        "AvgPool",
        "BiasAdd",
        "ConcatV2",
        "Conv2D",
        "DepthwiseConv2dNative",
        "Identity",
        "MatMul",
        "Mean",
        "MirrorPad",
        "Mul",
        "Pad",
        "PadV2",
        "Placeholder",
        "PlaceholderWithDefault",
        "RealDiv",
        "Reshape",
        "ResizeBilinear",
        "Snapshot",
        "Split",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Sum",
        "Transpose",
    }
)
# TensorFlow cannot tell the gradients of these once they were written to a file.
_CONTROL_FLOW = frozenset({"Enter", "Exit", "Merge", "NextIteration", "Switch"})
_CHANNELS_FIRST = b"NCHW"
_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def last_map(photos: Any, logits: Any) -> Any:
    """Returns the last map through which all evidence passes, float32 [N, h, w, D].

    Args:
        photos: tensor of a graph, float32 [N, H, W, 3].
        logits: tensor of the same graph, float32 [N, C].

    Raises:
        GraphError: there is none that is more than sums of pixels, or no gradient reaches it.
    """
    way = ops_between(photos, logits)
    places = [place for place in _passed_by_all(way) if place and _is_map(way[place].outputs[0])]
    if not places:
        raise no_map("there is none, or several side by side")
    features = way[places[-1]].outputs[0]
    before, after = way[: places[-1] + 1], way[places[-1] + 1 :]
    if all(op.type in _LINEAR for op in before):
        raise no_map(f"the last one, {features.name}, is no more than sums of pixels")
    if _has_channels_first(before):
        raise no_map(f"the maps, such as {features.name}, have their channels first")
    branching = next((op.name for op in after if op.type in _CONTROL_FLOW), None)
    if branching:
        raise no_map(f"the way on from {features.name} depends on the photo, at {branching}")
    return features


def no_map(reason: str) -> GraphError:
    """Returns the error that says why no heat map can be had; the reason follows 'in which'."""
    return GraphError(f"{_RULE} {reason}. {_ADVICE}")


def ops_between(photos: Any, logits: Any) -> list[Any]:
    """Returns the ops by which numbers get from photos to logits, each after its inputs.

    Whole numbers, such as shapes, are not evidence.
    """
    # An op can only be made after its inputs, so this order is that of the computation.
    ops = photos.graph.get_operations()
    reached = {photos.op.name}
    for op in ops:
        if any(given.op.name in reached for given in op.inputs if given.dtype.is_floating):
            reached.add(op.name)
    needed = {logits.op.name}
    for op in reversed(ops):
        if op.name in needed and op.name != photos.op.name:
            needed |= {given.op.name for given in op.inputs if given.dtype.is_floating}
    return [op for op in ops if op.name in reached & needed]


def _passed_by_all(way: list[Any]) -> list[int]:
    """Returns the places of ops that no path from the first op to the last one avoids."""
    place_of = {op.name: place for place, op in enumerate(way)}
    found, furthest = [], 0
    for place, op in enumerate(way):
        # No result of an earlier op is used beyond this one.
        if furthest <= place:
            found.append(place)
        users = [user.name for output in op.outputs for user in output.consumers()]
        furthest = max([furthest, *(place_of[name] for name in users if name in place_of)])
    return found


def _is_map(tensor: Any) -> bool:
    """Whether a tensor is [N, h, w, D] of more than one place, and all that its op puts out."""
    if tensor.shape.rank != 4 or any(other.consumers() for other in tensor.op.outputs[1:]):
        return False
    return list(tensor.shape[1:3]) != [1, 1]


def _has_channels_first(before: list[Any]) -> bool:
    """Whether a map is [N, D, h, w], by the last of the ops before it that says where D is."""
    for op in reversed(before):
        if op.type == "Transpose":
            order = tf.get_static_value(op.inputs[1])
            if order is not None and order.tolist() in (_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST):
                return bool(order.tolist() == _TO_CHANNELS_FIRST)
        elif "data_format" in op.node_def.attr:
            return _CHANNELS_FIRST in op.node_def.attr["data_format"].s
    return False
