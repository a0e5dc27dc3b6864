"""The frozen graph as a format: a file, its labels file, and its facts beside it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.facts import facts_path, read_facts, write_facts
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import write_graph
from image_retraining.exports.labels_file import write_labels
from image_retraining.exports.unknown_file import unknown_path
from image_retraining.foundation.files import replacing


class FrozenGraphFormat(Format):
    """Frozen graphs of this tool, and of others."""

    name = "graph"
    flag = "output_graph"
    ending = ".pb"

    def files(self, target: str, labels_file: str) -> tuple[str, ...]:
        """Returns the graph, and what is written beside it."""
        return target, labels_file, facts_path(target), unknown_path(target)

    def recognises(self, path: str, start: bytes) -> bool:
        """Whether it is a file that is not empty: nothing marks a GraphDef."""
        return os.path.isfile(path) and bool(start)

    def open(self, path: str, layers: Layers) -> Classifier:
        """Returns the graph; the facts beside it tell the layers that nobody named."""
        facts = read_facts(path) if os.path.isfile(path) else None
        return FrozenGraph(
            path,
            input_layer=layers.input or (facts.input_layer if facts else ""),
            output_layer=layers.output or (facts.output_layer if facts else ""),
            facts=facts,
        )

    @contextlib.contextmanager
    def writing(self, target: str, finished: Finished) -> Iterator[Path]:
        """Gives the graph. Its labels are replaced before it, and its facts after it.

        So a run that is killed between them leaves the old graph, whose facts have its labels, or
        the new one with its labels.
        """
        with replacing(target) as temporary:
            write_graph(temporary, finished.graph_def)
            yield temporary
            with replacing(finished.labels_file) as labels:
                write_labels(labels, finished.facts.labels)
        _write_unknown(unknown_path(target), finished.unknown)
        write_facts(target, finished.facts)


def _write_unknown(path: str, contents: bytes) -> None:
    """Writes the rule of what is unknown; without one, removes that of the graph before."""
    if contents:
        with replacing(path) as temporary:
            temporary.write_bytes(contents)
    elif os.path.isfile(path):
        os.remove(path)
