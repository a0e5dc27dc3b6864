"""What a reader of an export should know, as JSON: beside the graph, and inside the other exports.

A GraphDef has no room for it, so `output_graph.pb` has `output_graph.pb.json` beside it. It tells
the SHA-256 of its graph, so that it is not taken for that of another graph put in its place. It is
never required.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from absl import logging

from image_retraining.evaluation.calibration import Calibration
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.files import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What an export is.

    Attributes:
        labels: C names, in the order of the outputs.
        image_size: (H, W) of the photos it takes.
        input_range: smallest and largest value of a pixel.
        input_layer: node of the graph that takes photos.
        output_layer: node that gives probabilities.
        module: as the user named it.
        module_fingerprint: SHA-256 of the module's files, hexadecimal.
        testing_percentage: share of photos that it was tested on.
        validation_percentage: share that watched its training.
        test_accuracy: 0 to 1; None without test photos.
        test_count: how many test photos there were.
        tool_version: of this tool.
        calibration: how sure its answers may be; None without validation photos.
        temperature_in_graph: whether the graph's own probabilities are the calibrated ones.
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    input_range: tuple[float, float]
    input_layer: str
    output_layer: str
    module: str
    module_fingerprint: str
    testing_percentage: int
    validation_percentage: int
    test_accuracy: float | None
    test_count: int
    tool_version: str
    calibration: Calibration | None
    temperature_in_graph: bool

    def as_json(self, **more: Any) -> str:
        """Returns the facts as JSON, a field a line; bytes that are not UTF-8 as escapes."""
        return json.dumps(asdict(self) | more, indent=2) + "\n"


def facts_path(graph: str) -> str:
    """Returns the file that holds the facts of a graph file."""
    return f"{graph}.json"


def write_facts(graph: str, facts: ModelFacts) -> None:
    """Writes the facts of a graph that is on disk beside it."""
    with replacing(facts_path(graph)) as temporary:
        temporary.write_text(facts.as_json(graph_sha256=_digest(graph)))


def read_facts(graph: str) -> ModelFacts | None:
    """Returns the facts of a graph; None when none are beside it, or those of another graph.

    Raises:
        GraphError: the file is there and cannot be understood.
    """
    path = facts_path(graph)
    if not os.path.isfile(path):
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise GraphError(
            f"{path} cannot be read: {error.strerror}. Remove it to do without."
        ) from error
    with _understood(path, "Remove it to do without."):
        found = json.loads(content)
        if found["graph_sha256"] != _digest(graph):
            logging.warning(
                "WARNING: %s tells of another graph than %s and is not used.", path, graph
            )
            return None
        return _facts(found, path)


def enclosed_facts(content: bytes | str, path: str) -> ModelFacts | None:
    """Returns the facts in the JSON that an export holds itself; None when it is empty.

    Args:
        content: the JSON.
        path: of the export, for messages.

    Raises:
        GraphError: they cannot be understood.
    """
    with _understood(f"What {path} says of itself", "Export it again."):
        found = json.loads(content or "{}")
        return None if found == {} else _facts(found, path)


@contextlib.contextmanager
def _understood(subject: str, advice: str) -> Iterator[None]:
    """Turns what reading broken facts raises into one message."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise GraphError(
            f"{subject} must be what retrain.py wrote, but is not ({error!r}). {advice}"
        ) from error


def _facts(found: Mapping[str, Any], path: str) -> ModelFacts:
    """Returns the facts in parsed JSON.

    Args:
        found: what JSON gives.
        path: where it comes from, for messages.

    Raises:
        KeyError: one is missing.
        TypeError: one is of another type.
        ValueError: labels or sizes are none.
        GraphError: the calibration is none.
    """
    values = {field.name: found[field.name] for field in fields(ModelFacts)}
    labels = values["labels"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels must be a list of texts")
    height, width = values["image_size"]
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 < width):
        raise ValueError("image_size must be height and width in pixels")
    low, high = values["input_range"]
    if not all(isinstance(bound, int | float) for bound in (low, high)) or not low < high:
        raise ValueError("input_range must be two numbers, the smaller first")
    for name in ("input_layer", "output_layer"):
        if not isinstance(values[name], str):
            raise TypeError(f"{name} must be a text")
    calibration = values["calibration"]
    if calibration is not None:
        calibration = Calibration.from_dict(calibration, path=path)
    return ModelFacts(
        **values
        | {
            "labels": tuple(labels),
            "image_size": (height, width),
            "input_range": (float(low), float(high)),
            "calibration": calibration,
            "temperature_in_graph": bool(values["temperature_in_graph"]),
        }
    )


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
