"""The formats of finished classifiers: a table. Another format is another file, and a row here."""

import os

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Format
from image_retraining.exports.frozen_graph.format import FrozenGraphFormat
from image_retraining.exports.saved_model import SavedModelFormat
from image_retraining.exports.tflite.format import TFLiteFormat

# In the order in which they are written. What no other recognises is taken for the first.
FORMATS: tuple[Format, ...] = (FrozenGraphFormat(), TFLiteFormat(), SavedModelFormat())

_START_BYTES = 16


def open_classifier(path: str, layers: Layers | None = None) -> Classifier:
    """Returns the classifier in a file or folder, whose content tells its format.

    Args:
        path: of the file or folder.
        layers: which ones to use, where the format leaves a choice; None finds them.

    Raises:
        GraphError: there is none, or it cannot be read.
    """
    first, *others = FORMATS
    start = _start(path)
    found = next((one for one in others if one.recognises(path, start)), first)
    return found.open(path, layers or Layers())


def _start(path: str) -> bytes:
    """Returns the first bytes of a file; b"" of a folder, and of what cannot be read."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""
    with open(path, "rb") as file:
        return file.read(_START_BYTES)
