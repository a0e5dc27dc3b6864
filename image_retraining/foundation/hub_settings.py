"""What tensorflow_hub is told, in the environment, and how the environment gets back."""

import os
import sys
from collections.abc import Mapping

from image_retraining.foundation.own_folders import modules_folder


def tell_tensorflow_hub(cache_dir: str, load_format: str) -> None:
    """Hands on its settings, in the environment, where it looks before it looks at flags.

    Its own default is a folder among temporary files, into which everybody may write.

    Args:
        cache_dir: as --tfhub_cache_dir; '' is the person's own.
        load_format: as --tfhub_model_load_format.
    """
    settings = {"TFHUB_CACHE_DIR": cache_dir or modules_folder()}
    if load_format != "AUTO":
        settings["TFHUB_MODEL_LOAD_FORMAT"] = load_format
    if sys.stderr is not None and sys.stderr.isatty():
        settings["TFHUB_DOWNLOAD_PROGRESS"] = "1"
    for name, value in settings.items():
        # As tensorflow_hub has it, what is in the environment already goes before a flag.
        os.environ[name] = os.environ.get(name) or value


def restore_hub_settings(environment: Mapping[str, str]) -> None:
    """Puts what tensorflow_hub was told back to what it was in an environment."""
    for name in [name for name in os.environ if name.startswith("TFHUB_")]:
        if name in environment:
            os.environ[name] = environment[name]
        else:
            del os.environ[name]
