"""Frozen graph, ours or one that others made → scores of photos.

Graphs of the years before TensorFlow Hub come in three kinds besides: of one photo at a time, of
photos whose size is left open, and of photo files, which the graph decodes and resizes itself.
"""

import difflib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from image_retraining.backbone.graphs import photo_shape
from image_retraining.exports.classifier import Features, Network
from image_retraining.exports.complaints import telling_line
from image_retraining.exports.facts import ModelFacts, facts_path
from image_retraining.exports.frozen_graph.sizes import advice, working_sizes
from image_retraining.exports.frozen_graph.writer import VECTORS_TENSOR, has_vectors
from image_retraining.exports.unknown_file import rule_file, unknown_path
from image_retraining.foundation.errors import GraphError, PhotoError, first_line
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown

_CHANNELS = 3
_DECODERS = frozenset({"DecodeBmp", "DecodeGif", "DecodeImage", "DecodeJpeg", "DecodePng"})
# TensorFlow refuses the op in graphs that say they are newer, though it still computes it: those
# that were retrained from the Inception of 2015 with a later TensorFlow.
_OLD_BATCH_NORM, _LAST_VERSION_OF_IT = "BatchNormWithGlobalNormalization", 8


class FrozenGraph:
    """A frozen graph from disk, ready to run on photos.

    Attributes:
        image_size: (H, W) of the photos it takes; None where it leaves one of them open.
        pixel_range: None, for only its facts say how pixels go in.
        output_size: C, how many scores it gives a photo; None where that is left open.
        score_step: 0, for scores are float32.
        streams: how many batches are best scored at a time.
        facts: what its maker says of it, if anything.
        labels: C names by these facts; () without.
        labels_source: where these labels stand.
        scores_of_file: of graphs that take the contents of a photo file; None if it takes pixels.
        features: how it gives feature vectors, if it has the node for them.
    """

    streams = 2
    score_step = 0.0

    def __init__(
        self,
        path: str | Path,
        *,
        input_layer: str = "",
        output_layer: str = "",
        facts: ModelFacts | None = None,
    ) -> None:
        """Reads a graph.

        Args:
            path: a binary GraphDef.
            input_layer: node that takes photos, float32 [N, H, W, 3], or the bytes of a file,
                string; '' to find it.
            output_layer: node that gives scores, float32 [N, C]; '' to find it.
            facts: what is known of it.

        Raises:
            GraphError: the file is no graph, or has no such nodes, or several that could be it.
        """
        self._path = path
        self.facts = facts
        self.pixel_range = None
        self.labels = facts.labels if facts else ()
        self.labels_source = facts_path(str(path))
        graph_def = _read(path)
        self._network = Network(
            graph_def,
            _chosen("input_layer", input_layer, graph_def, _photo_inputs(graph_def)),
            _chosen("output_layer", output_layer, graph_def, _outputs(graph_def)),
        )
        with tf.Graph().as_default() as graph:
            try:
                photos, scores = tf.graph_util.import_graph_def(
                    graph_def,
                    return_elements=[self._network.input_name, self._network.output_name],
                    name="",
                )
            except (ValueError, KeyError, tf.errors.OpError) as error:
                raise GraphError(
                    f"--graph must be a graph that can run. Got {path}: {first_line(error)}"
                ) from error
        # A function would not do: TensorFlow takes what is in it for as new as itself.
        session = tf.compat.v1.Session(graph=graph)
        self._run = session.make_callable(scores, [photos])
        self.features = None
        if has_vectors(graph_def):
            self._run_both = session.make_callable([scores, VECTORS_TENSOR], [photos])
            self.features = Features(self._scores_and_vectors, *rule_file(unknown_path(str(path))))
        takes_files = photos.dtype == tf.string
        self.scores_of_file = self._scores_of_file if takes_files else None
        self._takes_lists = photos.shape.rank == 1
        shape = photo_shape(photos)
        self.image_size = tuple(shape[1:3]) if len(shape) == 4 else (None, None)
        self.output_size = scores.shape[-1] if scores.shape.rank else None
        self._batch_size = _batch_size(photos, scores)

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3].

        Raises:
            GraphError: the graph cannot work with such photos.
        """
        photos = np.asarray(images, np.float32)
        size = self._batch_size or max(1, len(photos))
        parts = []
        for start in range(0, len(photos), size):
            part = photos[start : start + size]
            missing = size - len(part)
            padded = np.pad(part, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else part
            parts.append(self._scores(padded)[: len(part)])
        return np.concatenate(parts) if parts else np.empty([0, self.output_size or 0], np.float32)

    def network(self) -> Network:
        """Returns what was read."""
        return self._network

    def _scores_and_vectors(self, images: Any) -> tuple[Floats, Floats]:
        """Returns float32 [N, C] and [N, D] for float32 [N, H, W, 3]."""
        photos = np.asarray(images, np.float32)
        try:
            scores, vectors = self._run_both(photos)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise self._unfit(photos, error) from error
        return scores, vectors

    def _scores_of_file(self, contents: bytes) -> Floats:
        """Returns float32 [C] for the bytes of a photo file.

        Raises:
            PhotoError: the graph cannot decode such a file, or work with its photo.
        """
        fed = [contents] if self._takes_lists else contents
        try:
            scores: Floats = self._rows(self._run(fed), 1)[0]
        except tf.errors.InvalidArgumentError as error:
            raise PhotoError(
                f"the graph cannot work with this file: {telling_line(error)}"
            ) from error
        return scores

    def _scores(self, photos: Floats) -> Floats:
        try:
            return self._answer(photos)
        except GraphError as error:
            if None not in self.image_size:
                raise
            raise GraphError(
                f"{error} {advice(working_sizes(self._answer, len(photos)))}"
            ) from error

    def _answer(self, photos: Floats) -> Floats:
        """Returns the same, or the reason of the graph alone."""
        try:
            return self._rows(self._run(photos), len(photos))
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise self._unfit(photos, error) from error

    def _unfit(self, photos: Floats, error: Exception) -> GraphError:
        _, height, width, _ = photos.shape
        return GraphError(
            "--graph must be able to work with such photos, as --input_layer, --input_height "
            f"and --input_width say. Got {self._path}, for photos of {height} x {width} "
            f"pixels: {telling_line(error).rstrip('.')}."
        )

    def _rows(self, answer: Any, count: int) -> Floats:
        """Returns float32 [count, C]; graphs of one photo may give it as [1, 1, 1, C] or [C]."""
        scores = np.asarray(answer, np.float32)
        is_one_row = count == 1 and scores.ndim > 0 and scores.size == scores.shape[-1]
        rows = scores.reshape([1, -1]) if is_one_row else scores
        if rows.ndim != 2 or len(rows) != count or not rows.size:
            raise GraphError(
                "--output_layer must give a row of scores a photo. Got "
                f"{self._network.output_name}, which gives the shape {scores.shape} for {count} "
                "photos."
            )
        return rows


def _batch_size(photos: Any, scores: Any) -> int | None:
    """Returns how many photos a graph takes at a time; None when it takes any number."""
    if photos.dtype == tf.string:
        return 1
    if photos.shape.rank is None:
        # Tools that optimise a graph drop the shape of its input, whatever follows expects.
        return 1
    fixed = photos.shape[0] or (scores.shape[0] if scores.shape.rank == 2 else None)
    return None if fixed is None else int(fixed)


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
    if any(node.op == _OLD_BATCH_NORM for node in graph_def.node):
        graph_def.versions.producer = min(graph_def.versions.producer, _LAST_VERSION_OF_IT)
    return graph_def


def _photo_inputs(graph_def: Any) -> list[str]:
    """Returns the names of the nodes that may take photos; if there is none, files of photos."""
    placeholders = [node for node in graph_def.node if node.op == "Placeholder"]
    photos = [node.name for node in placeholders if _may_be_photos(node)]
    if photos:
        return photos
    files = {node.input[0] for node in graph_def.node if node.op in _DECODERS}
    return sorted(name.partition(":")[0] for name in files)


def _may_be_photos(placeholder: Any) -> bool:
    """Whether a placeholder's shape is [?, ?, ?, 3] or unknown, which older graphs leave empty."""
    if placeholder.attr["dtype"].type != tf.float32.as_datatype_enum:
        return False
    shape = placeholder.attr["shape"].shape
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
    raise GraphError(f"--{flag} must be a node of the graph. Got {shown(wanted)}.{hint}")
