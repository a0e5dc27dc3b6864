"""File of weights as PyTorch wrote it until 2020 → arrays, without PyTorch, and running nothing.

Such a file is a row of pickles (a magic number, the format's version, what wrote it, the tensors as
views into storages, the storages' keys), then the numbers of each storage, little-endian, each
after its count as 8 bytes. Source: `_legacy_save` in PyTorch's torch/serialization.py. A pickle is
a program that may call whatever it names; here it may name four things, and none of them does
anything.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_COUNT_BYTES = 8
# What a damaged or hostile pickle makes of pickle.Unpickler.
_UNREADABLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


class TorchFileError(Exception):
    """It is no such file."""


@dataclass(frozen=True)
class _Kind:
    """What the numbers of a storage are."""

    dtype: str


@dataclass(frozen=True)
class _Storage:
    """Numbers that lie one after the other."""

    kind: Any
    key: Any


@dataclass(frozen=True)
class _View:
    """A tensor: a place in a storage and a shape, which the file says and nobody has checked."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


def _view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    return _View(storage, offset, shape, strides)


# Gradients and hooks, which a tensor may have as well, are None and empty here.
_NAMES: Mapping[tuple[str, str], Callable[..., Any] | _Kind] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): _Kind("<f4"),
    ("torch", "LongStorage"): _Kind("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _view,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what a pickle may name."""
        try:
            return _NAMES[module, name]
        except KeyError:
            raise TorchFileError(f"it names {module}.{name}, which no weights need") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Returns what a pickle refers to outside of it: a storage."""
        tag, kind, key, _, _, _ = pid
        if tag != "storage":
            raise TorchFileError(f"it refers to a {tag!r} where a storage is expected")
        return _Storage(kind, key)


def tensors(contents: bytes) -> dict[str, npt.NDArray[Any]]:
    """Returns the tensors of a file by name, float32 or int64.

    Args:
        contents: of the file.

    Raises:
        TorchFileError: it is none of the format, or damaged, or names what no weights need.
    """
    try:
        return _tensors(io.BytesIO(contents))
    except _UNREADABLE as error:
        raise TorchFileError(f"it cannot be read ({error})") from error


def _tensors(file: io.BytesIO) -> dict[str, npt.NDArray[Any]]:
    magic, version, _, views, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, version) != (_MAGIC, _VERSION):
        raise TorchFileError(f"it begins with {magic!r} and {version!r}")
    if not isinstance(views, OrderedDict) or not isinstance(keys, list):
        raise TorchFileError("it holds no table of tensors")
    if not all(isinstance(view, _View) for view in views.values()):
        raise TorchFileError("its table holds what is no tensor")
    kinds = {view.storage.key: view.storage.kind for view in views.values()}
    storages = {}
    for key in keys:
        if not isinstance(kinds.get(key), _Kind):
            raise TorchFileError(f"nothing says what the numbers of storage {key!r} are")
        storages[key] = _numbers(file, np.dtype(kinds[key].dtype))
    return {str(name): _array(view, storages) for name, view in views.items()}


def _numbers(file: io.BytesIO, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    count = int.from_bytes(file.read(_COUNT_BYTES), "little")
    contents = file.read(count * dtype.itemsize)
    if len(contents) != count * dtype.itemsize:
        raise TorchFileError(f"a storage of {count} numbers goes beyond its end")
    return np.frombuffer(contents, dtype)


def _array(view: _View, storages: Mapping[Any, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Returns the numbers of a tensor, all of which must lie in its storage."""
    numbers = storages.get(view.storage.key)
    whole = (view.offset, *view.shape, *view.strides)
    if numbers is None or not all(type(value) is int and value >= 0 for value in whole):
        raise TorchFileError("a tensor is of no storage, or has no shape")
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((length - 1) * stride for length, stride in steps)
    if math.prod(view.shape) > len(numbers) or not 0 <= last < len(numbers):
        raise TorchFileError("a tensor goes beyond its storage")
    bytes_apart = [stride * numbers.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(
        numbers[view.offset :], view.shape, bytes_apart, writeable=False
    )
