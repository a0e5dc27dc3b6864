"""What an ONNX file says of itself, in two texts of its metadata_props.

`labels` is a JSON list of the names in the order of the scores, `facts` a JSON object.
"""

import json
from collections.abc import Mapping

from image_retraining.exports.facts import ModelFacts, facts_in
from image_retraining.foundation.errors import GraphError

_LABELS, _FACTS = "labels", "facts"
_LONGEST_QUOTE = 80


def metadata(labels: tuple[str, ...], facts: str) -> dict[str, str]:
    """Returns name → text of what a file is to say; names that are not UTF-8 as escapes."""
    return {_LABELS: json.dumps(labels), _FACTS: facts}


def labels_of(told: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Returns the labels in what a file says; () without.

    Raises:
        GraphError: they are no list of texts.
    """
    text = told.get(_LABELS, "[]")
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise GraphError(
            "An ONNX file's labels must be a JSON list of texts. Got "
            f"{text[:_LONGEST_QUOTE]!r} in {path}. Export it again, or name a labels "
            "file with --labels."
        )
    return tuple(labels)


def facts_of(told: Mapping[str, str], path: str) -> ModelFacts | None:
    """Returns the facts in what a file says; None without.

    Raises:
        GraphError: they cannot be understood.
    """
    return facts_in(told.get(_FACTS, "{}").encode(), f"{_FACTS} in {path}")
