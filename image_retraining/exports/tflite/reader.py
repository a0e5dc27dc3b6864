"""TFLite file → scores of photos."""

import functools
import os
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.exports.classifier import (
    FEATURES,
    Features,
    Network,
    PixelRange,
    no_network,
)
from image_retraining.exports.facts import ModelFacts, facts_in
from image_retraining.exports.labels_file import labels_in
from image_retraining.exports.tflite.metadata import (
    FACTS_FILE,
    LABELS_FILE,
    UNKNOWN_FILE,
    files_of,
    normalization_of,
)
from image_retraining.foundation.errors import GraphError, first_line
from image_retraining.foundation.quiet import quiet_stderr
from image_retraining.foundation.records import Floats

_CHANNELS = 3
_TYPES = (np.float32, np.uint8, np.int8)


class TFLiteModel:
    """An image classifier in a TFLite file.

    Attributes:
        image_size: (H, W) of the photos it takes.
        pixel_range: how their pixels go in, if the file says so itself, else None.
        output_size: C, how many scores it gives a photo.
        score_step: what lies between two scores that it can give; 0 of float32.
        streams: how many batches may be scored at a time.
        labels_source: where its labels stand.
        scores_of_file: None, for it takes pixels.
        features: how it gives feature vectors, if it has the second output for them.
    """

    # An interpreter has memory for one batch.
    streams = 1

    def __init__(self, path: str | Path) -> None:
        """Reads a file.

        Raises:
            GraphError: it is missing or no TFLite file, or damaged, or no classifier of photos.
        """
        self._path = path
        self.labels_source = str(path)
        self.scores_of_file = None
        contents = _read(path)
        self._interpreter, self._one_at_a_time = _interpreter(path, contents), threading.Lock()
        self._input, *self._outputs = self._ends()
        self.image_size: tuple[int, int] = tuple(self._input["shape"][1:3].tolist())
        self.output_size = int(self._outputs[0]["shape"][-1])
        self.score_step = _step(self._outputs[0])
        self.pixel_range = _pixel_range(path, contents, self._input)
        self._files, self._damage = _enclosed(contents)
        self.features = None
        if len(self._outputs) > 1:
            name = f"{UNKNOWN_FILE} in {path}"
            self.features = Features(self._scores_and_vectors, name, self._rule)

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the scores, as the file holds them; () when it holds none.

        Raises:
            GraphError: they cannot be read, or are not as many as the outputs.
        """
        files = self._whole_files()
        labels = labels_in(files[LABELS_FILE]) if LABELS_FILE in files else ()
        if labels and len(labels) != self.output_size:
            raise GraphError(
                f"A TFLite file's labels must name each of its outputs. Got {len(labels)} labels "
                f"for {self.output_size} outputs in {self._path}. Export it again, or name a "
                "labels file with --labels."
            )
        return labels

    @functools.cached_property
    def facts(self) -> ModelFacts | None:
        """What the file says of itself; None when it says nothing.

        Raises:
            GraphError: it cannot be understood.
        """
        return facts_in(self._whole_files().get(FACTS_FILE, b"{}"), f"{FACTS_FILE} in {self._path}")

    def network(self) -> Network:
        """Raises GraphError: nobody else can look into it."""
        raise no_network(self._path, "TensorFlow Lite")

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3], in its range.

        A file that computes in integers gets the nearest ones, and its answers are converted back.
        Threads may ask at once, and wait for each other.

        Raises:
            GraphError: the file cannot work with such photos.
        """
        return self._asked(images)[0]

    def _scores_and_vectors(self, images: Any) -> tuple[Floats, Floats]:
        """Returns float32 [N, C] and [N, D] for float32 [N, H, W, 3]."""
        scores, vectors = self._asked(images)
        return scores, vectors

    def _rule(self) -> bytes:
        return self._whole_files().get(UNKNOWN_FILE, b"")

    def _asked(self, images: Any) -> list[Floats]:
        """Returns what each output gives for float32 [N, H, W, 3]."""
        photos = np.asarray(images, np.float32)
        if photos.shape[1:] != (*self.image_size, _CHANNELS):
            raise GraphError(
                f"{self._path} takes photos of the shape {(*self.image_size, _CHANNELS)}. Got "
                f"{photos.shape[1:]}. Resize them."
            )
        batches = [photos] if self._takes_batches() else np.split(photos, len(photos) or 1)
        none = [np.empty([0, end["shape"][-1]], np.float32) for end in self._outputs]
        try:
            answers = [none, *(self._run(batch) for batch in batches if len(batch))]
            return [np.concatenate(answer) for answer in zip(*answers, strict=True)]
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise GraphError(
                f"A TFLite file must run. Got {self._path}: {reason} Some modules do not work in "
                "8-bit integers; export it in float16, or without quantisation."
            ) from error

    def _whole_files(self) -> dict[str, bytes]:
        if self._damage:
            raise GraphError(
                f"A TFLite file's labels and facts must be whole. Got {self._path}: "
                f"{self._damage}. Export it again, or name a labels file with --labels."
            )
        return self._files

    def _ends(self) -> list[dict[str, Any]]:
        """Returns what the interpreter says of the input and of each output."""
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        shapes = [tuple(end["shape"].tolist()) for end in (*inputs, *outputs)]
        fits = (
            len(inputs) == 1
            and (len(shapes[0]), shapes[0][-1:]) == (4, (_CHANNELS,))
            # Of a second output only ours is known.
            and [end["name"] for end in outputs[1:]] in ([], [FEATURES])
            and [len(shape) for shape in shapes[1:]] in ([2], [2, 2])
            and all(end["dtype"] in _TYPES for end in (*inputs, *outputs))
        )
        if not fits:
            raise GraphError(
                "A TFLite file must take photos, [1, H, W, 3], and give scores, [1, C], as float32 "
                f"or 8-bit integers. Got {self._path}, with {len(inputs)} inputs and "
                f"{len(outputs)} outputs of the shapes {', '.join(map(str, shapes))}. Use a file "
                "of an image classifier."
            )
        return [inputs[0], *outputs]

    def _takes_batches(self) -> bool:
        return bool(self._input["shape_signature"][0] == -1)

    def _run(self, photos: Floats) -> list[Floats]:
        """Returns float32 [n, ...] of each output; n is 1 if the file is of one photo."""
        interpreter, place = self._interpreter, self._input["index"]
        fed = _quantised(photos, self._input)
        with self._one_at_a_time:
            if len(photos) != interpreter.get_input_details()[0]["shape"][0]:
                interpreter.resize_tensor_input(place, photos.shape, strict=True)
                interpreter.allocate_tensors()
            interpreter.set_tensor(place, fed)
            interpreter.invoke()
            found = [interpreter.get_tensor(end["index"]) for end in self._outputs]
        return [_dequantised(one, end) for one, end in zip(found, self._outputs, strict=True)]


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise GraphError(
            f"A TFLite file must be one that can be read. Got {path}: {error.strerror}."
        ) from error


def _interpreter(path: str | Path, contents: bytes) -> Any:
    try:
        with quiet_stderr(), warnings.catch_warnings():
            # It points to another package; the one of TensorFlow 2.21 works, and comes with it.
            warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
            interpreter = tf.lite.Interpreter(model_content=contents, num_threads=os.cpu_count())
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(first_line(error).split())
        raise GraphError(
            f"A TFLite file must be whole, and of ops that TFLite knows. Got {path}: {reason}. "
            "Export it again."
        ) from error
    return interpreter


def _enclosed(contents: bytes) -> tuple[dict[str, bytes], str]:
    """Returns name → content of the files in a file, and what is wrong with them, else ''."""
    try:
        return files_of(contents), ""
    except zipfile.BadZipFile as error:
        return {}, str(error)


def _pixel_range(path: str | Path, contents: bytes, end: dict[str, Any]) -> PixelRange | None:
    """Returns how pixels go in, by the file's metadata or the integers that it takes; or None."""
    try:
        normalization = normalization_of(contents)
    except ValueError as error:
        raise GraphError(
            f"A TFLite file's metadata must be whole. Got {path}: {error}. Export it again."
        ) from error
    if normalization is not None:
        return PixelRange(*normalization)
    if end["dtype"] == np.float32:
        return None
    # Eight bits are a pixel's: what says nothing else takes 0 to 255 as the numbers that it has.
    scale, zero = _scale(end)
    return PixelRange((float(zero - np.iinfo(end["dtype"]).min),), (1 / scale,))


def _step(end: dict[str, Any]) -> float:
    """Returns what lies between two numbers of an output; 0 of float32."""
    return 0.0 if end["dtype"] == np.float32 else _scale(end)[0]


def _scale(end: dict[str, Any]) -> tuple[float, int]:
    """Returns what a step of an integer end means, and which integer means 0."""
    scale, zero = end["quantization"]
    # An end that is not quantised has a scale of 0, and its integers are what they are.
    return (float(scale), int(zero)) if scale else (1.0, 0)


def _quantised(values: Floats, end: dict[str, Any]) -> Any:
    """Returns values in the numbers of an input."""
    if end["dtype"] == np.float32:
        return values
    scale, zero = _scale(end)
    limits = np.iinfo(end["dtype"])
    return np.clip(np.round(values / scale + zero), limits.min, limits.max).astype(end["dtype"])


def _dequantised(values: Any, end: dict[str, Any]) -> Floats:
    """Returns what the numbers of an output mean."""
    if end["dtype"] == np.float32:
        return np.asarray(values)
    scale, zero = _scale(end)
    meant: Floats = ((values.astype(np.float32) - zero) * scale).astype(np.float32)
    return meant
