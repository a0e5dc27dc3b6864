"""ONNX files as a format."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.onnx.reader import REQUIREMENTS, OnnxModel
from image_retraining.exports.onnx.writer import onnx_bytes
from image_retraining.foundation.files import replacing

# A ModelProto begins with the version of the format: the number of the field, then the version.
# A GraphDef begins with a node, a saved_model.pb with version 1, which ONNX left in 2017.
_VERSION_FIELD = 0x08
_VERSIONS = range(3, 128)


class OnnxFormat(Format):
    """ONNX files, of this tool and of others."""

    name = "ONNX file"
    flag = "onnx_output_file"
    ending = ".onnx"
    # What is written is not the converter's own file, for its names are made anew.
    least_proof = 1
    packages = ("tf2onnx", "onnx", "onnxruntime")
    requirements = REQUIREMENTS

    def recognises(self, path: str, start: bytes) -> bool:  # noqa: ARG002 - the content tells
        """Whether a file begins as an ONNX model does."""
        return len(start) > 1 and start[0] == _VERSION_FIELD and start[1] in _VERSIONS

    def open(self, path: str, layers: Layers) -> Classifier:  # noqa: ARG002 - it has no choice
        """Returns the classifier in a file."""
        return OnnxModel(path)

    @contextlib.contextmanager
    def writing(self, target: str, finished: Finished) -> Iterator[Path]:
        """Gives the file, with labels, facts and the rule of what is unknown in it."""
        facts = finished.facts
        contents = onnx_bytes(
            finished.graph_def,
            output_layer=facts.output_layer,
            labels=facts.labels,
            facts=facts.as_json(),
            unknown=finished.unknown,
        )
        with replacing(target) as temporary:
            temporary.write_bytes(contents)
            yield temporary
