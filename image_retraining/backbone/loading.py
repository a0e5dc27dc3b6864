"""Module → Backbone: checked, frozen, ready to run on batches of photos."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import tensorflow as tf
from absl import logging

from image_retraining.backbone.freezing import FREEZING_VERSION, Frozen, freeze
from image_retraining.backbone.graphs import graph_bytes, photo_shape
from image_retraining.backbone.handles import BUILTIN_MODULE
from image_retraining.backbone.sources import hub
from image_retraining.backbone.sources.hub import MODULE_RULE
from image_retraining.cache.frozen_modules import KeptModule, KeptModules, ModuleKey
from image_retraining.foundation.errors import DownloadError, ModuleError

# Not only the module: its card, which says how it was made, lies beside it.
BUILTIN_FOLDER = str(Path(__file__).parent / "builtin" / "module")

# How long a server may take for its first byte: of the default module, which nobody asked for by
# name, and of a named one.
_DEFAULT_MODULE_SECONDS = 10
_NAMED_MODULE_SECONDS = 30
_SIGNATURES = ("serving_default", "default")
_CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class Backbone(Frozen):
    """A module, loaded and frozen.

    Attributes:
        handle: as the person named it.
        fingerprint: SHA-256 of the module's files, hexadecimal; equal for equal content.
    """

    handle: str
    fingerprint: str


def load_backbone(
    handle: str,
    *,
    image_size: tuple[int, int] | None = None,
    is_default: bool = False,
    kept: KeptModules | None = None,
) -> Backbone:
    """Returns the backbone of a module, which is loaded only if it is not kept already.

    Args:
        handle: URL, folder, .tar.gz file, or 'builtin'.
        image_size: (H, W) for a module that leaves them open, else None.
        is_default: nobody chose this handle, so that the built-in module may stand in for it when
            it cannot be downloaded; a warning says so.
        kept: where frozen modules are kept for the next run, if anywhere.

    Raises:
        DownloadError: the module cannot be downloaded.
        ModuleError: it is no module, not one for photos, or the image size does not fit it.
    """
    try:
        folder = _folder(handle, is_default=is_default)
    except DownloadError as error:
        if not is_default:
            raise
        logging.warning(
            "WARNING: the default module %s could not be downloaded (%s). The built-in module, "
            "whose features are weaker, stands in for it. For better accuracy go online, or "
            "download a module elsewhere and name its folder or .tar.gz file with --tfhub_module.",
            handle,
            error.reason,
        )
        handle, folder = BUILTIN_MODULE, BUILTIN_FOLDER
    fingerprint = hub.fingerprint(folder)
    asked_size = "x".join(map(str, image_size or ()))
    key = ModuleKey(fingerprint, FREEZING_VERSION, asked_size)
    found = kept.find(key) if kept else None
    if found:
        return _from_kept(handle, fingerprint, found)
    frozen = _frozen_from_folder(handle, folder, image_size)
    if kept:
        kept.keep(key, _to_keep(frozen), handle=handle)
    return Backbone(handle=handle, fingerprint=fingerprint, **vars(frozen))


def _from_kept(handle: str, fingerprint: str, module: KeptModule) -> Backbone:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(module.graph)
    return Backbone(
        handle=handle,
        fingerprint=fingerprint,
        graph_def=graph_def,
        input_name=module.input_name,
        output_name=module.output_name,
        image_size=(module.height, module.width),
        sample_vectors=module.sample,
    )


def _to_keep(frozen: Frozen) -> KeptModule:
    return KeptModule(
        graph=graph_bytes(frozen.graph_def),
        sample=frozen.sample_vectors,
        height=frozen.image_size[0],
        width=frozen.image_size[1],
        input_name=frozen.input_name,
        output_name=frozen.output_name,
    )


def _folder(handle: str, *, is_default: bool) -> str:
    """Returns where the files of a module are."""
    if handle == BUILTIN_MODULE:
        return BUILTIN_FOLDER
    patience = _DEFAULT_MODULE_SECONDS if is_default else _NAMED_MODULE_SECONDS
    return hub.resolve(handle, patience=patience)


def _frozen_from_folder(handle: str, folder: str, image_size: tuple[int, int] | None) -> Frozen:
    module = hub.load(handle, folder)
    answer, photos = _photo_function(handle, module)
    if hub.has_reference_variables(module):
        answer = hub.frozen_tf1(folder)
    size = _fitting_size(handle, photos, image_size)
    return freeze(handle, answer, image_size=size)


def _photo_function(handle: str, module: Any) -> tuple[Callable[[Any], Any], Any]:
    """Returns a module's function from photos to its outputs, and the TensorSpec of the photos."""
    for name in _SIGNATURES:
        if name in module.signatures:
            signature = module.signatures[name]
            inputs = signature.structured_input_signature[1]
            if len(inputs) != 1:
                raise ModuleError(
                    f"{MODULE_RULE} Got {handle}, whose signature '{name}' takes {len(inputs)} "
                    f"inputs ({', '.join(inputs)}) where one, the photos, is expected."
                )
            ((key, photos),) = inputs.items()

            def answer(images: Any, *, signature: Any = signature, key: str = key) -> Any:
                return signature(**{key: images})

            return answer, photos
    if callable(module):
        return _callable_function(handle, module)
    found = ", ".join(module.signatures) or "none"
    raise ModuleError(
        f"{MODULE_RULE} Got {handle}, which cannot be called and has none of the signatures "
        f"{' and '.join(_SIGNATURES)}. Its signatures: {found}."
    )


def _callable_function(handle: str, module: Any) -> tuple[Callable[[Any], Any], Any]:
    """Returns the same for a reusable SavedModel that has no signatures."""
    for traced in getattr(module.__call__, "concrete_functions", ()):
        positional, named = traced.structured_input_signature
        arguments = [*positional, *named.values()]
        specs = [item for item in arguments if isinstance(item, tf.TensorSpec)]
        # Of its traces, the one that does not learn.
        if len(specs) == 1 and not any(item is True for item in arguments):
            return partial(_call_as_traced, module, traced, specs[0]), specs[0]
    raise ModuleError(f"{MODULE_RULE} Got {handle}, which has no function of photos alone.")


def _call_as_traced(module: Any, traced: Any, photos: Any, images: Any) -> Any:
    """Returns a call's outputs, its arguments those of a trace, with images for its photos."""
    positional, named = tf.nest.map_structure(
        lambda item: images if item is photos else item, traced.structured_input_signature
    )
    return module(*positional, **named)


def _fitting_size(handle: str, photos: Any, image_size: tuple[int, int] | None) -> tuple[int, int]:
    """Returns (H, W) for a module, after checking that it takes photos at all."""
    if photos.dtype == tf.string:
        raise ModuleError(f"{MODULE_RULE} Got {handle}, which takes text.")
    shape = photo_shape(photos)
    fits = len(shape) == 4 and shape[0] is None and shape[3] in (None, _CHANNELS)
    if photos.dtype != tf.float32 or not fits:
        raise ModuleError(
            f"{MODULE_RULE} It must take photos as float32 [None, height, width, {_CHANNELS}]. "
            f"Got {handle}, which takes {photos.dtype.name} {shape}."
        )
    height, width = shape[1:3]
    if image_size is None and not (height and width):
        raise ModuleError(
            f"{handle} leaves the size of its photos open. Give the one it was trained for, as in "
            "--image_size=224."
        )
    size = image_size or (height, width)
    if height not in (None, size[0]) or width not in (None, size[1]):
        _reject_image_size(handle, (height, width), size)
    return size


def _reject_image_size(
    handle: str, has: tuple[int | None, int | None], got: tuple[int, int] | None
) -> NoReturn:
    raise ModuleError(
        "--image_size is for modules that leave it open. "
        f"Got {got} for {handle}, which takes photos of {has} (height, width)."
    )
