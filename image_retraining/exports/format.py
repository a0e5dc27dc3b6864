"""What a format of finished classifiers is: how one is told, read, and written."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.facts import ModelFacts
from image_retraining.foundation.records import FeatureSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished classifier, to be written.

    Attributes:
        graph_def: as frozen_graph.writer.build gives it.
        facts: what it is; its labels, its size and its layers among them.
        labels_file: where a labels file goes, for formats that hold no labels themselves.
        training: the training photos, for what has to be calibrated on some.
        quantization: "none", "float16" or "int8", for formats that have a choice.
    """

    graph_def: Any
    facts: ModelFacts
    labels_file: str
    training: FeatureSet
    quantization: str = "none"


class Format(Protocol):
    """A kind of file, or folder, that a finished classifier is kept in."""

    @property
    def name(self) -> str:
        """What it is called in the middle of a sentence."""

    @property
    def flag(self) -> str:
        """The setting that says where one is to be written; '' writes none."""

    @property
    def least_proof(self) -> int:
        """On how many photos one is proven at the least, even where nobody asked for a proof."""

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed to write one, besides what this project needs anyway."""

    @property
    def requirements(self) -> str:
        """The requirements file that installs these packages; '' where there are none."""

    def recognises(self, path: str, start: bytes) -> bool:
        """Whether a file or folder is of this format.

        Args:
            path: of the file or folder.
            start: the first bytes of a file, b"" of a folder.
        """

    def open(self, path: str, layers: Layers) -> Classifier:
        """Returns the classifier in a file or folder.

        Args:
            path: of the file or folder.
            layers: which ones to use, where the format leaves a choice.

        Raises:
            GraphError: there is none.
        """

    def target(self, named: str) -> str:
        """Returns where a classifier will be that goes to what a person named."""

    def quantization(self, finished: Finished) -> str:
        """Returns in which numbers it will compute, '' if it must answer as the training did."""

    def writing(self, target: str, finished: Finished) -> AbstractContextManager[Path]:
        """Gives a new file or folder, which takes its place on leaving, whole or not at all.

        Raises:
            ExportError: the format cannot hold this classifier.
            OutputError: it cannot be written.
        """
