"""The settings by which classifiers differ, which TensorBoard's table compares runs by."""

from typing import Any

from image_retraining.foundation.settings import settings_of
from image_retraining.retraining.config import RetrainConfig

_GROUPS = ("Photos", "Module", "Training", "Distortions")
# Settings of these that name files and folders, or that change no classifier.
_NOT = (
    *("image_dir", "on_bad_image", "compare_modules", "compare_only", "bottleneck_dir"),
    *("bottleneck_engine", "tfhub_cache_dir", "tfhub_model_load_format"),
    *("checkpoint_path", "resume"),
)


def shaping(config: RetrainConfig) -> dict[str, Any]:
    """Returns them by their names, whether they were given or not."""
    names = [one.name for one in settings_of(config) if one.metadata["group"] in _GROUPS]
    return {name: getattr(config, name) for name in names if name not in _NOT}
