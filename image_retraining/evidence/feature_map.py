"""Graph of a network → the last map of features over the photo, where evidence has a place.

Everything here is read off the graph; nothing is computed.
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from image_retraining.foundation.errors import GraphError

_RULE = (
    "Heat maps need a graph of a convolutional network, in which all evidence passes through a map "
    "of features over the photo. Got one in which"
)
_ADVICE = "Label without --heatmap_dir, or retrain with a module of such a network."

# Each photo's result is a sum of its inputs times constants, plus a constant, when all inputs but
# one are constants. Of those in the second set the first input must be that one.
_AFFINE_ANY = frozenset({"Add", "AddV2", "Mul", "Sub"})
_AFFINE_FIRST = frozenset(
    {
        "BiasAdd",
        "Identity",
        "MatMul",
        "PlaceholderWithDefault",
        "RealDiv",
        "Reshape",
        "Snapshot",
        "Squeeze",
    }
)
# These, too, make nothing of pixels but weighted sums.
_LINEAR = frozenset(
    {
        "AvgPool",
        "ConcatV2",
        "Conv2D",
        "DepthwiseConv2dNative",
        "Mean",
        "MirrorPad",
        "Pad",
        "PadV2",
        "Placeholder",
        "ResizeBilinear",
        "Split",
        "StridedSlice",
        "Sum",
        "Transpose",
    }
)
# TensorFlow cannot tell the gradients of these once they were written to a file.
_CONTROL_FLOW = frozenset({"Enter", "Exit", "Merge", "NextIteration", "Switch"})
_CHANNELS_FIRST = b"NCHW"


@dataclass(frozen=True, slots=True)
class PooledMap:
    """A map whose means are all that the logits are made of, by weights and constants alone.

    Attributes:
        features: float32 [N, h, w, D].
        means: its means over all places, float32 [N, D] or [N, 1, 1, D].
    """

    features: Any
    means: Any


def pooled_map(photos: Any, logits: Any) -> PooledMap | None:
    """Returns the map whose means the logits weigh, None if something else stands in between.

    Args:
        photos: tensor of a graph, float32 [N, H, W, 3].
        logits: tensor of the same graph, float32 [N, C].
    """
    way = {op.name for op in _way(photos, logits)}
    tensor = logits
    while not _is_mean_of_map(tensor.op):
        op = tensor.op
        places = [place for place, given in enumerate(op.inputs) if given.op.name in way]
        if len(places) != 1 or not (
            op.type in _AFFINE_ANY or (op.type in _AFFINE_FIRST and places == [0])
        ):
            return None
        tensor = op.inputs[places[0]]
    return PooledMap(tensor.op.inputs[0], tensor)


def last_map(photos: Any, logits: Any) -> Any:
    """Returns the last map through which all evidence passes, float32 [N, h, w, D].

    Args:
        photos: tensor of a graph, float32 [N, H, W, 3].
        logits: tensor of the same graph, float32 [N, C].

    Raises:
        GraphError: there is none that is more than sums of pixels, or no gradient reaches it.
    """
    way = _way(photos, logits)
    places = [place for place in _passed_by_all(way) if place and _is_map(way[place].outputs[0])]
    if not places:
        raise no_map("there is none, or several side by side")
    features = way[places[-1]].outputs[0]
    before, after = way[: places[-1] + 1], way[places[-1] + 1 :]
    if all(op.type in _AFFINE_ANY | _AFFINE_FIRST | _LINEAR for op in before):
        raise no_map(f"the last one, {features.name}, is no more than sums of pixels")
    if any(_CHANNELS_FIRST in _data_format(op) for op in before):
        raise no_map(f"the maps, such as {features.name}, have their channels first")
    branching = next((op.name for op in after if op.type in _CONTROL_FLOW), None)
    if branching:
        raise no_map(f"the way on from {features.name} depends on the photo, at {branching}")
    return features


def no_map(reason: str) -> GraphError:
    """Returns the error that says why no heat map can be had; the reason follows 'in which'."""
    return GraphError(f"{_RULE} {reason}. {_ADVICE}")


def _way(photos: Any, logits: Any) -> list[Any]:
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


def _is_mean_of_map(op: Any) -> bool:
    """Whether an op takes the mean over all places of a map."""
    if op.type == "Mean" and _is_map(op.inputs[0]):
        axes = tf.get_static_value(op.inputs[1])
        return axes is not None and sorted(axes.reshape(-1) % 4) == [1, 2]
    if op.type == "AvgPool" and _is_map(op.inputs[0]):
        if _CHANNELS_FIRST in _data_format(op) or list(op.outputs[0].shape[1:3]) != [1, 1]:
            return False
        window, sides = op.get_attr("ksize")[1:3], op.inputs[0].shape[1:3]
        # Padding does not count in TensorFlow's means.
        return all(
            side is not None and reach >= side for reach, side in zip(window, sides, strict=True)
        )
    return False


def _data_format(op: Any) -> bytes:
    """Returns the order of an op's axes, b'' where it has no say."""
    return bytes(op.node_def.attr["data_format"].s) if "data_format" in op.node_def.attr else b""
