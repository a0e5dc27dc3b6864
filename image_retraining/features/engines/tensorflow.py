"""TensorFlow as an engine: takes every module, on every machine."""

import numpy as np
import tensorflow as tf

from image_retraining.backbone.graphs import parsed_graph
from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.features.engines.engine import BFLOAT16, Engine
from image_retraining.features.engines.machine import check_processor, has_gpu
from image_retraining.foundation.errors import EngineError
from image_retraining.foundation.records import Floats


class TensorFlowKind:
    """TensorFlow, before it has a module."""

    name = "tensorflow"

    def suits(self) -> bool:
        """Returns True: there is nothing it cannot compute."""
        return True

    def check(self, precision: str) -> None:
        """Checks that this machine can compute in such a precision."""
        if precision == BFLOAT16 and has_gpu():
            raise EngineError(
                "--bottleneck_precision=bfloat16 is for processors; TensorFlow computes on a GPU "
                "here. Use float32, or --bottleneck_engine=openvino."
            )
        check_processor(precision)

    def make(self, frozen: FrozenModule, precision: str) -> Engine:
        """Returns the engine of a module."""
        return _TensorFlowEngine(frozen, precision)


class _TensorFlowEngine:
    def __init__(self, frozen: FrozenModule, precision: str) -> None:
        self.image_size, self.feature_size = frozen.image_size, frozen.feature_size
        # They share one pool of threads; two fill each other's gaps.
        self.streams = 2
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph:
            photos, vectors = tf.graph_util.import_graph_def(
                parsed_graph(frozen.graph),
                return_elements=[frozen.input_name, frozen.output_name],
                name="",
            )
        # Unlike a function's, a session's options do not spill over to the rest of the process.
        config = v1.ConfigProto()
        if precision == BFLOAT16:
            rewriting = config.graph_options.rewrite_options
            rewriting.auto_mixed_precision_onednn_bfloat16 = rewriting.ON
        self._run = v1.Session(graph=graph, config=config).make_callable(vectors, [photos])

    def __call__(self, photos: Floats) -> Floats:
        return np.asarray(self._run(photos), np.float32)
