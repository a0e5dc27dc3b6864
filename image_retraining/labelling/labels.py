"""Which labels the scores of a classifier get: named ones, its own, or those beside it."""

import os

from absl import logging

from image_retraining.exports.classifier import Classifier
from image_retraining.exports.facts import ModelFacts, facts_path
from image_retraining.exports.labels_file import read_labels
from image_retraining.exports.run_folder import GRAPH, LABELS, SETTINGS, graph_in, said_by
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.text import shown
from image_retraining.labelling.config import AUTO, LabelConfig


def labels_of(config: LabelConfig, classifier: Classifier) -> tuple[tuple[str, ...], str]:
    """Returns the labels, and where they stand.

    A file that is named goes before all else. The default place, which may hold another run's
    labels, comes last, and never for a run's folder.

    Raises:
        GraphError: they cannot be read, are not those of the graph, or a run's folder has none.
    """
    if "labels" in config.named:
        named = read_labels(config.labels)
        if os.path.isfile(facts_path(graph_in(config.graph))):
            _check_are_of(classifier, named, config.labels)
        return named, config.labels
    if classifier.labels:
        return classifier.labels, classifier.labels_source
    path = _beside(config.graph) or config.labels
    return read_labels(path), path


def _check_are_of(classifier: Classifier, named: tuple[str, ...], file: str) -> None:
    """Checks that labels of another run, or of half a run, are not taken for the graph's.

    Raises:
        GraphError: the facts of the graph have others.
    """
    try:
        facts = classifier.facts
    except GraphError:
        return
    if facts is None or named == facts.labels or len(named) != len(facts.labels):
        return
    line = next(n for n, label in enumerate(named) if label != facts.labels[n])
    raise GraphError(
        f"--labels must name what the graph was trained on. Got {file}, whose line {line + 1} is "
        f"'{shown(named[line])}' where the facts of the graph say '{shown(facts.labels[line])}': "
        "the labels of another run, or of one that was stopped while it wrote. Train again with "
        "the same command; to label with names of your own, move the facts away (the .json beside "
        "the graph)."
    )


def facts_of(config: LabelConfig, classifier: Classifier) -> ModelFacts | None:
    """Returns what a classifier's maker says of it; None where nothing is said.

    With labels that are named it does without what cannot be understood, and says so.

    Raises:
        GraphError: it cannot be understood, and labels or a threshold of it are needed.
    """
    try:
        return classifier.facts
    except GraphError as error:
        if "labels" not in config.named or config.unknown_threshold == AUTO:
            raise
        logging.warning("WARNING: %s The photos are labelled without.", error)
        return None


def _beside(graph: str) -> str:
    """Returns the labels file in a folder, or beside a run's graph; '' without."""
    is_folder = os.path.isdir(graph)
    folder = graph if is_folder else os.path.dirname(graph)
    if not is_folder and os.path.basename(graph) != GRAPH and said_by(folder) is None:
        return ""
    labels = os.path.join(folder, LABELS)
    if os.path.isfile(labels):
        return labels
    # A lone file of that name may be anybody's.
    if os.path.isfile(os.path.join(folder, GRAPH if is_folder else SETTINGS)):
        raise GraphError(
            f"The folder of a run must hold its labels. Got {graph}, which has no {LABELS}. Name "
            "its labels file with --labels."
        )
    return ""
