"""A folder of a TF2 SavedModel or in TF1 Hub format → the module in it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from image_retraining.backbone.handles import MODULE_RULE
from image_retraining.backbone.sources import library
from image_retraining.backbone.sources.source import FoundModule, PhotoFunction
from image_retraining.foundation.errors import DamagedModuleError, ModuleError, first_line
from image_retraining.foundation.plain_names import plainly_named

_SIGNATURES = ("serving_default", "default")


def module_in(folder: str, handle: str) -> FoundModule:
    """Returns the module in a folder.

    Args:
        folder: of its files.
        handle: what the person calls it, for messages.

    Raises:
        ModuleError: its files cannot be read.
    """
    try:
        return FoundModule(fingerprint(folder), partial(_function_in, folder, handle))
    # What is closed to the person, or has vanished; TensorFlow takes no names but those in UTF-8.
    except (OSError, UnicodeError, tf.errors.OpError) as error:
        raise ModuleError(
            f"{MODULE_RULE} Got {handle}, whose files cannot be read: {first_line(error)}"
        ) from error


def fingerprint(folder: str) -> str:
    """Returns the SHA-256 over the names and contents of a module's files, hexadecimal.

    A file counts as its path below the folder and its content, each after its length as 8 bytes,
    little-endian; the files are taken in the order of their paths. Hidden files do not count.
    """
    content = hashlib.sha256()
    with plainly_named(folder) as place:
        for path in sorted(_files_below(place)):
            with tf.io.gfile.GFile(path, "rb") as file:
                data = file.read()
            name = os.path.relpath(path, place).replace(os.sep, "/").encode()
            for part in (name, data):
                content.update(len(part).to_bytes(8, "little"))
                content.update(part)
    return content.hexdigest()


def _function_in(folder: str, handle: str) -> PhotoFunction:
    """Returns the function of the module in a folder.

    Raises:
        ModuleError: it is no module, or a damaged one, or none of photos.
    """
    module = _loaded(handle, folder)
    function = _photo_function(handle, module)
    if _has_reference_variables(module):
        return PhotoFunction(_frozen_tf1(folder), function.photos)
    return function


def _loaded(handle: str, folder: str) -> Any:
    """Returns the module in a folder, as tensorflow_hub loads it."""
    try:
        return library.load(folder)
    # What the loader raises for files that are missing, damaged, or made for other ops.
    except (OSError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
        raise DamagedModuleError(
            f"{MODULE_RULE} Got {handle}, which cannot be loaded: {first_line(error)}"
        ) from error


def _has_reference_variables(module: Any) -> bool:
    """Whether a module in TF1 Hub format holds variables of a kind that TF2 cannot freeze."""
    graphs = [function.graph for function in module.signatures.values()]
    ops = (op for graph in graphs for op in graph.get_operations())
    return any(op.type in ("Variable", "VariableV2") for op in ops)


def _frozen_tf1(folder: str) -> Callable[[Any], Any]:
    """Returns a TF1 Hub module's function from photos to its outputs by name, frozen by TF1."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        with plainly_named(folder) as name:
            signature = v1.saved_model.load(session, [], name).signature_def["default"]
        outputs = {key: info.name for key, info in signature.outputs.items()}
        nodes = [name.partition(":")[0] for name in outputs.values()]
        graph_def = v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), nodes
        )
    (photos,) = (info.name for info in signature.inputs.values())

    def answer(images: Any) -> dict[str, Any]:
        tensors = tf.graph_util.import_graph_def(
            graph_def, input_map={photos: images}, return_elements=list(outputs.values()), name=""
        )
        return dict(zip(outputs, tensors, strict=True))

    return answer


def _photo_function(handle: str, module: Any) -> PhotoFunction:
    """Returns a module's function from photos to its outputs."""
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

            return PhotoFunction(answer, photos, alive=module)
    if callable(module):
        return _callable_function(handle, module)
    found = ", ".join(module.signatures) or "none"
    raise ModuleError(
        f"{MODULE_RULE} Got {handle}, which cannot be called and has none of the signatures "
        f"{' and '.join(_SIGNATURES)}. Its signatures: {found}."
    )


def _callable_function(handle: str, module: Any) -> PhotoFunction:
    """Returns the same for a reusable SavedModel that has no signatures."""
    for traced in getattr(module.__call__, "concrete_functions", ()):
        positional, named = traced.structured_input_signature
        arguments = [*positional, *named.values()]
        specs = [item for item in arguments if isinstance(item, tf.TensorSpec)]
        # Of its traces, the one that does not learn.
        if len(specs) == 1 and not any(item is True for item in arguments):
            answer = partial(_call_as_traced, module, traced, specs[0])
            return PhotoFunction(answer, specs[0], alive=module)
    raise ModuleError(f"{MODULE_RULE} Got {handle}, which has no function of photos alone.")


def _call_as_traced(module: Any, traced: Any, photos: Any, images: Any) -> Any:
    """Returns a call's outputs, its arguments those of a trace, with images for its photos."""
    positional, named = tf.nest.map_structure(
        lambda item: images if item is photos else item, traced.structured_input_signature
    )
    return module(*positional, **named)


def _files_below(folder: str) -> Iterator[str]:
    for place, _, names in tf.io.gfile.walk(folder):
        parts = os.path.relpath(place, folder).split(os.sep)
        if any(part.startswith(".") and part != "." for part in parts):
            continue
        for name in names:
            if not name.startswith("."):
                yield os.path.join(place, name)
