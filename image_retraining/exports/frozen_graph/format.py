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
        """Gives the graph. On leaving its labels are replaced first, then it, then its facts.

        So whatever a run that is killed between them leaves, labels of one run are never taken for
        another's: facts that tell of another graph are not used, and labels that are not those of
        the facts are refused.
        """
        with contextlib.ExitStack() as undo:
            facts = undo.enter_context(replacing(facts_path(target)))
            _write_unknown(unknown_path(target), finished.unknown, undo)
            temporary = undo.enter_context(replacing(target))
            labels = undo.enter_context(replacing(finished.labels_file))
            write_graph(temporary, finished.graph_def)
            write_labels(labels, finished.facts.labels)
            write_facts(facts, finished.facts, of=temporary)
            yield temporary


def _write_unknown(path: str, contents: bytes, undo: contextlib.ExitStack) -> None:
    """Writes the rule of what is unknown; without one, that of the graph before will be removed."""
    if contents:
        undo.enter_context(replacing(path)).write_bytes(contents)
    else:
        undo.enter_context(_removing(path))


@contextlib.contextmanager
def _removing(path: str) -> Iterator[None]:
    """Removes a file on leaving, if it is there; not where the block raises."""
    yield
    if os.path.isfile(path):
        os.remove(path)
