"""Module → Backbone: checked, frozen, ready to run on batches of photos."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import tensorflow as tf
from absl import logging

from image_retraining.backbone.freezing import FREEZING_VERSION, freeze, tried_out
from image_retraining.backbone.graphs import parsed_graph, photo_shape
from image_retraining.backbone.handles import MODULE_RULE, OFFLINE_MODULE
from image_retraining.backbone.keras_names import AVERAGE
from image_retraining.backbone.sources.source import Request
from image_retraining.backbone.sources.table import find
from image_retraining.cache.frozen_modules import FrozenModule, FrozenModules, ModuleKey
from image_retraining.foundation.errors import DownloadError, ModuleError

# How long a server may take for its first byte: of the default module, which nobody asked for by
# name, and of a named one.
_DEFAULT_MODULE_SECONDS = 10
_NAMED_MODULE_SECONDS = 30
_CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class Backbone(FrozenModule):
    """A module, loaded and frozen.

    Attributes:
        handle: as the person named it.
        fingerprint: SHA-256 of all that decides what it gives, hexadecimal.
        credit: whose work it is, where that is known; '' elsewhere.
        tuned_above: tensor above which its weights were fine-tuned; '' for the module as it is.
        made_of: fingerprint of what it was made of by other weights or a cut; '' for a module.
    """

    handle: str
    fingerprint: str
    credit: str
    tuned_above: str = ""
    made_of: str = ""

    @property
    def graph_def(self) -> Any:
        """A GraphDef of the graph; a new one each time, for TensorFlow changes those it imports."""
        return parsed_graph(self.graph)

    def with_graph(
        self, graph: bytes, output_name: str, *, key: bytes, tuned_above: str = ""
    ) -> "Backbone":
        """Returns the backbone with another graph, of the same photos.

        Args:
            graph: the bytes of a GraphDef.
            output_name: of the tensor that it answers with, float32 [None, D].
            key: what, with this backbone, decides what it answers.
            tuned_above: as the attribute.
        """
        samples = tried_out(parsed_graph(graph), self.input_name, output_name, self.image_size)
        return replace(
            self,
            graph=graph,
            output_name=output_name,
            fingerprint=hashlib.sha256(self.fingerprint.encode() + b"\n" + key).hexdigest(),
            sample_vectors=samples,
            tuned_above=tuned_above,
            made_of=self.fingerprint,
        )


def load_backbone(
    handle: str,
    *,
    image_size: tuple[int, int] | None = None,
    is_default: bool = False,
    pooling: str = AVERAGE,
    feature_layer: str = "",
    kept: FrozenModules | None = None,
) -> Backbone:
    """Returns the backbone of a module, which is loaded only if it is not kept already.

    Args:
        handle: as --tfhub_module names modules.
        image_size: (H, W) for a module that leaves them open; None for its own.
        is_default: nobody chose this handle, so that a module that needs no network may stand in
            for it when it cannot be downloaded; a warning says so.
        pooling: what becomes of the last map of a Keras model.
        feature_layer: of a Keras model; '' for the usual one.
        kept: where frozen modules are kept for the next run, if anywhere.

    Raises:
        DownloadError: the module cannot be downloaded.
        ModuleError: it is no module, not one for photos, or the image size does not fit it.
    """
    patience = _DEFAULT_MODULE_SECONDS if is_default else _NAMED_MODULE_SECONDS
    request = Request(
        handle=handle,
        image_size=image_size,
        patience=patience,
        pooling=pooling,
        feature_layer=feature_layer,
    )
    try:
        module = find(request)
    except DownloadError as error:
        if not is_default:
            raise
        logging.warning(
            "WARNING: the default module %s could not be downloaded (%s). %s, whose weights come "
            "with this tool, stands in for it. To have the other one go online, or download it "
            "elsewhere and name its folder or .tar.gz file with --tfhub_module.",
            handle,
            error.reason,
            OFFLINE_MODULE,
        )
        request = replace(request, handle=OFFLINE_MODULE)
        module = find(request)
    asked_size = "x".join(map(str, image_size or ()))
    key = ModuleKey(module.fingerprint, FREEZING_VERSION, asked_size)
    frozen = kept.find(key) if kept else None
    if frozen is None:
        function = module.load()
        size = _fitting_size(request.handle, function.photos, image_size)
        frozen = freeze(request.handle, function.answer, image_size=size)
        if kept:
            kept.keep(key, frozen, handle=request.handle)
    return Backbone(
        handle=request.handle, fingerprint=module.fingerprint, credit=module.credit, **vars(frozen)
    )


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
