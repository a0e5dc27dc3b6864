"""How a person names a module: --tfhub_module. Needs no TensorFlow."""

import difflib
import os

from image_retraining.backbone.keras_names import PREFIX as KERAS
from image_retraining.backbone.keras_names import KerasName, is_model_file
from image_retraining.foundation.errors import ModuleError

DEFAULT_MODULE = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
# ImageNet's weights come as packages, the first with this tool.
EFFICIENTNET_LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# Needs no network.
OFFLINE_MODULE = EFFICIENTNET_LITE[0]
# Another name of it.
BUILTIN_MODULE = "builtin"
ARCHIVES = (".tar.gz", ".tgz", ".tar")
# What the folder of a SavedModel is known by; it may be named in the folder's stead.
SAVED_MODEL_FILE = "saved_model.pb"

MODULE_RULE = (
    f"--tfhub_module must be an image module: '{OFFLINE_MODULE}', '{KERAS}NAME', a "
    "TensorFlow Hub URL, the folder or .tar.gz file of a TF2 SavedModel or TF1 Hub module, or the "
    "file of a Keras model."
)

# How files end that are no modules → what to do instead.
_ADVICE = {
    ".zip": "Unpack it, and name the folder that holds saved_model.pb.",
}


def check_handle(handle: str) -> None:
    """Checks that a name may be that of a module, before anything is started or written.

    Raises:
        ModuleError: it is that of nothing.
    """
    names = (BUILTIN_MODULE, *EFFICIENTNET_LITE)
    if handle in names or is_model_file(handle):
        return
    if handle.startswith(KERAS):
        KerasName.of(handle)
        return
    if "://" not in handle and not os.path.exists(handle):
        near = difflib.get_close_matches(handle, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ModuleError(
            f"{MODULE_RULE} Got {handle or 'nothing'}, which does not exist as a folder.{hint}"
        )
    is_file = "://" not in handle and os.path.isfile(handle)
    if is_file and not handle.endswith((*ARCHIVES, SAVED_MODEL_FILE)):
        advice = _ADVICE.get(os.path.splitext(handle)[1].lower(), "")
        raise ModuleError(f"{MODULE_RULE} Got {handle}, which is another file. {advice}".rstrip())
