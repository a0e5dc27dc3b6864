"""Module → Backbone: checked, frozen, ready to run on batches of photos."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import tensorflow as tf
from absl import logging

# TensorFlow has no public function that turns a function's variables into constants.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from image_retraining import builtin_module, hub_module
from image_retraining.config import BUILTIN_MODULE
from image_retraining.errors import DownloadError, ModuleError
from image_retraining.hub_module import MODULE_RULE

# How long a server may take for its first byte: of the default module, which nobody asked for by
# name, and of a named one.
_DEFAULT_MODULE_SECONDS = 10
_NAMED_MODULE_SECONDS = 30
_SIGNATURES = ("serving_default", "default")
_OUTPUTS = ("default", "feature_vector")
_CHANNELS = 3


@dataclass(frozen=True)
class Backbone:
    """A module, loaded and frozen.

    Attributes:
        handle: as the person named it.
        fingerprint: SHA-256 of the module's files, hexadecimal; equal for equal content.
        image_size: (H, W) of the photos it takes.
        feature_size: D, length of its feature vectors.
        graph_def: the frozen graph, of constants and ordinary ops only.
        input_name: tensor name of the photos, float32 [None, H, W, 3], RGB, 0 to 1.
        output_name: tensor name of the feature vectors, float32 [None, D].
    """

    handle: str
    fingerprint: str
    image_size: tuple[int, int]
    feature_size: int
    graph_def: Any
    input_name: str
    output_name: str

    def extractor(self) -> Callable[[Any], Any]:
        """Returns a function from float32 [N, H, W, 3] to feature vectors, float32 [N, D]."""

        def extract(images: Any) -> Any:
            (features,) = tf.graph_util.import_graph_def(
                self.graph_def,
                input_map={self.input_name: images},
                return_elements=[self.output_name],
                name="",
            )
            return features

        photos = tf.TensorSpec([None, *self.image_size, _CHANNELS], tf.float32)
        return tf.function(extract, input_signature=[photos])  # type: ignore[no-any-return]


def load_backbone(
    handle: str, *, image_size: tuple[int, int] | None = None, is_default: bool = False
) -> Backbone:
    """Returns the backbone of a module.

    Args:
        handle: URL, folder, .tar.gz file, or 'builtin'.
        image_size: (H, W) for a module that leaves them open, else None.
        is_default: nobody chose this handle, so that the built-in module may stand in for it when
            it cannot be downloaded; a warning says so.

    Raises:
        DownloadError: the module cannot be downloaded.
        ModuleError: it is no module, not one for photos, or the image size does not fit it.
    """
    if handle == BUILTIN_MODULE:
        return _builtin(image_size)
    patience = _DEFAULT_MODULE_SECONDS if is_default else _NAMED_MODULE_SECONDS
    try:
        folder = hub_module.resolve(handle, patience=patience)
    except DownloadError as error:
        if not is_default:
            raise
        logging.warning(
            "WARNING: the default module is not to be had, so the built-in one, whose features "
            "are much weaker, stands in for it. For better accuracy go online, or bring a module "
            "from another machine and name its folder with --tfhub_module. (%s)",
            error,
        )
        return _builtin(image_size)
    return _freeze(handle, folder, image_size)


def _builtin(image_size: tuple[int, int] | None) -> Backbone:
    if image_size not in (None, builtin_module.IMAGE_SIZE):
        _reject_image_size(BUILTIN_MODULE, builtin_module.IMAGE_SIZE, image_size)
    return _frozen_backbone(
        builtin_module.features,
        handle=BUILTIN_MODULE,
        fingerprint=builtin_module.fingerprint(),
        image_size=builtin_module.IMAGE_SIZE,
    )


def _freeze(handle: str, folder: str, image_size: tuple[int, int] | None) -> Backbone:
    module = hub_module.load(handle, folder)
    answer, photos = _photo_function(handle, module)
    return _frozen_backbone(
        answer,
        handle=handle,
        fingerprint=hub_module.fingerprint(folder),
        image_size=_fitting_size(handle, photos, image_size),
    )


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
        takes_training = any(item is False for item in arguments)
        learns = any(item is True for item in arguments)
        if len(specs) == 1 and not learns:
            options = {"training": False} if takes_training else {}
            return (lambda images, options=options: module(images, **options)), specs[0]
    raise ModuleError(f"{MODULE_RULE} Got {handle}, which has no function of photos alone.")


def _fitting_size(handle: str, photos: Any, image_size: tuple[int, int] | None) -> tuple[int, int]:
    """Returns (H, W) for a module, after checking that it takes photos at all."""
    if photos.dtype == tf.string:
        raise ModuleError(f"{MODULE_RULE} Got {handle}, which takes text.")
    shape = [None] * 4 if photos.shape.rank is None else photos.shape.as_list()
    fits = len(shape) == 4 and shape[0] is None and shape[3] in (None, _CHANNELS)
    if photos.dtype != tf.float32 or not fits:
        raise ModuleError(
            f"{MODULE_RULE} It must take photos as float32 [None, height, width, {_CHANNELS}]. "
            f"Got {handle}, which takes {photos.dtype.name} {shape}."
        )
    height, width = shape[1:3]
    if height and width:
        if image_size not in (None, (height, width)):
            _reject_image_size(handle, (height, width), image_size)
        return height, width
    if image_size is None:
        raise ModuleError(
            f"{handle} leaves the size of its photos open. Give the one it was trained for, as in "
            "--image_size=224."
        )
    return image_size


def _reject_image_size(handle: str, has: tuple[int, int], got: tuple[int, int] | None) -> NoReturn:
    raise ModuleError(
        "--image_size is for modules that leave it open. "
        f"Got {got} for {handle}, which takes photos of {has} (height, width)."
    )


def _feature_output(handle: str, outputs: Any) -> Any:
    """Returns, of what a module puts out, the tensor of feature vectors, float32 [None, D]."""
    named = dict(outputs) if isinstance(outputs, Mapping) else {"": outputs}
    if not isinstance(outputs, Mapping) and isinstance(outputs, list | tuple):
        named = {str(number): output for number, output in enumerate(outputs)}
    vectors = {
        name: output
        for name, output in named.items()
        if output.shape.rank == 2 and output.dtype == tf.float32
    }
    if not vectors:
        shapes = ", ".join(f"{name or 'output'} {output.shape}" for name, output in named.items())
        raise ModuleError(
            f"{MODULE_RULE} It must put out feature vectors, float32 [None, D]. "
            f"Got {handle}, which puts out {shapes}."
        )
    name = next((name for name in _OUTPUTS if name in vectors), min(vectors))
    if len(vectors) > 1:
        logging.info("Of the module's outputs %s, '%s' is taken.", ", ".join(vectors), name)
    return vectors[name]


def _frozen_backbone(
    answer: Callable[[Any], Any], *, handle: str, fingerprint: str, image_size: tuple[int, int]
) -> Backbone:
    """Returns the backbone of a function of photos, its variables turned into constants.

    On CPU a frozen graph is 1.6 to 2 times as fast, for TensorFlow can fold and fuse its ops.
    """
    photos = tf.TensorSpec([None, *image_size, _CHANNELS], tf.float32, name="images")
    function = tf.function(lambda images: _feature_output(handle, answer(images)))
    with _quiet_tensorflow():
        frozen = convert_variables_to_constants_v2(function.get_concrete_function(photos))
    (images,), (features,) = frozen.inputs, frozen.outputs
    feature_size = features.shape[1]
    if feature_size is None:
        feature_size = frozen(tf.zeros([1, *image_size, _CHANNELS]))[0].shape[1]
    return Backbone(
        handle=handle,
        fingerprint=fingerprint,
        image_size=image_size,
        feature_size=int(feature_size),
        graph_def=frozen.graph.as_graph_def(),
        input_name=images.name,
        output_name=features.name,
    )


@contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Silences warnings of collections in old modules that do not survive freezing, nor matter."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
