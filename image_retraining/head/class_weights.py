"""How much a photo counts by its class: evenly over the classes, evenly over the photos, or given.

A file of weights has a line for each class, its label and a number above 0 after the last space.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.lists import listed
from image_retraining.foundation.records import Floats, Ints

BALANCED, NONE = "balanced", "none"


def class_weights(choice: str, labels: Sequence[str], label_ids: Ints) -> Floats:
    """Returns float32 [C], the weight of each photo of a class.

    Args:
        choice: "balanced" for the inverse of how many photos a class has, so that all classes count
            alike (scikit-learn's N / (C * n), C being the classes that have photos); "none" for 1;
            else the path of a file.
        labels: C names.
        label_ids: int32 [N], of the photos that are to be weighted.

    Raises:
        SettingError: the file cannot be read, or does not give each class a weight above 0.
    """
    if choice == BALANCED:
        counts = np.bincount(label_ids, minlength=len(labels))
        present = max(1, np.count_nonzero(counts))
        return np.asarray(max(1, len(label_ids)) / (present * np.maximum(counts, 1)), np.float32)
    if choice == NONE:
        return np.ones([len(labels)], np.float32)
    weights = _given(choice, labels)
    return np.array([weights[label] for label in labels], np.float32)


def check_class_weights(choice: str, labels: Sequence[str]) -> None:
    """Checks a file of weights before it is needed.

    Args:
        choice: as of `class_weights`.
        labels: C names.

    Raises:
        SettingError: as of `class_weights`.
    """
    if choice not in (BALANCED, NONE):
        _given(choice, labels)


def _given(choice: str, labels: Sequence[str]) -> dict[str, float]:
    """Returns label → weight, of all labels and no other."""
    weights = _read(choice)
    for label in labels:
        if label not in weights:
            raise SettingError(
                "--class_weight must be a file with a line 'label weight' for each class. "
                f"{choice} has none for '{label}'."
            )
    for label in weights:
        if label not in labels:
            raise SettingError(
                f"--class_weight must name classes of --image_dir. {choice} names '{label}'."
            )
    return weights


def _read(path: str) -> dict[str, float]:
    try:
        lines = listed(Path(path).read_bytes())
    except OSError as error:
        raise SettingError(
            f"--class_weight must be {BALANCED}, {NONE} or a file. Got {path}: {error.strerror}."
        ) from error
    except UnicodeError as error:
        raise SettingError(
            f"--class_weight must be a file in UTF-8 or UTF-16. Got {path}: {error}."
        ) from error
    weights = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label, _, weight = line.rpartition(" ")
        try:
            value = float(weight)
        except ValueError:
            value = 0.0
        if not label or not 0 < value < float("inf") or label in weights:
            raise SettingError(
                "--class_weight must be a file of lines 'label weight', each label once and with "
                f"a number above 0. Got '{line}' in line {number} of {path}."
            )
        weights[label] = value
    return weights
