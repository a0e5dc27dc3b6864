"""ONNX file, ours or one that others made → scores of photos, by ONNX Runtime."""

import functools
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from image_retraining.exports.classifier import Features, Network, no_network
from image_retraining.exports.facts import ModelFacts
from image_retraining.exports.onnx.metadata import (
    UNKNOWN,
    facts_of,
    labels_of,
    rule_of,
    vectors_name,
)
from image_retraining.foundation.errors import GraphError, short_line
from image_retraining.foundation.importing import keep_onnxruntime_silent
from image_retraining.foundation.quiet import quiet_stderr
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown

REQUIREMENTS = "requirements-onnx.txt"

_CHANNELS = 3
_CORES = os.cpu_count() or 1
# One thread a batch is quicker than two threads for one, by 10 to 20% on two cores. But a batch
# takes up to 300 MB meanwhile, so that there are few of them on many cores.
_STREAMS = min(_CORES, 4)
# What ONNX Runtime raises, it writes to the screen besides at a lower level.
_FATAL = 4
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"
# In all that it raises of such weights.
_MARK_OF_WEIGHTS = "xternal "


class OnnxModel:
    """An image classifier in an ONNX file.

    Attributes:
        image_size: (H, W) of the photos it takes; None where it leaves one of them open.
        pixel_range: None, for only its facts say how pixels go in.
        output_size: C, how many scores it gives a photo; None where that is left open.
        score_step: 0, for scores are float32.
        streams: how many batches are best scored at a time.
        labels_source: where its labels stand.
        scores_of_file: None, for it takes pixels.
        features: how it gives feature vectors, if it has the second output for them.
    """

    streams = _STREAMS
    score_step = 0.0

    def __init__(self, path: str | Path) -> None:
        """Reads a file.

        Raises:
            GraphError: it is missing or no ONNX file, or damaged, or no classifier of photos; or
                ONNX Runtime is missing.
        """
        self._path = path
        self.labels_source = str(path)
        self.scores_of_file = None
        self._session = _session(path)
        try:
            self._input, *outputs = self._ends()
            self._output = outputs[0]
            self._names = self._input.name, [output.name for output in outputs]
        except UnicodeDecodeError as error:
            raise self._no_names(error) from error
        self._channels_first = self._input.shape[3] != _CHANNELS
        sizes = [size if isinstance(size, int) else None for size in self._input.shape]
        self.image_size = (sizes[2], sizes[3]) if self._channels_first else (sizes[1], sizes[2])
        count = self._output.shape[-1]
        self.output_size = count if isinstance(count, int) else None
        self.pixel_range = None
        self.features = None
        if len(outputs) > 1:
            name = f"{UNKNOWN} in {path}"
            self.features = Features(self._scores_and_vectors, name, self._rule)

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the scores, as the file holds them; () when it holds none.

        Raises:
            GraphError: they cannot be understood.
        """
        return labels_of(self._told, str(self._path))

    @functools.cached_property
    def facts(self) -> ModelFacts | None:
        """What the file says of itself; None when it says nothing.

        Raises:
            GraphError: it cannot be understood.
        """
        return facts_of(self._told, str(self._path))

    def network(self) -> Network:
        """Raises GraphError: nobody else can look into it."""
        raise no_network(self._path, "ONNX Runtime")

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3], 0 to 1.

        Raises:
            GraphError: the file cannot work with such photos.
        """
        photos = np.asarray(images, np.float32)
        if not len(photos):
            return np.empty([0, self.output_size or 0], np.float32)
        (scores,) = self._asked(photos, self._names[1][:1])
        return scores

    def _scores_and_vectors(self, images: Any) -> tuple[Floats, Floats]:
        """Returns float32 [N, C] and [N, D] for float32 [N, H, W, 3], N at least 1."""
        scores, vectors = self._asked(np.asarray(images, np.float32), self._names[1])
        return scores, vectors

    def _rule(self) -> bytes:
        return rule_of(self._told, str(self._path))

    @functools.cached_property
    def _told(self) -> Mapping[str, str]:
        try:
            told: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise self._no_names(error) from error
        return told

    def _no_names(self, error: UnicodeDecodeError) -> GraphError:
        return GraphError(
            f"An ONNX file's names must be UTF-8. Got {self._path}: {short_line(error)} Export it "
            "again."
        )

    def _asked(self, photos: Floats, names: list[str]) -> list[Floats]:
        """Returns what each of some outputs gives, [N, ...]."""
        batch = self._input.shape[0]
        parts = np.split(photos, len(photos)) if batch == 1 else [photos]
        answers = zip(*(self._run(part, names) for part in parts), strict=True)
        return [np.concatenate(answer) for answer in answers]

    def _run(self, photos: Floats, names: list[str]) -> list[Floats]:
        fed = photos.transpose(0, 3, 1, 2) if self._channels_first else photos
        try:
            answer = self._session.run(names, {self._names[0]: fed})
        # What ONNX Runtime raises has no base of its own.
        except _runtime_errors() as error:
            raise GraphError(
                f"An ONNX file must be able to work with such photos. Got {self._path}: "
                f"{short_line(error)}"
            ) from error
        return [np.asarray(each, np.float32) for each in answer]

    def _ends(self) -> tuple[Any, ...]:
        """Returns the input, the output of the scores and, if there is one, of the vectors."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        fits = (
            len(inputs) == 1
            and len(inputs[0].shape) == 4
            and 1 <= len(outputs) <= 2
            # Of a second output only ours is known.
            and all(end.name == vectors_name(outputs[0].name) for end in outputs[1:])
            and all(len(end.shape) == 2 for end in outputs)
            and {end.type for end in (*inputs, *outputs)} == {"tensor(float)"}
            and _CHANNELS in (inputs[0].shape[1], inputs[0].shape[3])
            # Of one photo, or of any number, which has a name or none.
            and (inputs[0].shape[0] == 1 or not isinstance(inputs[0].shape[0], int))
        )
        if not fits:
            ends = shown(
                ", ".join(f"{end.name} {end.type} {end.shape}" for end in (*inputs, *outputs))
            )
            raise GraphError(
                "An ONNX file must take photos, float32 [N, H, W, 3] or [N, 3, H, W], N being 1 or "
                f"open, and give scores, float32 [N, C]. Got {self._path}, with {ends}. Use a file "
                "of an image classifier."
            )
        return inputs[0], *outputs


def _session(path: str | Path) -> Any:
    """Returns an ONNX Runtime session of a file."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise GraphError(
            f"ONNX files need ONNX Runtime, which is missing. Got {path}. Install it: pip install "
            f"-r {REQUIREMENTS}."
        )
    keep_onnxruntime_silent()
    with quiet_stderr():
        import onnxruntime  # noqa: PLC0415 - an extra

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        options.intra_op_num_threads = _CORES // _STREAMS
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, _folder(path))
        try:
            return onnxruntime.InferenceSession(
                Path(path).read_bytes(),
                options,
                providers=["CPUExecutionProvider"],
                # It would say on the screen that it tries again with the same provider.
                enable_fallback=0,
            )
        except OSError as error:
            raise GraphError(
                f"An ONNX file must be one that can be read. Got {path}: {error.strerror}."
            ) from error
        except _runtime_errors() as error:
            if _MARK_OF_WEIGHTS in str(error):
                raise GraphError(
                    "An ONNX file whose weights lie in files of their own needs these, whole, in "
                    f"its folder or below. Got {path}: {short_line(error)} Put them there, or save "
                    "the model as one file."
                ) from error
            raise GraphError(
                f"An ONNX file must be whole, and of ops that ONNX Runtime knows. Got {path}: "
                f"{short_line(error)} Export it again."
            ) from error


def _folder(path: str | Path) -> str:
    """Returns the folder that a file's weights may lie in.

    ONNX Runtime would look for them where the program was started. It refuses what leads out of
    the folder.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        folder.encode()
    except UnicodeEncodeError:
        # It takes names of UTF-8 alone; there is nothing in this place.
        return os.devnull
    return folder


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Returns what ONNX Runtime raises: exceptions without a base of their own.

    Or, where a message quotes a damaged name, the error of making a text of it.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - an extra

    kinds = (getattr(state, name) for name in dir(state))
    found = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return (*found, UnicodeDecodeError)
