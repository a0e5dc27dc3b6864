"""The rule of what is unknown by feature vectors, as a file beside an export or in it.

It is a .npz of NumPy's, which holds no code: the arrays are called as the fields of `FeatureRule`
and `Space`. The facts of the export tell its SHA-256, so that it is not taken for that of another.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from image_retraining.evaluation.unknown import FeatureRule, Space
from image_retraining.exports.facts import ModelFacts
from image_retraining.foundation.errors import GraphError

# Type and number of dimensions of each array.
_ARRAYS = {
    "places": (np.int16, 1),
    "signs": (np.int8, 1),
    "centre": (np.float32, 1),
    "scale": (np.float64, 0),
    "means": (np.float16, 2),
    "directions": (np.float16, 2),
    "spreads": (np.float32, 1),
    "rest": (np.float64, 0),
    "farthest": (np.float64, 0),
    "least_probability": (np.float64, 0),
    "photo_count": (np.int64, 0),
}


def unknown_path(graph: str) -> str:
    """Returns the file that holds the rule of a graph file."""
    return f"{graph}.unknown.npz"


def rule_file(path: str) -> tuple[str, Callable[[], bytes]]:
    """Returns the name of a rule's file, and what reads it when it is needed."""
    return path, partial(file_contents, path)


def rule_bytes(rule: FeatureRule | None) -> bytes:
    """Returns the file of a rule; equal rules give equal bytes, and no rule none."""
    if rule is None:
        return b""
    values = {
        field.name: getattr(owner, field.name)
        for owner in (rule.space, rule)
        for field in fields(owner)
    }
    stream = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.asarray(values[name], kind) for name, (kind, _) in _ARRAYS.items()
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def digest(contents: bytes) -> str:
    """Returns what the facts tell of a rule's file: its SHA-256; '' for b""."""
    return hashlib.sha256(contents).hexdigest() if contents else ""


def file_contents(path: str) -> bytes:
    """Returns what a rule's file holds; b"" if it is missing.

    Raises:
        GraphError: it cannot be read.
    """
    if not os.path.isfile(path):
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error


def rule_in(contents: bytes, name: str, facts: ModelFacts) -> FeatureRule | None:
    """Returns the rule in a file's contents; None if it is of another export than the facts.

    Args:
        contents: b"" where the file is missing.
        name: of the file, for messages.
        facts: of the export.

    Raises:
        GraphError: it is none.
    """
    if not contents or digest(contents) != facts.unknown_rule:
        return None
    try:
        return _rule(contents)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(name, str(error)) from error


def _rule(contents: bytes) -> FeatureRule:
    """Returns the rule of a file that is whole, as its digest says.

    Raises:
        ValueError: an array is of another kind.
    """
    values: dict[str, Any] = {}
    with np.load(io.BytesIO(contents), allow_pickle=False) as found:
        for name, (kind, rank) in _ARRAYS.items():
            array = found[name]
            if array.dtype != kind or array.ndim != rank:
                raise ValueError(f"{name} is {array.dtype} {list(array.shape)}")
            values[name] = array if rank else array.item()
    space = Space(**{field.name: values.pop(field.name) for field in fields(Space)})
    return FeatureRule(space, **values)


def _broken(name: str, reason: str) -> GraphError:
    return GraphError(
        f"{name} must be what retrain.py wrote. Got: {reason}. Remove it to go by the probability "
        "alone, or export again."
    )
