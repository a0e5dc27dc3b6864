"""OpenVINO as an engine: faster than TensorFlow on processors. The only importer of openvino.

Its vectors are checked on sample photos before a module is trusted to it.
"""

import importlib.util
import logging as standard_logging
import sys
import tempfile
import threading
from typing import Any

import numpy as np

from image_retraining.backbone.freezing import sample_photos
from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.features.engines.engine import BFLOAT16, FLOAT32, Engine
from image_retraining.features.engines.machine import check_processor, has_gpu
from image_retraining.foundation import processors
from image_retraining.foundation.errors import EngineError
from image_retraining.foundation.memory import has_room_beside_tensorflow
from image_retraining.foundation.records import Floats

# What OpenVINO computes of a batch in one go: the layers' results stay in the caches of a core.
_OPENVINO_SLICE = 8
# How far the engines' vectors may be apart, relative to the largest number in them.
_TOLERANCE = 1e-4
# OpenVINO's own explanations go on for pages.
_REASON_LENGTH = 400


class OpenVinoKind:
    """OpenVINO, before it has a module."""

    name = "openvino"

    def suits(self) -> bool:
        """Whether it is installed, finds room, and there is no GPU for TensorFlow."""
        return _is_installed() and has_room_beside_tensorflow() and not has_gpu()

    def check(self, precision: str) -> None:
        """Checks that OpenVINO is installed, and that the processor knows the precision."""
        if not _is_installed():
            raise EngineError(
                "--bottleneck_engine=openvino needs OpenVINO, which is missing. Install it: "
                "pip install -r requirements-openvino.txt, "
                'or pip install "image-retraining[openvino]".'
            )
        check_processor(precision)

    def make(self, frozen: FrozenModule, precision: str) -> Engine:
        """Returns the engine of a module, after a test of its vectors."""
        engine = _OpenVinoEngine(frozen, precision)
        engine.check(frozen)
        return engine


class _OpenVinoEngine:
    def __init__(self, frozen: FrozenModule, precision: str) -> None:
        openvino = _imported_openvino()
        self.image_size, self.feature_size = frozen.image_size, frozen.feature_size
        core = openvino.Core()
        try:
            with tempfile.NamedTemporaryFile(suffix=".pb") as file:
                file.write(frozen.graph)
                file.flush()
                model = core.read_model(file.name)
            model.reshape([_OPENVINO_SLICE, *frozen.image_size, 3])
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": {FLOAT32: "f32", BFLOAT16: "bf16"}[precision],
                    # A core or few compute a batch alone: none waits for all to do their part.
                    "PERFORMANCE_HINT": "THROUGHPUT",
                    # Decoding needs the cores as well: nobody is to wait for one of them.
                    "ENABLE_CPU_PINNING": False,
                    # 0 is all.
                    "INFERENCE_NUM_THREADS": processors.given(),
                },
            )
        # What OpenVINO raises for ops and shapes that it does not know.
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:_REASON_LENGTH]
            raise EngineError(f"OpenVINO does not take this module ({reason}).") from error
        self._precision = precision
        self._compiled = compiled
        self.streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._of_thread = threading.local()

    def __call__(self, photos: Floats) -> Floats:
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        vectors = np.empty([len(photos), self.feature_size], np.float32)
        for start in range(0, len(photos), _OPENVINO_SLICE):
            slice_ = slice(start, start + _OPENVINO_SLICE)
            (vectors[slice_],) = self._of_thread.request.infer([photos[slice_]]).values()
        return vectors

    def check(self, frozen: FrozenModule) -> None:
        """Raises EngineError unless sample photos get the vectors that TensorFlow gave them."""
        samples = sample_photos(frozen.image_size)
        photos = np.zeros([_OPENVINO_SLICE, *samples.shape[1:]], np.float32)
        photos[: len(samples)] = samples
        got, wanted = self(photos)[: len(samples)], frozen.sample_vectors
        difference, largest = float(np.abs(got - wanted).max()), float(np.abs(wanted).max())
        if self._precision == FLOAT32 and not difference <= _TOLERANCE * largest:
            raise EngineError(
                f"OpenVINO's vectors for this module are off by {difference:.1g}, where the "
                f"largest number is {largest:.1g}."
            )


def _is_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _imported_openvino() -> Any:
    """Returns OpenVINO, kept from two things that its import does by itself.

    It reports its use to its makers over the network unless openvino_telemetry cannot be imported,
    and it takes absl's handler from the root logger, with the format of all our lines.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    handlers = list(standard_logging.root.handlers)
    try:
        import openvino  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EngineError(f"OpenVINO cannot be imported: {error}.") from error
    finally:
        standard_logging.root.handlers = handlers
    return openvino
