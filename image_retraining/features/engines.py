"""Frozen module + batch of photos → feature vectors: TensorFlow, or OpenVINO, which is faster.

Both compute batches of one size, of which callers fill up the last, so that a photo's vector never
depends on its neighbours. In float32 both give the same vectors to 1e-4 of their largest number,
which is checked on sample photos before a module is trusted to OpenVINO.
"""

import copy
import importlib.util
import itertools
import logging as standard_logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from image_retraining.backbone.freezing import Frozen, sample_photos
from image_retraining.backbone.graphs import graph_bytes
from image_retraining.foundation.errors import EngineError
from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import Floats
from image_retraining.photos.batches import Numbers, PhotoBatch

BATCH_SIZE = 32

# What OpenVINO computes of it in one go: the layers' results stay in the caches of a core.
_OPENVINO_SLICE = 8

_FLOAT32, _BFLOAT16 = "float32", "bfloat16"
_TENSORFLOW, _OPENVINO = "tensorflow", "openvino"
_INSTALL_OPENVINO = "Install it: pip install -r requirements-openvino.txt."
# How far the engines' vectors may be apart, relative to the largest number in them.
_TOLERANCE = 1e-4
# OpenVINO's own explanations go on for pages.
_REASON_LENGTH = 400
# The words by which Linux tells of bfloat16 arithmetic, on x86 and on ARM.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


class Engine(Protocol):
    """Computes the feature vectors of a batch of photos."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)."""

    @property
    def feature_size(self) -> int:
        """D."""

    @property
    def streams(self) -> int:
        """How many batches are best computed at a time, each by a thread of the caller."""

    def __call__(self, photos: Floats) -> Floats:
        """Returns float32 [32, D] for float32 [32, H, W, 3], RGB, 0 to 1."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine is to compute, and how exactly; cheap, where making the engine takes a second.

    Attributes:
        name: "tensorflow" or "openvino".
        precision: "float32" or "bfloat16".
        may_stand_in: TensorFlow may compute instead what OpenVINO does not take.
    """

    name: str = _TENSORFLOW
    precision: str = _FLOAT32
    may_stand_in: bool = False

    @property
    def recipe_precision(self) -> str:
        """The precision as a recipe has it: vectors in bfloat16 differ between the engines."""
        is_same = self.precision == _FLOAT32
        return self.precision if is_same else f"{self.precision} {self.name}"

    def make(self, frozen: Frozen) -> Engine:
        """Returns the engine, ready to compute.

        Raises:
            EngineError: OpenVINO does not take the module and TensorFlow may not stand in.
        """
        if self.name == _TENSORFLOW:
            return _TensorFlowEngine(frozen, self.precision)
        try:
            engine = _OpenVinoEngine(frozen, self.precision)
            engine.check(frozen)
        except EngineError as error:
            if not self.may_stand_in or self.precision != _FLOAT32:
                raise
            logging.info("%s TensorFlow computes instead.", error)
            return _TensorFlowEngine(frozen, self.precision)
        return engine


def choose_engine(wanted: str, precision: str) -> EngineChoice:
    """Returns which engine computes, after checking that the machine can.

    Args:
        wanted: "tensorflow", "openvino", or "auto": OpenVINO where it is installed and there is no
            GPU, else TensorFlow.
        precision: "float32" or "bfloat16".

    Raises:
        EngineError: OpenVINO is not installed, or the processor knows no bfloat16.
    """
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    has_openvino = importlib.util.find_spec("openvino") is not None
    if wanted == _OPENVINO and not has_openvino:
        raise EngineError(
            f"--bottleneck_engine=openvino needs OpenVINO, which is missing. {_INSTALL_OPENVINO}"
        )
    prefers_openvino = has_openvino and not has_gpu
    name = wanted if wanted != "auto" else _OPENVINO if prefers_openvino else _TENSORFLOW
    if precision == _BFLOAT16:
        if has_gpu and name == _TENSORFLOW:
            raise EngineError(
                "--bottleneck_precision=bfloat16 is for processors; TensorFlow computes on a GPU "
                "here. Use float32, or --bottleneck_engine=openvino."
            )
        if not _has_bfloat16():
            raise EngineError(
                "--bottleneck_precision=bfloat16 needs a processor with bfloat16 arithmetic "
                "(avx512_bf16, amx_bf16 or bf16 in /proc/cpuinfo), which this one lacks. Use "
                "float32."
            )
    return EngineChoice(name, precision, may_stand_in=wanted == "auto")


def computed(
    batches: Iterator[PhotoBatch], make_engine: Callable[[], Engine]
) -> Iterator[tuple[Numbers, Floats]]:
    """Yields the numbers and vectors of batches; while these are stored, others are computed.

    The engine is made for the first batch, if there is one.
    """
    first = next(batches, None)
    if first is None:
        return
    engine = make_engine()

    def vectors_of(batch: PhotoBatch) -> Floats:
        return engine(batch.padded(BATCH_SIZE))[: len(batch.numbers)]

    every = itertools.chain([first], batches)
    for batch, vectors in overlapped(vectors_of, every, streams=engine.streams):
        yield batch.numbers, vectors


class _TensorFlowEngine:
    def __init__(self, frozen: Frozen, precision: str) -> None:
        self.image_size, self.feature_size = frozen.image_size, frozen.feature_size
        # They share one pool of threads; two fill each other's gaps.
        self.streams = 2
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph:
            photos, vectors = tf.graph_util.import_graph_def(
                # Importing a graph fills in attributes in the message that it is given.
                copy.deepcopy(frozen.graph_def),
                return_elements=[frozen.input_name, frozen.output_name],
                name="",
            )
        # Unlike a function's, a session's options do not spill over to the rest of the process.
        config = v1.ConfigProto()
        if precision == _BFLOAT16:
            rewriting = config.graph_options.rewrite_options
            rewriting.auto_mixed_precision_onednn_bfloat16 = rewriting.ON
        self._run = v1.Session(graph=graph, config=config).make_callable(vectors, [photos])

    def __call__(self, photos: Floats) -> Floats:
        return np.asarray(self._run(photos), np.float32)


class _OpenVinoEngine:
    def __init__(self, frozen: Frozen, precision: str) -> None:
        openvino = _imported_openvino()
        self.image_size, self.feature_size = frozen.image_size, frozen.feature_size
        core = openvino.Core()
        try:
            with tempfile.NamedTemporaryFile(suffix=".pb") as file:
                file.write(graph_bytes(frozen.graph_def))
                file.flush()
                model = core.read_model(file.name)
            model.reshape([_OPENVINO_SLICE, *frozen.image_size, 3])
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": {_FLOAT32: "f32", _BFLOAT16: "bf16"}[precision],
                    # A core or few compute a batch alone: none waits for all to do their part.
                    "PERFORMANCE_HINT": "THROUGHPUT",
                    # Decoding needs the cores as well: nobody is to wait for one of them.
                    "ENABLE_CPU_PINNING": False,
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

    def check(self, frozen: Frozen) -> None:
        """Raises EngineError unless sample photos get the vectors that TensorFlow gave them."""
        samples = sample_photos(frozen.image_size)
        photos = np.zeros([_OPENVINO_SLICE, *samples.shape[1:]], np.float32)
        photos[: len(samples)] = samples
        got, wanted = self(photos)[: len(samples)], frozen.sample_vectors
        difference, largest = float(np.abs(got - wanted).max()), float(np.abs(wanted).max())
        if self._precision == _FLOAT32 and not difference <= _TOLERANCE * largest:
            raise EngineError(
                f"OpenVINO's vectors for this module are off by {difference:.1g}, where the "
                f"largest number is {largest:.1g}."
            )


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


def _has_bfloat16() -> bool:
    """Whether Linux says that the processor computes in bfloat16."""
    description = Path("/proc/cpuinfo")
    return description.exists() and bool(_BFLOAT16_FLAGS & {*description.read_text().split()})
