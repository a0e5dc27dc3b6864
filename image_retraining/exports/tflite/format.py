"""TensorFlow Lite files as a format."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import (
    Enclosed,
    Quantization,
    calibration_photos,
    write_tflite,
)
from image_retraining.foundation.files import replacing

# The file identifier of TensorFlow Lite's FlatBuffer schema, after the offset of its root.
_MARK = b"TFL3"


class TFLiteFormat(Format):
    """TensorFlow Lite files, of this tool and of others."""

    name = "TensorFlow Lite file"
    flag = "tflite_output_file"
    ending = ".tflite"
    # TensorFlow Lite writes files that it cannot run.
    least_proof = 1

    def recognises(self, path: str, start: bytes) -> bool:  # noqa: ARG002 - the content tells
        """Whether a file has the mark of TensorFlow Lite's schema."""
        return start[4:8] == _MARK

    def open(self, path: str, layers: Layers) -> Classifier:  # noqa: ARG002 - it has no choice
        """Returns the classifier in a file."""
        return TFLiteModel(path)

    def quantization(self, finished: Finished) -> str:
        """Returns the chosen kind; of 'none' the log tells as of the others, beside the proof."""
        return finished.quantization

    @contextlib.contextmanager
    def writing(self, target: str, finished: Finished) -> Iterator[Path]:
        """Gives the file, with labels, facts and the rule of what is unknown in it."""
        facts, kind = finished.facts, finished.quantization
        upright = facts.is_upright
        photos = calibration_photos(finished.training, facts.image_size, upright=upright)
        with replacing(target) as temporary:
            write_tflite(
                temporary,
                finished.graph_def,
                output_layer=facts.output_layer,
                quantization=Quantization(kind, photos),
                enclosed=Enclosed(facts.labels, facts.as_json().encode(), finished.unknown),
            )
            yield temporary
