"""How a person names a module: --tfhub_module. Needs no TensorFlow."""

import difflib
import os

from image_retraining.foundation.errors import ModuleError

DEFAULT_MODULE = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
BUILTIN_MODULE = "builtin"

MODULE_RULE = (
    f"--tfhub_module must be an image module: '{BUILTIN_MODULE}', a TensorFlow Hub URL, or the "
    "folder or .tar.gz file of a TF2 SavedModel or TF1 Hub module."
)


def check_handle(handle: str) -> None:
    """Checks that a name may be that of a module, before anything is started or written.

    Raises:
        ModuleError: it is that of nothing.
    """
    if handle != BUILTIN_MODULE and "://" not in handle and not os.path.exists(handle):
        is_near = difflib.get_close_matches(handle, [BUILTIN_MODULE])
        hint = f" Did you mean {BUILTIN_MODULE}?" if is_near else ""
        raise ModuleError(
            f"{MODULE_RULE} Got {handle or 'nothing'}, which does not exist as a folder.{hint}"
        )
