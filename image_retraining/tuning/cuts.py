"""Frozen graph → the tensors at which it can be cut, for all that flows goes through each of them.

With the nodes in an order in which each stands after its inputs, these are the nodes that no edge
leads past. (In a graph with one entry they dominate the output: Prosser, 1959.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import tensorflow as tf

from image_retraining.foundation.errors import SettingError
from image_retraining.tuning.flow import Flow, node_of

AUTO, ALL = "auto", "all"

_BYTES_OF_A_HALF = 2
# Names that may have been meant.
_MOST_NEAR = 3
# Shares of the weights above a good cut: fewer can learn little, and the first layers, which few
# photos teach anything, hold few.
_GOOD_SHARES = (1 / 3, 0.9)


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut a graph.

    Attributes:
        tensor: its name.
        shape: of what it holds of one photo.
        below: share of the nodes on a photo's way up to it, 0 to 1.
        weights_above: how many numbers that can be trained lie above it.
        share_above: which share of all such numbers that is, 0 to 1.
    """

    tensor: str
    shape: tuple[int, ...]
    below: float
    weights_above: int
    share_above: float

    @property
    def bytes_a_photo(self) -> int:
        """What one photo takes in the cache, as float16."""
        return _BYTES_OF_A_HALF * int(np.prod(self.shape))


def chosen(found: Sequence[Cut], flow: Flow, wanted: str) -> Cut:
    """Returns where to cut a graph.

    Args:
        found: the places where it can be cut, in their order.
        flow: the graph.
        wanted: "auto", for the one of fewest bytes a photo among those with a third to 90% of the
            weights above, and of these the lowest; "all" for the photos themselves; a share of the
            nodes below; or the name of a tensor.

    Raises:
        SettingError: there is no such cut, or no weight above it.
    """
    if wanted == ALL:
        cut: Cut | None = _whole(flow)
    elif wanted == AUTO:
        low, high = _GOOD_SHARES
        some = [one for one in found if one.weights_above]
        good = [one for one in some if low <= one.share_above <= high] or some
        cut = min(good, key=lambda one: one.bytes_a_photo, default=None)
    elif _is_number(wanted):
        if not 0 <= float(wanted) < 1:
            raise SettingError(
                "--fine_tune must be a share of the nodes from 0 to below 1, if it is a number. "
                f"Got {wanted}."
            )
        cut = min(found, key=lambda one: abs(one.below - float(wanted)), default=None)
    else:
        named = (one for one in found if wanted in (one.tensor, node_of(one.tensor)))
        cut = next(named, None)
        if cut is None and found:
            raise SettingError(
                f"--fine_tune must be {AUTO}, {ALL}, list, a share of the nodes, or the name of a "
                "tensor through which all flows that is made of a photo; --fine_tune=list shows "
                f"them. Got {wanted}, which is none of {len(found)}.{_meant(wanted, found)}"
            )
    if cut is None:
        raise SettingError(
            "--fine_tune needs a network that can be cut: a tensor through which all flows that is "
            "made of a photo, with weights above it. This module has none; "
            f"--fine_tune={ALL} trains it from its photos."
        )
    if not cut.weights_above:
        raise SettingError(
            "--fine_tune must be below some weights, or there is nothing to train. Got "
            f"{wanted}, which is {cut.tensor} and lies above them all."
        )
    return cut


def _is_number(wanted: str) -> bool:
    """Whether a wish is a number, and no name."""
    try:
        float(wanted)
    except ValueError:
        return False
    return True


def _meant(wanted: str, found: Sequence[Cut]) -> str:
    """Returns a question whether some other name was meant, '' where none is near."""
    names = [AUTO, ALL, *(one.tensor for one in found)]
    inside = [name for name in names if wanted and wanted.lower() in name.lower()]
    near = (inside or get_close_matches(wanted, names))[:_MOST_NEAR]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _whole(flow: Flow) -> Cut:
    photos = flow.graph.get_tensor_by_name(flow.input_name)
    count = sum(sum(weights.values()) for weights in flow.weights.values())
    return Cut(flow.input_name, tuple(photos.shape[1:].as_list()), 0.0, count, 1.0)


def cuts(flow: Flow) -> list[Cut]:
    """Returns the places to cut a graph, from its input to its output, and neither of them.

    What is there of each photo must be of a size that is known beforehand.
    """
    narrow = _narrow(flow) - {node_of(flow.input_name), node_of(flow.output_name)}
    counts = {name: sum(flow.weights[name].values()) for name in flow.names}
    total = above = sum(counts.values())
    found = []
    for place, name in enumerate(flow.names):
        above -= counts[name]
        if name not in narrow:
            continue
        tensor = flow.graph.get_operation_by_name(name).outputs[0]
        sizes = tensor.shape
        if sizes.rank is None or sizes.rank < 2 or not sizes[1:].is_fully_defined():
            continue
        if sizes[0] is None and tensor.dtype == tf.float32:
            below, share = (place + 1) / len(flow.names), above / max(total, 1)
            found.append(Cut(tensor.name, tuple(sizes[1:].as_list()), below, above, share))
    return found


def _narrow(flow: Flow) -> set[str]:
    """Returns the nodes on a photo's way that no edge leads past, and of one output."""
    places = {name: place for place, name in enumerate(flow.names)}
    farthest = dict.fromkeys(flow.names, -1)
    others = set()
    for node in flow.graph_def.node:
        for name in node.input:
            source = node_of(name)
            if source in places:
                farthest[source] = max(farthest[source], places[node.name])
                if name.partition(":")[2] not in ("", "0"):
                    others.add(source)
    found, reach = set(), -1
    for place, name in enumerate(flow.names):
        if reach <= place and name not in others:
            found.add(name)
        reach = max(reach, farthest[name])
    return found
