"""Photos + graph + labels file → labels with scores: what label_image.py does."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import logging

from image_retraining.evaluation.calibration import with_temperature
from image_retraining.evidence import heatmap
from image_retraining.evidence.evidence import Evidence
from image_retraining.exports.facts import ModelFacts, enclosed_facts, facts_path, read_facts
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import read_labels
from image_retraining.exports.predictions import in_range, predict, predict_files, top
from image_retraining.exports.saved_model import SavedModel
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.versions import newest_version
from image_retraining.foundation.errors import GraphError, PhotoError
from image_retraining.foundation.records import Floats, Prediction
from image_retraining.labelling.answers import Answer
from image_retraining.labelling.config import AUTO, LabelConfig
from image_retraining.photos import pixels
from image_retraining.photos.folder import photos_below

_LISTED = "-"

_Model = FrozenGraph | SavedModel | TFLiteModel


def photo_paths(named: Sequence[str], listed: Iterable[str]) -> list[str]:
    """Returns the photos that are named, and those below the folders that are named.

    Args:
        named: photos, folders, and '-' for those that are listed.
        listed: a name a line; read if '-' is named.

    Raises:
        PhotoError: a folder cannot be read, or there is no photo in it.
    """
    paths: list[str] = []
    for path in named:
        if path == _LISTED:
            names = (line.rstrip("\r\n") for line in listed)
            paths += photo_paths([name for name in names if name and name != _LISTED], ())
            continue
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
        self._named = config.graph
        self._labels, self._labels_source = _labels(config, self._graph, facts)
        if self._graph.output_size is not None:
            self._check_count(self._graph.output_size)
        self._input = _input(config, self._graph)
        self._unknown = _unknown_rule(config, facts)
        self._top_k = config.top_k
        self._heatmap_dir = config.heatmap_dir
        self._evidence = _evidence(config, self._graph) if config.heatmap_dir else None

    def predictions(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """Yields a prediction for each photo, in their order."""
        wanted = self._input
        if isinstance(wanted, _Pixels):
            return predict(
                self._graph, paths, image_size=wanted.size, mean=wanted.mean, std=wanted.std
            )
        return predict_files(wanted.scores_of_file, paths, streams=wanted.streams)

    def draw_evidence(self, path: str, scores: Floats) -> None:
        """Draws where the evidence for a photo's best label is, if asked to.

        Raises:
            PhotoError: the photo cannot be read any more.
            OutputError: the picture cannot be written.
        """
        wanted = self._input
        if self._evidence is None or not isinstance(wanted, _Pixels):
            return
        try:
            photo = pixels.pixels(pixels.read(path), wanted.size).numpy()[np.newaxis]
        except (OSError, tf.errors.InvalidArgumentError) as error:
            raise PhotoError(f"{path} cannot be read any more. Run again.") from error
        label_ids = np.array([scores.argmax()], np.int32)
        maps = self._evidence.explain(in_range(photo, wanted.mean, wanted.std), label_ids).maps
        heatmap.write(self._heatmap_dir, path, maps[0])

    def answer(self, prediction: Prediction) -> Answer:
        """Returns what to say of a photo.

        Raises:
            GraphError: there are not as many labels as scores.
        """
        if prediction.scores is None:
            return Answer(prediction.path, (), error=prediction.reason)
        scores = prediction.scores
        self._check_count(len(scores))
        sureness = self._unknown.sureness(scores)
        return Answer(
            prediction.path,
            tuple(
                (self._labels[place], float(scores[place])) for place in top(scores, self._top_k)
            ),
            unknown=sureness if sureness < self._unknown.threshold else None,
        )

    def _check_count(self, outputs: int) -> None:
        if outputs != len(self._labels):
            raise GraphError(
                f"--labels must name each of the graph's outputs. Got {len(self._labels)} labels "
                f"in {self._labels_source} for {outputs} outputs of {self._named}."
            )


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What a model wants to know of a photo: (H, W), and what to make of its pixels."""

    size: tuple[int, int]
    mean: float
    std: float


def _input(config: LabelConfig, graph: _Model) -> _Pixels | FrozenGraph:
    """Returns what pixels a model takes, or the graph if it takes the bytes of photo files."""
    if isinstance(graph, FrozenGraph) and graph.takes_files:
        for name in sorted({"input_height", "input_width", "input_mean", "input_std"}):
            if name in config.named:
                raise GraphError(f"--{name} is for graphs of pixels. {_of_files(config)}")
        return graph
    size = (
        _side("height", graph.image_size[0], config.input_height),
        _side("width", graph.image_size[1], config.input_width),
    )
    return _Pixels(size, config.input_mean, config.input_std)


def _of_files(config: LabelConfig) -> str:
    return (
        f"{config.graph} decodes photo files itself. Name its layer of pixels with --input_layer, "
        "as in --input_layer=Mul --input_mean=128 --input_std=128 for the Inception of 2015."
    )


def _evidence(config: LabelConfig, model: _Model) -> Evidence:
    if isinstance(model, TFLiteModel):
        raise GraphError(
            f"--heatmap_dir needs what TensorFlow computes. Got {config.graph}, of which only "
            "TensorFlow Lite knows the inside. Give the frozen graph or the SavedModel instead."
        )
    if isinstance(model, SavedModel):
        evidence = Evidence(*model.frozen())
    elif model.takes_files:
        raise GraphError(f"--heatmap_dir is for graphs of pixels. {_of_files(config)}")
    else:
        evidence = Evidence(model.graph_def, model.input_name, model.output_name)
    logging.info("Pictures of the evidence, by %s, go to %s", evidence.method, config.heatmap_dir)
    return evidence


@dataclass(frozen=True, slots=True)
class _UnknownRule:
    """An answer is unknown if its probability, by the temperature, is below the threshold."""

    threshold: float
    temperature: float

    def sureness(self, scores: Floats) -> float:
        # Graphs of other makers may give what is no probability.
        if self.temperature == 1:
            return float(scores.max())
        return float(with_temperature(scores[np.newaxis], self.temperature).max())


def _unknown_rule(config: LabelConfig, facts: ModelFacts | None) -> _UnknownRule:
    if config.unknown_threshold != AUTO:
        return _UnknownRule(float(config.unknown_threshold or 0), 1.0)
    if facts is None or facts.calibration is None:
        raise GraphError(
            f"--unknown_threshold={AUTO} needs a graph with {facts_path('its name')} beside it, "
            f"written by retrain.py with validation photos. {config.graph} has none. Give a "
            "probability, as in --unknown_threshold=0.6."
        )
    temperature = 1.0 if facts.temperature_in_graph else facts.calibration.temperature
    return _UnknownRule(facts.calibration.threshold, temperature)


def _opened(config: LabelConfig) -> tuple[_Model, ModelFacts | None]:
    """Returns what labels the photos, and what is known of it."""
    if config.graph.endswith(".tflite"):
        lite = TFLiteModel(config.graph)
        return lite, enclosed_facts(lite.facts, config.graph)
    if os.path.isdir(config.graph):
        saved = SavedModel(newest_version(config.graph))
        return saved, enclosed_facts(saved.facts, config.graph)
    facts = read_facts(config.graph) if os.path.isfile(config.graph) else None
    graph = FrozenGraph(
        config.graph,
        input_layer=config.input_layer or (facts.input_layer if facts else ""),
        output_layer=config.output_layer or (facts.output_layer if facts else ""),
    )
    return graph, facts


def _labels(
    config: LabelConfig, graph: _Model, facts: ModelFacts | None
) -> tuple[tuple[str, ...], str]:
    """Returns the labels, and where they come from: a file that is named goes before all else."""
    if "labels" not in config.named:
        if not isinstance(graph, FrozenGraph) and graph.labels:
            return graph.labels, config.graph
        if facts:
            return facts.labels, facts_path(config.graph)
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
