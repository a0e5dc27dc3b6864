"""What a format of finished classifiers is: how one is told, read, and written."""

import abc
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.facts import ModelFacts
from image_retraining.foundation.records import FeatureSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished classifier, to be written.

    Attributes:
        graph_def: as frozen_graph.writer.build_graph gives it.
        facts: what it is; its labels, its size and its layers among them.
        labels_file: where a labels file goes, for formats that hold no labels themselves.
        training: the training photos, for what has to be calibrated on some.
        quantization: "none", "float16" or "int8", for formats that have a choice.
        unknown: the file that tells what is unknown by feature vectors; b"" without.
    """

    graph_def: Any
    facts: ModelFacts
    labels_file: str
    training: FeatureSet
    quantization: str = "none"
    unknown: bytes = b""


class Format(abc.ABC):
    """A kind of file, or folder, that a finished classifier is kept in.

    Attributes:
        name: what it is called in the middle of a sentence.
        flag: the setting that says where one is to be written; '' writes none.
        ending: of the names of such files; '' for folders.
        least_proof: on how many photos one is proven even where nobody asked for a proof.
        packages: what must be installed to write one, besides what this project needs anyway.
        requirements: the requirements file that installs these packages; '' where there are none.
    """

    name: ClassVar[str]
    flag: ClassVar[str]
    ending: ClassVar[str]
    least_proof: ClassVar[int] = 0
    packages: ClassVar[tuple[str, ...]] = ()
    requirements: ClassVar[str] = ""

    @abc.abstractmethod
    def recognises(self, path: str, start: bytes) -> bool:
        """Whether a file or folder is of this format.

        Args:
            path: of the file or folder.
            start: the first bytes of a file, b"" of a folder.
        """

    @abc.abstractmethod
    def open(self, path: str, layers: Layers) -> Classifier:
        """Returns the classifier in a file or folder.

        Args:
            path: of the file or folder.
            layers: which ones to use, where the format leaves a choice.

        Raises:
            GraphError: there is none.
        """

    @abc.abstractmethod
    def writing(self, target: str, finished: Finished) -> AbstractContextManager[Path]:
        """Gives a new file or folder, which takes its place on leaving, whole or not at all.

        Raises:
            ExportError: the format cannot hold this classifier.
            OutputError: it cannot be written.
        """

    def target(self, named: str, *, overwrite: bool = False) -> str:  # noqa: ARG002 - of files
        """Returns where a classifier will be that goes to what a person named.

        Args:
            named: by the person.
            overwrite: whether a folder that this tool has written may be replaced, as files are.
        """
        return named

    def files(self, target: str, labels_file: str) -> tuple[str, ...]:  # noqa: ARG002 - few do
        """Returns the files that one is written to; none of a format that is a folder.

        Args:
            target: where it will be.
            labels_file: where a labels file goes, for formats that hold no labels themselves.
        """
        return (target,) if self.ending else ()

    def quantization(self, finished: Finished) -> str:  # noqa: ARG002 - few have a choice
        """Returns in which numbers it will compute, '' if there is no choice.

        One of '' or 'none' must answer as the training did; of others the answers are counted.
        """
        return ""
