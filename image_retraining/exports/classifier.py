"""What a finished classifier is, whatever it is kept in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from image_retraining.exports.facts import ModelFacts
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Floats

# How a SavedModel's signature and the second output of other exports are called.
FEATURES = "features"


@dataclass(frozen=True, slots=True)
class Layers:
    """Which layers of a graph to use.

    Attributes:
        input: node that takes photos; '' to find it.
        output: node that gives scores; '' to find it.
    """

    input: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """A classifier as a frozen graph, whose inside can be looked into.

    Attributes:
        graph_def: a frozen GraphDef.
        input_name: tensor name of the photos.
        output_name: tensor name of the scores.
    """

    graph_def: Any
    input_name: str
    output_name: str


@dataclass(frozen=True, slots=True)
class PixelRange:
    """How a classifier takes pixels: a value p of 0 to 255 goes in as (p - mean) / std.

    Attributes:
        mean: one number, or one each for R, G and B.
        std: likewise; none of them is 0.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)


ZERO_TO_ONE = PixelRange()


def told_range(facts: ModelFacts | None) -> PixelRange:
    """Returns how a classifier takes pixels, as its maker says; 0 to 1 where nothing is said."""
    if facts is None:
        return ZERO_TO_ONE
    low, high = facts.input_range
    scale = 255 / (high - low)
    return PixelRange((0 - low * scale,), (scale,))


@dataclass(frozen=True, slots=True)
class Features:
    """How a classifier gives feature vectors, and where the rule is that is fitted to them.

    Attributes:
        with_scores: gives float32 [N, C] and the vectors, float32 [N, D], for float32 [N, H, W, 3];
            or raises GraphError.
        rule_name: what the file is called that tells what is unknown by them, for messages.
        rule: gives the contents of that file, b"" where there is none; or raises GraphError.
    """

    with_scores: Callable[[Any], tuple[Floats, Floats]]
    rule_name: str
    rule: Callable[[], bytes]


def no_network(path: object, reader: str) -> GraphError:
    """Returns the error of a classifier whose inside only its own reader knows.

    Args:
        path: of the classifier.
        reader: what reads it.
    """
    return GraphError(
        "--heatmap_dir and --report_heatmaps need what TensorFlow computes. Got "
        f"{path}, of which only {reader} knows the inside. Give the frozen graph or the "
        "SavedModel instead."
    )


@dataclass(frozen=True, slots=True)
class WithVectors:
    """Gives scores and, behind them, feature vectors.

    Attributes:
        streams: how many batches are best scored at a time.
        features: how a classifier gives both.
    """

    streams: int
    features: Features

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C + D] for float32 [N, H, W, 3]."""
        return np.concatenate(self.features.with_scores(images), axis=1)


class Scorer(Protocol):
    """What gives scores of photos."""

    @property
    def streams(self) -> int:
        """How many batches are best scored at a time, each by a thread of the caller."""

    def scores(self, images: Any, /) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3], in its range.

        Raises:
            GraphError: it cannot work with such photos.
        """


class Classifier(Scorer, Protocol):
    """A finished classifier, read from disk, ready to run on photos."""

    @property
    def image_size(self) -> tuple[int | None, int | None]:
        """(H, W) of the photos it takes; None where it leaves one of them open."""

    @property
    def pixel_range(self) -> PixelRange | None:
        """How their pixels go in, if its format says so itself; what else is known: told_range."""

    @property
    def output_size(self) -> int | None:
        """C, how many scores it gives a photo; None where that is left open."""

    @property
    def score_step(self) -> float:
        """What lies between two scores that it can give; 0 but for those in integers."""

    @property
    def facts(self) -> ModelFacts | None:
        """What its maker says of it; None where nothing is said.

        Raises:
            GraphError: it cannot be understood.
        """

    @property
    def labels(self) -> tuple[str, ...]:
        """C names, in the order of the scores; () when none came with it.

        Raises:
            GraphError: they cannot be understood.
        """

    @property
    def labels_source(self) -> str:
        """Where these labels stand, for messages."""

    @property
    def scores_of_file(self) -> Callable[[bytes], Floats] | None:
        """Gives float32 [C] for the contents of a photo file, or raises PhotoError.

        None where it takes pixels, as nearly all do.
        """

    @property
    def features(self) -> Features | None:
        """How it gives feature vectors; None where it does not."""

    def network(self) -> Network:
        """Returns it as a frozen graph.

        Raises:
            GraphError: it has none.
        """
