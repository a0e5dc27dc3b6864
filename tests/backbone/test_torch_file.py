"""Files of weights that PyTorch wrote: read without it, and nothing in them is run."""

import io
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from image_retraining.backbone.sources.torch_file import TorchFileError, tensors

MAGIC = 0x1950A86A20F9469CFC6C
NUMBERS = np.arange(12, dtype=np.float32)
NO_GRADIENT = False
STEPS = np.array([7], dtype=np.int64)


class FloatStorage:
    """Stands for torch.FloatStorage, by its name."""


class LongStorage:
    """Stands for torch.LongStorage, by its name."""


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for torch._utils._rebuild_tensor_v2, by its name."""


class Storage:
    """Of a kind, under a key; a pickle refers to it."""

    def __init__(self, kind: Any, key: Any, tag: str = "storage") -> None:
        self.reference = (tag, kind, key, "cpu", 0, None)


class Tensor:
    """What a pickle calls with these arguments."""

    def __init__(self, *arguments: Any, call: Callable[..., Any] = _rebuild_tensor_v2) -> None:
        self.arguments, self.call = arguments, call

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


class Writer(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.reference if isinstance(obj, Storage) else None


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a pickle name PyTorch's classes, which are not installed."""
    outer, inner = ModuleType("torch"), ModuleType("torch._utils")
    for module, what in ((outer, FloatStorage), (outer, LongStorage), (inner, _rebuild_tensor_v2)):
        monkeypatch.setattr(what, "__module__", module.__name__)
        monkeypatch.setattr(module, what.__name__, what, raising=False)
        monkeypatch.setitem(sys.modules, module.__name__, module)


def view(offset: int, shape: Any, strides: Any, storage: Any = None) -> Tensor:
    storage = storage or Storage(FloatStorage, "1")
    return Tensor(storage, offset, shape, strides, NO_GRADIENT, OrderedDict())


def file_of(
    table: Any,
    storages: Iterable[tuple[str, Any]] = (("1", NUMBERS),),
    head: tuple[Any, ...] = (MAGIC, 1001, {"little_endian": True}),
) -> bytes:
    file = io.BytesIO()
    storages = list(storages)
    for part in (*head, table, [key for key, _ in storages]):
        Writer(file, protocol=2).dump(part)
    for _, numbers in storages:
        file.write(len(numbers).to_bytes(8, "little"))
        file.write(numbers.tobytes())
    return file.getvalue()


def test_tensors_are_views_into_storages() -> None:
    table = OrderedDict(
        whole=view(0, (3, 4), (4, 1)),
        transposed=view(0, (4, 3), (1, 4)),
        later=view(5, (2,), (1,)),
        number=view(0, (), (), Storage(LongStorage, "2")),
    )
    # As PyTorch adds it; nobody reads it.
    table._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]  # noqa: SLF001
    found = tensors(file_of(table, [("1", NUMBERS), ("2", STEPS)]))
    assert list(found) == ["whole", "transposed", "later", "number"]
    np.testing.assert_array_equal(found["whole"], NUMBERS.reshape(3, 4))
    np.testing.assert_array_equal(found["transposed"], NUMBERS.reshape(3, 4).T)
    np.testing.assert_array_equal(found["later"], [5, 6])
    assert found["number"].dtype == np.int64
    assert int(found["number"]) == 7


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (13,), (1,)),
        (1, (12,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (12,)),
        (0, (2, 2), (11, 1)),
        # Of memory for as many numbers as one likes, from one.
        (0, (1_000_000, 1_000_000), (0, 0)),
        (0, (2**70,), (0,)),
        (0, (-2,), (1,)),
        (0, (2,), (-1,)),
        (0, (3, 4), (1,)),
        (0, (2.0,), (1,)),
        (0, (True,), (1,)),
        (None, (2,), (1,)),
        (0, None, (1,)),
        (0, "2", "1"),
    ],
)
def test_a_tensor_lies_in_its_storage(offset: Any, shape: Any, strides: Any) -> None:
    with pytest.raises(TorchFileError):
        tensors(file_of(OrderedDict(name=view(offset, shape, strides))))


def hostile(marker: Path) -> dict[str, Any]:
    """Returns tables of tensors that do something, by what they call."""
    command = f"touch {marker}"
    return {
        "os.system": Tensor(command, call=os.system),
        "builtins.eval": Tensor(f"open({str(marker)!r}, 'w')", call=eval),
        "builtins.getattr": Tensor(OrderedDict(), "clear", call=getattr),
        "io.open": Tensor(str(marker), "w", call=io.open),
    }


@pytest.mark.parametrize("name", list(hostile(Path())))
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nothing_that_a_file_names_is_run(tmp_path: Path, name: str, place: int) -> None:
    marker = tmp_path / "ran"
    parts: list[Any] = [MAGIC, 1001, {}, OrderedDict(name=view(0, (2,), (1,)))]
    evil = hostile(marker)[name]
    parts[place] = OrderedDict(name=evil) if place == len(parts) - 1 else evil
    contents = file_of(parts[-1], head=tuple(parts[:-1]))
    with pytest.raises(TorchFileError, match=r"it names \w+\.\w+, which no weights need"):
        tensors(contents)
    assert not marker.exists()


WHOLE = OrderedDict(name=view(0, (2,), (1,)))


def broken() -> dict[str, Callable[[], bytes]]:
    """Returns what is no such file; made when PyTorch's names can be written."""
    nested: Any = OrderedDict(name=OrderedDict())
    other = OrderedDict(name=view(0, (2,), (1,), Storage(FloatStorage, "1", tag="module")))
    keyless = OrderedDict(name=view(0, (2,), (1,), Storage(FloatStorage, [])))
    kindless = OrderedDict(name=view(0, (2,), (1,), Storage("FloatStorage", "1")))
    called = OrderedDict(name=Tensor(call=FloatStorage))
    return {
        "empty": lambda: b"",
        "text": lambda: b"weights\n" * 100,
        "no table": lambda: file_of([1, 2]),
        "no tensor": lambda: file_of(nested),
        "no storage": lambda: file_of(OrderedDict(name=view(0, (2,), (1,), "1"))),
        "another reference": lambda: file_of(other),
        "a key that is none": lambda: file_of(keyless),
        "a kind that is none": lambda: file_of(kindless),
        "a kind that is called": lambda: file_of(called),
        "an unknown storage": lambda: file_of(WHOLE, [("2", NUMBERS)]),
        "no storages": lambda: file_of(WHOLE, []),
        "another magic number": lambda: file_of(WHOLE, head=(1, 1001, {})),
        "another version": lambda: file_of(WHOLE, head=(MAGIC, 1002, {})),
        "cut in a pickle": lambda: file_of(WHOLE)[:60],
        "cut in the numbers": lambda: file_of(WHOLE)[:-1],
        "cut in a count": lambda: file_of(WHOLE)[: -len(NUMBERS.tobytes()) - 4],
    }


@pytest.mark.parametrize("name", list(broken()))
def test_what_is_no_such_file_is_told(name: str) -> None:
    with pytest.raises(TorchFileError):
        tensors(broken()[name]())
    assert list(tensors(file_of(WHOLE))) == ["name"]
