"""What this machine computes by."""

from pathlib import Path

import tensorflow as tf

from image_retraining.features.engines.engine import BFLOAT16
from image_retraining.foundation.errors import EngineError

# The words by which Linux tells of bfloat16 arithmetic, on x86 and on ARM.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def has_gpu() -> bool:
    """Whether TensorFlow would compute on a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def check_processor(precision: str) -> None:
    """Checks that the processor has the arithmetic of a precision.

    Raises:
        EngineError: it has not.
    """
    if precision == BFLOAT16 and not _has_bfloat16():
        raise EngineError(
            "--bottleneck_precision=bfloat16 needs a processor with bfloat16 arithmetic "
            "(avx512_bf16, amx_bf16 or bf16 in /proc/cpuinfo), which this one lacks. Use "
            "float32."
        )


def _has_bfloat16() -> bool:
    """Whether Linux says that the processor computes in bfloat16."""
    description = Path("/proc/cpuinfo")
    return description.exists() and bool(_BFLOAT16_FLAGS & {*description.read_text().split()})
