"""Photos + graph + labels file → labels with scores: what label_image.py does."""

import os
from collections.abc import Iterator, Sequence

from image_retraining.catalog import photos_below
from image_retraining.errors import GraphError, PhotoError
from image_retraining.frozen_graph import FrozenGraph, read_labels
from image_retraining.label_config import LabelConfig
from image_retraining.model_facts import ModelFacts, facts_path, read_facts
from image_retraining.model_versions import newest_version
from image_retraining.predictions import predict, top
from image_retraining.records import Floats, Prediction
from image_retraining.saved_model import SavedModel

_TOP_COUNT = 5


def photo_paths(named: Sequence[str]) -> list[str]:
    """Returns the photos that are named, and those below the folders that are named.

    Raises:
        PhotoError: a folder cannot be read, or there is no photo in it.
    """
    paths = []
    for path in named:
        if not os.path.isdir(path):
            paths.append(path)
            continue
        found = photos_below(path)
        if not found:
            raise PhotoError(f"--image must be a photo or a folder of photos. {path} has none.")
        paths.extend(found)
    return paths


class Labeller:
    """A graph with its labels."""

    def __init__(self, config: LabelConfig) -> None:
        """Reads the graph and the labels.

        Raises:
            GraphError: one of them cannot be read, or they do not fit together or the settings.
        """
        self._graph, facts = _opened(config)
        self._labels, source = _labels(config, self._graph, facts)
        count = self._graph.output_size
        if count is not None and count != len(self._labels):
            raise GraphError(
                f"--labels must name each of the graph's outputs. Got {len(self._labels)} labels "
                f"in {source} for {count} outputs of {config.graph}."
            )
        self._image_size = (
            _side("height", self._graph.image_size[0], config.input_height),
            _side("width", self._graph.image_size[1], config.input_width),
        )
        self._mean, self._std = config.input_mean, config.input_std

    def predictions(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """Yields a prediction for each photo, in their order."""
        return predict(
            self._graph, paths, image_size=self._image_size, mean=self._mean, std=self._std
        )

    def lines(self, scores: Floats) -> list[str]:
        """Returns the best labels of float32 [C] scores, best first, as 'label score'."""
        return [
            f"{self._labels[label_id]} {scores[label_id]:.6f}"
            for label_id in top(scores, _TOP_COUNT)
        ]


def _opened(config: LabelConfig) -> tuple[FrozenGraph | SavedModel, ModelFacts | None]:
    """Returns what labels the photos, and what is known of it."""
    if os.path.isdir(config.graph):
        return SavedModel(newest_version(config.graph)), None
    facts = read_facts(config.graph) if os.path.isfile(config.graph) else None
    graph = FrozenGraph(
        config.graph,
        input_layer=config.input_layer or (facts.input_layer if facts else ""),
        output_layer=config.output_layer or (facts.output_layer if facts else ""),
    )
    return graph, facts


def _labels(
    config: LabelConfig, graph: FrozenGraph | SavedModel, facts: ModelFacts | None
) -> tuple[tuple[str, ...], str]:
    """Returns the labels, and where they come from: a file that is named goes before all else."""
    if "labels" not in config.named:
        if facts:
            return facts.labels, facts_path(config.graph)
        if isinstance(graph, SavedModel) and graph.labels:
            return graph.labels, config.graph
    return read_labels(config.labels), config.labels


def _side(name: str, of_graph: int | None, wanted: int) -> int:
    """Returns the pixels of a side: the graph's, or the wanted ones where it leaves them open."""
    if not of_graph and not wanted:
        raise GraphError(
            f"The graph leaves the {name} of its photos open; give --input_{name}, as in "
            f"--input_{name}=224."
        )
    if of_graph and wanted and of_graph != wanted:
        raise GraphError(
            f"--input_{name} must fit the graph, which takes {of_graph} pixels. Got {wanted}."
        )
    return of_graph or wanted
