"""ONNX files as a format."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.onnx.reader import REQUIREMENTS, OnnxModel
from image_retraining.exports.onnx.writer import onnx_bytes
from image_retraining.foundation.files import replacing

# The first field of a ModelProto is the version of the format, a number; of a GraphDef, a node.
_START = b"\x08"


class OnnxFormat(Format):
    """ONNX files, of this tool and of others."""

    name = "ONNX file"
    flag = "onnx_output_file"
    packages = ("tf2onnx", "onnx", "onnxruntime")
    requirements = REQUIREMENTS

    def recognises(self, path: str, start: bytes) -> bool:  # noqa: ARG002 - the content tells
        """Whether a file begins as an ONNX model does."""
        return start.startswith(_START)

    def open(self, path: str, layers: Layers) -> Classifier:  # noqa: ARG002 - it has no choice
        """Returns the classifier in a file."""
        return OnnxModel(path)

    @contextlib.contextmanager
    def writing(self, target: str, finished: Finished) -> Iterator[Path]:
        """Gives the file, with labels and facts in it."""
        facts = finished.facts
        contents = onnx_bytes(
            finished.graph_def,
            output_layer=facts.output_layer,
            labels=facts.labels,
            facts=facts.as_json(),
        )
        with replacing(target) as temporary:
            temporary.write_bytes(contents)
            yield temporary
