"""tensorflow_hub, imported when it is needed: its import takes long enough to be felt."""

import warnings
from typing import Any

from image_retraining.foundation.own_folders import modules_folder
from image_retraining.foundation.plain_names import plainly_named


def load(folder: str) -> Any:
    """Returns the module in a folder; raises whatever TensorFlow raises."""
    with plainly_named(folder) as name:
        return _hub().load(name)


def resolve(url: str) -> str:
    """Returns the folder where the module of a URL is kept, after downloading it."""
    return str(_hub().resolve(url))


def cache_folder() -> str:
    """Returns the folder that modules are kept in."""
    return str(_hub().resolver.tfhub_cache_dir(modules_folder()))


def _hub() -> Any:
    """Returns tensorflow_hub, whose import takes long enough to be felt, when it is needed."""
    with warnings.catch_warnings():
        # tensorflow-hub 0.16.1 still uses pkg_resources, which warns of its own retirement.
        warnings.simplefilter("ignore")
        import tensorflow_hub.resolver  # noqa: PLC0415

    return tensorflow_hub
