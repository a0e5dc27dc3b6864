"""TensorFlow without Keras, in processes of their own."""

import json
import subprocess
import sys

LARGE = ("keras", "sklearn", "scipy", "scipy.stats", "pandas")
START = """
import gc, json, sys
from image_retraining.foundation import importing
importing.is_own_process = {is_own}
def looks():
    return sum(generation["collections"] for generation in gc.get_stats())
looks_before = looks()
importing.import_tensorflow()
there = [name for name in {large} if name in sys.modules]
"""


def found(code: str, *, is_own: bool = True) -> object:
    """Returns what a process prints as JSON at its end."""
    start = START.format(is_own=is_own, large=LARGE)
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: object = json.loads(done.stdout)
    return result


def test_a_script_has_tensorflow_without_what_keras_brings_along() -> None:
    # Keras is there once it is asked for, by any of its names.
    code = """
import numpy as np
from tensorflow.keras import layers
import tensorflow as tf, tensorflow_hub, keras
photos = np.ones([2, 4], np.float32)
made = [module.Dense(3)(photos) for module in (layers, tf.keras.layers, keras.layers)]
print(json.dumps([there, [list(one.shape) for one in made], hasattr(tensorflow_hub, "KerasLayer")]))
"""
    assert found(code) == [[], [[2, 3]] * 3, True]


def test_garbage_is_not_looked_for_among_what_a_script_imports() -> None:
    code = (
        "print(json.dumps([looks() < looks_before + 9, gc.isenabled(), gc.get_freeze_count() > 0]))"
    )
    assert found(code) == [True, True, True]
    assert found(code, is_own=False) == [False, True, False]


def test_a_program_that_uses_the_package_has_tensorflow_as_ever() -> None:
    # Else the trick would be of no use any more.
    assert found("print(json.dumps(there))", is_own=False) == list(LARGE)
