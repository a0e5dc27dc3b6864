"""Networks of keras.applications, and people's own Keras models: a source of modules.

What is known of one already is told without Keras.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from image_retraining.backbone.keras_names import KerasName, is_keras, is_model_file
from image_retraining.backbone.sources.kept import folder_for_modules
from image_retraining.backbone.sources.source import FoundModule, PhotoFunction, Request
from image_retraining.cache.found import FoundFiles

# Raise it with whatever changes the feature vectors: cached ones are then unused.
_VERSION = 1


class KerasModels:
    """Modules by the name of a network, and by the file of a model."""

    def takes(self, handle: str) -> bool:
        """Whether it names something of Keras."""
        return is_keras(handle)

    def find(self, request: Request) -> FoundModule:
        """Returns a module; its weights are downloaded by Keras, into Keras' own cache."""
        folder = folder_for_modules()
        notes = FoundFiles(None if "://" in folder else Path(folder))
        name = None if is_model_file(request.handle) else KerasName.of(request.handle)
        key = _key(request, name)
        noted = notes.get(key)
        if noted is not None:
            return FoundModule(noted.decode(), lambda: _made(request, name)[0], _credit(name))
        function, fingerprint = _made(request, name)
        notes.put(key, fingerprint.encode())
        return FoundModule(fingerprint, lambda: function, _credit(name))


def _credit(name: KerasName | None) -> str:
    if name is None or name.weights:
        return ""
    return f"{name.network} of Keras Applications, trained on ImageNet"


def _key(request: Request, name: KerasName | None) -> bytes:
    """Returns what decides the fingerprint, known before anything is made: 32 bytes.

    Keras itself checks that weights of ImageNet are those that it knows.
    """
    file = name.file if name else request.handle
    contents = ""
    if file:
        with open(file, "rb") as opened:
            contents = hashlib.file_digest(opened, "sha256").hexdigest()
    kind = (name.network, contents or name.weights) if name else (contents,)
    what = ("keras", _VERSION, version("keras"), *kind, request.pooling, request.feature_layer)
    return hashlib.sha256(json.dumps(what).encode()).digest()


def _made(request: Request, name: KerasName | None) -> tuple[PhotoFunction, str]:
    """Returns the function of a module, and its fingerprint; None names a person's own model."""
    # Keras takes seconds to import, which a module that is frozen already need not wait for.
    from image_retraining.backbone.sources.keras_features import made  # noqa: PLC0415

    return made(request, name, version=_VERSION)
