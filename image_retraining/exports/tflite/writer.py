"""Frozen graph → TFLite file, for phones and small devices."""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from image_retraining.backbone.graphs import graph_function
from image_retraining.exports.frozen_graph.writer import (
    PHOTOS_NAME,
    VECTORS_TENSOR,
    has_vectors,
)
from image_retraining.exports.labels_file import labels_text
from image_retraining.exports.tflite.metadata import (
    FACTS_FILE,
    LABELS_FILE,
    UNKNOWN_FILE,
    described,
)
from image_retraining.foundation.errors import ExportError
from image_retraining.foundation.quiet import quiet_stderr
from image_retraining.foundation.records import FeatureSet, Floats
from image_retraining.head.sampling import evenly
from image_retraining.photos.batches import photo_batches, plain_photos

# With mobilenet_v2_100_224, 50 flowers gave answers as near as 200 did, in half the time.
_CALIBRATION_PHOTOS = 100
_BATCH_SIZE = 32
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Quantization:
    """In which numbers a TFLite file computes.

    Attributes:
        kind: "none": float32. "float16": weights in float16, half the size.
            "int8": in int8, a third of the size, with photos and probabilities in uint8.
        photos: for int8, some that it is to be calibrated on: batches, float32 [n, H, W, 3], 0 to
            1. They are run through once, one photo at a time.
    """

    kind: str = "none"
    photos: Iterable[Floats] = ()


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What a TFLite file holds besides the model.

    Attributes:
        labels: in the order of the probabilities.
        facts: a JSON object, such as how the training went.
        unknown: the file that tells what is unknown by feature vectors; b"" without.
    """

    labels: tuple[str, ...]
    facts: bytes = b"{}"
    unknown: bytes = b""

    def files(self) -> dict[str, bytes]:
        """Returns name → bytes of the files of the metadata."""
        found = {LABELS_FILE: labels_text(self.labels), FACTS_FILE: self.facts}
        return found | ({UNKNOWN_FILE: self.unknown} if self.unknown else {})


def write_tflite(
    path: str | Path,
    graph_def: Any,
    *,
    output_layer: str,
    quantization: Quantization,
    enclosed: Enclosed,
) -> None:
    """Writes a TFLite file with its labels in it; equal graphs and photos give equal bytes.

    It takes photos [n, H, W, 3], RGB, n being 1 until it is resized, and gives probabilities
    [n, C]: float32, or uint8 from an int8 file, in steps of 1 / 256. Its second output, `features`,
    gives the feature vectors [n, D]: float32, or uint8, too, for readers want all outputs alike.

    Args:
        path: the file.
        graph_def: as frozen_graph.writer.build_graph gives it.
        output_layer: its softmax node.
        quantization: in which numbers it is to compute.
        enclosed: C labels, and facts.

    Raises:
        ExportError: TFLite does not know one of the graph's ops, or there is no photo to
            calibrate on.
    """
    model = _converted(_converter(graph_def, output_layer, quantization), quantization.kind)
    Path(path).write_bytes(described(model, enclosed.files()))


def calibration_photos(
    photos: FeatureSet,
    image_size: tuple[int, int],
    *,
    upright: bool,
    at_most: int = _CALIBRATION_PHOTOS,
) -> Iterator[Floats]:
    """Yields batches of some photos for int8, float32 [n, H, W, 3], evenly over the classes.

    Those that cannot be read any more are left out.

    Args:
        photos: the training photos.
        image_size: (H, W).
        upright: whether they are turned as their EXIF orientation says.
        at_most: how many to take.
    """
    paths = [photos.paths[row] for row in evenly(photos.label_ids, at_most)]
    readable = plain_photos(paths, upright=upright)
    for batch in photo_batches(readable, image_size, batch_size=_BATCH_SIZE):
        if batch.images is not None:
            yield batch.images.numpy()


def _converter(graph_def: Any, output_layer: str, quantization: Quantization) -> Any:
    outputs = [f"{output_layer}:0", *([VECTORS_TENSOR] if has_vectors(graph_def) else [])]
    run = graph_function(graph_def, f"{PHOTOS_NAME}:0", outputs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([run], run)
    if quantization.kind != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization.kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization.kind == "int8":
        converter.representative_dataset = lambda: _one_by_one(quantization.photos)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter


def _one_by_one(batches: Iterable[Floats]) -> Iterator[list[Floats]]:
    """Yields photos as the converter wants them.

    Two values of the first are made 0 and 1, so that the input's range is 0 to 1 and its uint8
    values are the pixels of a photo file; of other ranges every reader would have to convert.

    Raises:
        ExportError: there is none.
    """
    first = True
    for batch in batches:
        for photo in batch:
            one = photo[None].copy()
            if first:
                one[0, 0, 0, 0], one[0, -1, -1, -1] = 0.0, 1.0
                first = False
            yield [one]
    if first:
        raise ExportError(
            "int8 must be calibrated on training photos. Got none that can be read. Add photos, or "
            "export in float16."
        )


def _converted(converter: Any, kind: str) -> bytes:
    with quiet_stderr(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"tensorflow\.lite")
        try:
            model: bytes = converter.convert()
        except (ConverterError, ValueError, RuntimeError) as error:
            raise ExportError(
                f"The module must be of ops that TFLite knows{_for(kind)}. {_reason(str(error))} "
                f"{_next(kind)}"
            ) from error
    return model


def _for(kind: str) -> str:
    return "" if kind == "none" else f", in {kind}"


def _reason(message: str) -> str:
    """Returns one line of the converter's pages."""
    unknown = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", message)))
    if unknown:
        return f"Got {', '.join(unknown)}, which it does not know."
    line = " ".join(message.strip().partition("\n")[0].split())
    return f"Got: {line[:_LONGEST_REASON]}."


def _next(kind: str) -> str:
    advice = "Use another module, or go without the TFLite file."
    return advice if kind == "none" else f"Export without quantisation. {advice}"
