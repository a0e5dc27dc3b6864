"""What an ONNX file says of itself, in texts of its metadata_props.

`labels` is a JSON list of the names in the order of the scores, `facts` a JSON object, `unknown`
the file of the rule of what is unknown, in Base64; left out where there is none.
"""

import base64
import json
from collections.abc import Mapping

from image_retraining.exports.classifier import FEATURES
from image_retraining.exports.facts import ModelFacts, facts_in
from image_retraining.foundation.errors import GraphError

UNKNOWN = "unknown"

_LABELS, _FACTS = "labels", "facts"
_LONGEST_QUOTE = 80


def metadata(labels: tuple[str, ...], facts: str, unknown: bytes) -> dict[str, str]:
    """Returns name → text of what a file is to say; names that are not UTF-8 as escapes."""
    told = {_LABELS: json.dumps(labels), _FACTS: facts}
    return told | ({UNKNOWN: base64.b64encode(unknown).decode()} if unknown else {})


def vectors_name(output_layer: str) -> str:
    """Returns the name of the feature vectors' output, which may not be that of the scores."""
    return FEATURES if output_layer != FEATURES else f"{FEATURES}_1"


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


def rule_of(told: Mapping[str, str], path: str) -> bytes:
    """Returns the file of the rule in what a file says; b"" without.

    Raises:
        GraphError: it is no Base64.
    """
    try:
        return base64.b64decode(told.get(UNKNOWN, ""), validate=True)
    except ValueError as error:
        raise GraphError(
            f"{UNKNOWN} in {path} must be what retrain.py wrote, in Base64. Got: {error}. Export "
            "it again, or give --unknown_threshold a probability."
        ) from error
