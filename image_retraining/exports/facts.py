"""What a reader of an export should know, as JSON: beside the graph, and inside the other exports.

A GraphDef has no room for it, so `output_graph.pb` has `output_graph.pb.json` beside it. It tells
the SHA-256 of its graph, so that it is not taken for that of another graph put in its place. It is
never required.
"""

import hashlib
import json
import os
import reprlib
import sys
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from absl import logging

from image_retraining.evaluation.calibration import Calibration
from image_retraining.foundation.errors import GraphError
from image_retraining.photos.preparation import APPLY, EXIF_CHOICES, IGNORE

_LARGEST = sys.float_info.max


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
        module_fingerprint: SHA-256 of all that decides what the module gives, hexadecimal.
        testing_percentage: share of photos that it was tested on; None where folders decided.
        validation_percentage: share that watched its training; likewise.
        test_accuracy: 0 to 1; None without test photos.
        test_count: how many test photos there were.
        tool_version: of this tool.
        calibration: how sure its answers may be; None without validation photos.
        temperature_in_graph: whether the graph's own probabilities are the calibrated ones.
        split: what decided which photos these are: names, folders or stratified.
        exif_orientation: whether its photos were turned as their EXIF data says: apply or ignore.
        unknown_rule: SHA-256 of the file that tells what is unknown by feature vectors,
            hexadecimal; '' without such a file.
        module_credit: whose work the module is, where that is known; '' elsewhere.
        fine_tuned_above: tensor of the module above which its weights were trained, too; '' where
            they are its own.
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    input_range: tuple[float, float]
    input_layer: str
    output_layer: str
    module: str
    module_fingerprint: str
    testing_percentage: int | None
    validation_percentage: int | None
    test_accuracy: float | None
    test_count: int
    tool_version: str
    calibration: Calibration | None
    temperature_in_graph: bool
    split: str = "names"
    exif_orientation: str = IGNORE
    unknown_rule: str = ""
    module_credit: str = ""
    fine_tuned_above: str = ""

    @property
    def is_upright(self) -> bool:
        """Whether its photos were turned as their EXIF data says."""
        return self.exif_orientation == APPLY

    def as_json(self, **more: Any) -> str:
        """Returns the facts as JSON, a field a line; bytes that are not UTF-8 as escapes."""
        return json.dumps(asdict(self) | more, indent=2) + "\n"


def facts_path(graph: str) -> str:
    """Returns the file that holds the facts of a graph file."""
    return f"{graph}.json"


def write_facts(path: str | os.PathLike[str], facts: ModelFacts, *, of: Path) -> None:
    """Writes the facts of a graph.

    Args:
        path: of the facts.
        facts: of the graph.
        of: the file of the graph, wherever it is now.
    """
    Path(path).write_text(facts.as_json(graph_sha256=_digest(of)))


def read_facts(graph: str) -> ModelFacts | None:
    """Returns the facts of a graph; None when none are beside it, or those of another graph.

    Raises:
        GraphError: the file is there and cannot be understood, or the graph cannot be read.
    """
    path = facts_path(graph)
    if not os.path.isfile(path):
        return None
    found = _parsed(_contents(path), path)
    if _value(found, "graph_sha256", path) != _digest(graph):
        logging.warning("WARNING: %s tells of another graph than %s and is not used.", path, graph)
        return None
    return _facts(found, path)


def facts_in_file(path: str | os.PathLike[str]) -> ModelFacts | None:
    """Returns the facts in a file of an export; None when there is none, or it says nothing.

    Raises:
        GraphError: the file is there and cannot be understood.
    """
    return facts_in(_contents(path), str(path)) if os.path.isfile(path) else None


def facts_in(contents: bytes, source: str) -> ModelFacts | None:
    """Returns the facts in JSON; None when it is {}, which says nothing.

    Args:
        contents: the JSON.
        source: where it comes from, for messages.

    Raises:
        GraphError: it cannot be understood.
    """
    found = _parsed(contents, source)
    return _facts(found, source) if found else None


def _contents(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise GraphError(
            f"{path} cannot be read: {error.strerror}. Remove it to do without."
        ) from error


def _parsed(contents: bytes, source: str) -> dict[str, Any]:
    try:
        found = json.loads(contents)
    except (ValueError, RecursionError) as error:
        raise _broken(f"be JSON ({error})", reprlib.repr(contents), source) from error
    if not isinstance(found, dict):
        raise _broken("be a JSON object", reprlib.repr(found), source)
    return found


def _facts(found: dict[str, Any], source: str) -> ModelFacts:
    # A field that has a default is a new one: facts without it tell of what was done before it.
    values = {
        field.name: _value(found, field.name, source)
        for field in fields(ModelFacts)
        if field.name in found or field.default is MISSING
    }
    low, high = values["input_range"]
    calibration = values["calibration"]
    if calibration is not None:
        calibration = Calibration.from_dict(calibration, path=source)
    return ModelFacts(
        **values
        | {
            "labels": tuple(values["labels"]),
            "image_size": tuple(values["image_size"]),
            "input_range": (float(low), float(high)),
            "calibration": calibration,
            "temperature_in_graph": bool(values["temperature_in_graph"]),
        }
    )


def _value(found: dict[str, Any], name: str, source: str) -> Any:
    if name not in found:
        raise _broken(f"have {name}", "none", source)
    value = found[name]
    if name in _RULES:
        rule, fits = _RULES[name]
        if not fits(value):
            raise _broken(f"have {name}, {rule}", reprlib.repr(value), source)
    return value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_size(value: Any) -> bool:
    return _are_two_of(value, int) and min(value) > 0


def _is_range(value: Any) -> bool:
    # An int may be too large for a float.
    return _are_two_of(value, int, float) and -_LARGEST <= value[0] < value[1] <= _LARGEST


def _are_two_of(value: Any, *kinds: type) -> bool:
    # True is an instance of int to Python.
    return (
        isinstance(value, list) and len(value) == 2 and all(type(each) in kinds for each in value)
    )


def _is_exif_choice(value: Any) -> bool:
    return value in EXIF_CHOICES


_RULES = {
    "labels": ("a list of texts", _are_texts),
    "image_size": ("height and width in pixels", _is_size),
    "input_range": ("two numbers, the smaller first", _is_range),
    "input_layer": ("a text", _is_text),
    "output_layer": ("a text", _is_text),
    "unknown_rule": ("a text", _is_text),
    "exif_orientation": (f"one of {', '.join(EXIF_CHOICES)}", _is_exif_choice),
}


def _broken(rule: str, got: str, source: str) -> GraphError:
    return GraphError(
        f"{source} must be what retrain.py wrote, and {rule}. Got {got}. Remove it to do "
        "without, or export again."
    )


def _digest(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GraphError(f"--graph must be a graph file. Got {path}: {error.strerror}.") from error
