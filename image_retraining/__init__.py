"""Teaches an image classifier new categories on top of a TensorFlow Hub module.

From Python: `run = image_retraining.train("my_photos", output_dir="runs/birds")`, then
`image_retraining.load("runs/birds").predict("rose.jpg")`. Importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_retraining.foundation.errors import RetrainError
    from image_retraining.labelling.classifier import load
    from image_retraining.retraining.python import compare, train

__version__ = "0.1.0"
__all__ = ["RetrainError", "compare", "load", "train"]

_WHERE = {
    "RetrainError": "image_retraining.foundation.errors",
    "compare": "image_retraining.retraining.python",
    "load": "image_retraining.labelling.classifier",
    "train": "image_retraining.retraining.python",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    # What is not imported yet is completed, too.
    return sorted({*globals(), *__all__})
