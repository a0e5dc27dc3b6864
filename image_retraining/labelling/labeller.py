"""Photos + graph + labels file → labels with scores: what label_image.py does."""

import functools
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from image_retraining.evidence.evidence import Evidence
from image_retraining.exports.classifier import Classifier, Layers, PixelRange, told_range
from image_retraining.exports.facts import ModelFacts
from image_retraining.exports.formats import open_classifier
from image_retraining.exports.predictions import in_range, predict, predict_files, top
from image_retraining.foundation.errors import GraphError, PhotoError
from image_retraining.foundation.records import Floats, Prediction
from image_retraining.labelling.answers import Answer
from image_retraining.labelling.config import AUTO, LabelConfig
from image_retraining.labelling.labels import facts_of, labels_of
from image_retraining.labelling.unknown import unknown_rule
from image_retraining.photos import pixels, reading
from image_retraining.photos.folder import photos_below
from image_retraining.photos.preparation import APPLY

_LISTED = "-"


def photo_paths(named: Sequence[str], listed: Iterable[str]) -> list[str]:
    """Returns the photos that are named, and those below the folders that are named.

    Args:
        named: photos, folders, and '-' for those that are listed.
        listed: names; drawn if '-' is named.

    Raises:
        PhotoError: a folder cannot be read, or there is no photo in it.
        SettingError: the names that are listed do not stand on lines.
    """
    paths: list[str] = []
    for path in named:
        if path == _LISTED:
            paths += photo_paths([name for name in listed if name and name != _LISTED], ())
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
    """A classifier with its labels.

    Attributes:
        labels: C names, in the order of the scores.
        facts: what its maker says of the classifier; None where nothing is said.
        upright: whether photos are turned as their EXIF orientation says.
        unknown: which answers are unknown.
    """

    def __init__(self, config: LabelConfig, *, own_threshold: bool = False) -> None:
        """Reads the classifier and the labels.

        Args:
            config: the settings.
            own_threshold: whether no threshold of unknown means the classifier's, if it has one.

        Raises:
            GraphError: one of them cannot be read, or they do not fit together or the settings.
        """
        layers = Layers(config.input_layer, config.output_layer)
        self._classifier = open_classifier(config.graph, layers)
        self._named = config.graph
        self.facts = facts_of(config, self._classifier)
        learnt = self.facts.exif_orientation if self.facts else APPLY
        self.upright = (config.exif_orientation or learnt) == APPLY
        self.labels, self._labels_source = labels_of(config, self._classifier)
        if self._classifier.output_size is not None:
            self.check_count(self._classifier.output_size)
        self._pixels = _pixels(config, self._classifier, self.facts)
        threshold, fitted = config.unknown_threshold, self.facts and self.facts.calibration
        if own_threshold and not threshold and fitted and fitted.threshold:
            threshold = AUTO
        self.unknown = unknown_rule(threshold, self.facts, self._classifier, config.graph)
        self._asked = self.unknown.asked(self._classifier)
        self._top_k = config.top_k
        self._config = config
        if config.heatmap_dir:
            logging.info("Pictures of the evidence, by Grad-CAM, go to %s", config.heatmap_dir)
        if config.heatmap_dir or config.draws_evidence:
            # A classifier without a map is told before any photo is labelled.
            self.check_map()

    def predictions(self, paths: Sequence[str]) -> Generator[Prediction, None, None]:
        """Yields a prediction for each photo, in their order; to be closed by who stops early."""
        scores_of_file = self._classifier.scores_of_file
        if scores_of_file is not None:
            yield from predict_files(
                scores_of_file, paths, upright=self.upright, streams=self._classifier.streams
            )
            return
        wanted = self._pixels
        found = predict(
            self._asked,
            paths,
            image_size=wanted.size,
            upright=self.upright,
            taken=wanted.taken,
        )
        for prediction in found:
            yield self.unknown.taken_apart(prediction)

    def photo_prediction(self, photo: Any) -> Prediction:
        """Returns the prediction for a photo in memory.

        Args:
            photo: uint8 [h, w, 3], RGB, or float32 of 0 to 1; of any size.
        """
        scores_of_file = self._classifier.scores_of_file
        if scores_of_file is not None:
            return Prediction("", scores_of_file(pixels.as_png(photo)))
        scores = self._asked.scores(self._fed(self.resized(photo)))[0]
        return self.unknown.taken_apart(Prediction("", scores))

    def resized(self, photo: Any) -> Any:
        """Returns float32 [H, W, 3], of the size that the classifier takes, of a photo in memory.

        Args:
            photo: as for `photo_prediction`.
        """
        return pixels.of_array(photo, self._pixels.size)

    def resized_scores(self, resized: Any) -> Floats:
        """Returns float32 [C] for what `resized` gives."""
        scores: Floats = self._classifier.scores(self._fed(resized))[0]
        return scores

    def check_map(self) -> None:
        """Raises GraphError unless the evidence for a label can be told."""
        _ = self._evidence

    def evidence(self, resized: Any, label_id: int) -> Floats:
        """Returns float32 [h, w], over the whole of a photo: where the evidence for a label is.

        Args:
            resized: float32 [H, W, 3], RGB, 0 to 1, of the size that the classifier takes.
            label_id: the label.

        Raises:
            GraphError: the classifier has no map of features, or only its own reader knows it.
        """
        label_ids = np.array([label_id], np.int32)
        found: Floats = self._evidence.explain(self._fed(resized), label_ids).maps[0]
        return found

    def photo_evidence(self, path: str, label_id: int) -> tuple[Any, Floats]:
        """Returns a photo, uint8 [H, W, 3], and float32 [h, w]: where a label's evidence is.

        Raises:
            PhotoError: the photo cannot be read any more.
        """
        try:
            photo = reading.read_prepared(path, upright=self.upright)
            whole = pixels.in_full(photo.contents, photo.orientation)
        except (OSError, tf.errors.InvalidArgumentError) as error:
            raise PhotoError(f"{path} cannot be read any more. Run again.") from error
        return whole, self.evidence(self.resized(whole), label_id)

    def answer(self, prediction: Prediction) -> Answer:
        """Returns what to say of a photo.

        Raises:
            GraphError: there are not as many labels as scores.
        """
        if prediction.scores is None:
            return Answer(prediction.path, (), error=prediction.reason)
        scores = prediction.scores
        self.check_count(len(scores))
        is_unknown = self.unknown.is_unknown(scores, prediction.distance)
        return Answer(
            prediction.path,
            tuple((self.labels[place], float(scores[place])) for place in top(scores, self._top_k)),
            unknown=self.unknown.sureness(scores) if is_unknown else None,
            damage=prediction.damage,
        )

    def check_count(self, outputs: int) -> None:
        """Raises GraphError unless there is a label for each of so many scores."""
        if outputs != len(self.labels):
            raise GraphError(
                f"--labels must name each of the graph's outputs. Got {len(self.labels)} labels "
                f"in {self._labels_source} for {outputs} outputs of {self._named}."
            )

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the photos that the classifier takes; (0, 0) of one that takes files."""
        return self._pixels.size

    def _fed(self, resized: Any) -> Floats:
        """Returns float32 [1, H, W, 3] as the classifier wants it, from [H, W, 3] of 0 to 1."""
        return in_range(np.asarray(resized)[np.newaxis], self._pixels.taken)

    @functools.cached_property
    def _evidence(self) -> Evidence:
        if self._classifier.scores_of_file is not None:
            raise GraphError(f"Heat maps are for graphs of pixels. {_of_files(self._config)}")
        network = self._classifier.network()
        return Evidence(network.graph_def, network.input_name, network.output_name)


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What a model wants to know of a photo: (H, W), and how its pixels go in."""

    size: tuple[int, int]
    taken: PixelRange


def _pixels(config: LabelConfig, classifier: Classifier, facts: ModelFacts | None) -> _Pixels:
    """Returns what pixels a classifier takes; of one that takes photo files, none are asked for."""
    if classifier.scores_of_file is not None:
        for name in sorted({"input_height", "input_width", "input_mean", "input_std"}):
            if name in config.named:
                raise GraphError(f"--{name} is for graphs of pixels. {_of_files(config)}")
        return _Pixels((0, 0), told_range(facts))
    size = (
        _side("height", classifier.image_size[0], config.input_height),
        _side("width", classifier.image_size[1], config.input_width),
    )
    taken = classifier.pixel_range or told_range(facts)
    return _Pixels(
        size,
        PixelRange(
            (config.input_mean,) if "input_mean" in config.named else taken.mean,
            (config.input_std,) if "input_std" in config.named else taken.std,
        ),
    )


def _of_files(config: LabelConfig) -> str:
    return (
        f"{config.graph} decodes photo files itself. Name its layer of pixels with --input_layer, "
        "as in --input_layer=Mul --input_mean=128 --input_std=128 for the Inception of 2015."
    )


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
