"""The formats of finished classifiers: a table. Another format is another file, and a row here."""

import importlib.util
import os
from collections.abc import Iterable

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Format
from image_retraining.exports.frozen_graph.format import FrozenGraphFormat
from image_retraining.exports.onnx.format import OnnxFormat
from image_retraining.exports.run_folder import graph_in
from image_retraining.exports.saved_model import SavedModelFormat
from image_retraining.exports.tflite.format import TFLiteFormat
from image_retraining.foundation.errors import ExportError, SettingError

# In the order in which they are written. What no other recognises is taken for the first.
FORMATS: tuple[Format, ...] = (
    FrozenGraphFormat(),
    TFLiteFormat(),
    SavedModelFormat(),
    OnnxFormat(),
)

_START_BYTES = 16


def open_classifier(path: str, layers: Layers | None = None) -> Classifier:
    """Returns the classifier in a file or folder, whose content tells its format.

    Args:
        path: of the file or folder; of a run's folder, the graph in it is meant.
        layers: which ones to use, where the format leaves a choice; None finds them.

    Raises:
        GraphError: there is none, or it cannot be read.
    """
    path = graph_in(path)
    first, *others = FORMATS
    start = _start(path)
    found = next((one for one in others if one.recognises(path, start)), first)
    return found.open(path, layers or Layers())


def by_ending(path: str) -> Format:
    """Returns the format that a name asks for by its ending.

    Raises:
        SettingError: none does.
    """
    # Shells complete the name of a folder with a slash.
    path = path.rstrip("/")
    ending = os.path.splitext(path)[1].lower()
    is_named = os.path.basename(path).lower() not in ["", *(kind.ending for kind in FORMATS)]
    for kind in FORMATS:
        if is_named and kind.ending == ending:
            return kind
    endings = ", ".join(kind.ending for kind in FORMATS if kind.ending)
    raise SettingError(
        f"An export's name must end in one of {endings}, or have no ending for the folder of a "
        f"SavedModel. Got {path or 'an empty name'}."
    )


def check_installed(flags: Iterable[str]) -> None:
    """Checks that what writes some formats is installed, before the work.

    Args:
        flags: the settings that ask for a format.

    Raises:
        ExportError: a package is missing.
    """
    for kind in FORMATS:
        missing = [name for name in kind.packages if importlib.util.find_spec(name) is None]
        if kind.flag in flags and missing:
            raise ExportError(
                f"--{kind.flag} needs {', '.join(kind.packages)}. Missing: {', '.join(missing)}. "
                f"Install them: pip install -r {kind.requirements}, or {_as_extra(kind)}."
            )


def _as_extra(kind: Format) -> str:
    """Returns what to install where there is the package, and no requirements file."""
    extra = kind.requirements.removeprefix("requirements-").removesuffix(".txt")
    return f'pip install "image-retraining[{extra}]"'


def _start(path: str) -> bytes:
    """Returns the first bytes of a file; b"" of a folder, and of what cannot be read."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""
    with open(path, "rb") as file:
        return file.read(_START_BYTES)
