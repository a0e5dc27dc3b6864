import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_vectors import RECIPE, SIZE, bits, execute, numbered

from image_retraining.cache import frozen_modules
from image_retraining.cache.frozen_modules import FrozenModule, FrozenModules, ModuleKey
from image_retraining.cache.vectors import FILE_NAME, BottleneckCache

KEY = ModuleKey("ab" * 32, freezing=1, asked_size="8x6")
# Zeros of both signs, a denormal, infinity, a NaN with a payload, ordinary numbers.
PATTERNS = [0, 0x80000000, 1, 0x7F800000, 0x7FC12345, 0x3F800000]
MODULE = FrozenModule(
    graph=bytes(range(256)) * 100,
    sample_vectors=np.array(PATTERNS, np.uint32).view(np.float32).reshape(2, 3),
    image_size=(8, 6),
    input_name="photos:0",
    output_name="vectors é:0",
)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BottleneckCache]:
    with BottleneckCache(str(tmp_path)) as opened:
        yield opened


@pytest.fixture
def modules(cache: BottleneckCache) -> FrozenModules:
    return FrozenModules(cache.file)


def check_same(found: FrozenModule | None, module: FrozenModule) -> None:
    """Compares the samples by their bits as well; modules are equal without them."""
    assert found == module
    assert found is not None
    assert found.sample_vectors.dtype == np.float32
    assert found.sample_vectors.shape == module.sample_vectors.shape
    assert found.sample_vectors.tobytes() == module.sample_vectors.tobytes()


# What comes out


def test_a_module_comes_out_bit_for_bit(modules: FrozenModules) -> None:
    assert modules.find(KEY) is None
    modules.keep(KEY, MODULE, handle="module")
    check_same(modules.find(KEY), MODULE)


@pytest.mark.parametrize(
    "change",
    [
        {"graph": b""},
        {"graph": b"\0"},
        {"graph": os.urandom(3_000_000)},
        {"sample_vectors": np.zeros([1, 1], np.float32)},
        {"sample_vectors": np.zeros([32, 2048], np.float32)},
        {"sample_vectors": np.zeros([0, 5], np.float32)},
        {"sample_vectors": np.arange(6, dtype=">f4").reshape(2, 3)},
        {"image_size": (6, 8)},
        {"input_name": "", "output_name": "'\"\n\0\\"},
    ],
    ids=",".join,
)
def test_modules_of_any_kind_come_out(modules: FrozenModules, change: dict[str, Any]) -> None:
    module = replace(MODULE, **change)
    modules.keep(KEY, module, handle="module")
    check_same(
        modules.find(KEY), replace(module, sample_vectors=module.sample_vectors.astype(np.float32))
    )


def test_a_module_outlives_its_run(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        FrozenModules(cache.file).keep(KEY, MODULE, handle="module")
    with BottleneckCache(str(tmp_path)) as cache:
        check_same(FrozenModules(cache.file).find(KEY), MODULE)


def test_a_module_is_kept_in_memory_as_well() -> None:
    with BottleneckCache(None) as cache:
        FrozenModules(cache.file).keep(KEY, MODULE, handle="module")
        check_same(FrozenModules(cache.file).find(KEY), MODULE)


def test_a_module_kept_again_replaces_the_first(modules: FrozenModules, tmp_path: Path) -> None:
    other = replace(MODULE, graph=b"other", sample_vectors=MODULE.sample_vectors + 1)
    modules.keep(KEY, MODULE, handle="module")
    modules.keep(KEY, other, handle="another name")
    check_same(modules.find(KEY), other)
    assert execute(tmp_path, "SELECT COUNT(*), handle FROM modules") == (1, "another name")


CHANGES: list[dict[str, Any]] = [
    {"fingerprint": "cd" * 32},
    {"fingerprint": "AB" * 32},
    {"freezing": 2},
    {"asked_size": ""},
    {"asked_size": "6x8"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_another_key_has_another_module(modules: FrozenModules, change: dict[str, Any]) -> None:
    other = replace(KEY, **change)
    modules.keep(KEY, MODULE, handle="module")
    assert modules.find(other) is None
    other_module = replace(MODULE, graph=b"other")
    modules.keep(other, other_module, handle="module")
    check_same(modules.find(KEY), MODULE)
    check_same(modules.find(other), other_module)


@pytest.mark.parametrize(
    "handle",
    [
        "",
        "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5",
        'module\'s "best"\nversion; DROP TABLE modules',
        "/modules/模块",
        # As Python has a path that is no UTF-8.
        os.fsdecode(b"/modules/\xff\xe9"),
    ],
    ids=["none", "address", "quotes", "not ASCII", "no UTF-8"],
)
def test_a_module_may_have_any_handle(modules: FrozenModules, handle: str) -> None:
    modules.keep(KEY, MODULE, handle=handle)
    check_same(modules.find(KEY), MODULE)


# What does not


def test_too_large_a_graph_is_not_kept(
    modules: FrozenModules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_modules, "_LARGEST_GRAPH", 1000)
    modules.keep(KEY, replace(MODULE, graph=bytes(1001)), handle="module")
    assert modules.find(KEY) is None
    assert execute(tmp_path, "SELECT COUNT(*) FROM modules") == (0,)
    modules.keep(KEY, replace(MODULE, graph=bytes(1000)), handle="module")
    check_same(modules.find(KEY), replace(MODULE, graph=bytes(1000)))


def test_the_largest_graph_is_one_that_fits_into_the_file() -> None:
    database = sqlite3.connect(":memory:")
    limit = database.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
    database.close()
    # A row is no longer than that; the sample and the rest of it are small.
    assert limit - 10_000_000 > frozen_modules._LARGEST_GRAPH  # noqa: SLF001


DAMAGES = {
    "two bytes of the graph": "UPDATE modules SET graph = CAST(HEX(1) || SUBSTR(graph, 3) AS BLOB)",
    "a graph cut short": "UPDATE modules SET graph = SUBSTR(graph, 1, 500)",
    "no graph": "UPDATE modules SET graph = x''",
    "a graph of text": "UPDATE modules SET graph = 'text'",
    "some bytes of the sample": "UPDATE modules SET sample = ZEROBLOB(24)",
    "a sample cut short": "UPDATE modules SET sample = SUBSTR(sample, 1, 12)",
    "half a number in the sample": "UPDATE modules SET sample = SUBSTR(sample, 1, 11)",
    "a sample of text": "UPDATE modules SET sample = 'twelve or 24 characters.'",
    "a sample of text that is no UTF-8": "UPDATE modules SET sample = CAST(x'ff' AS TEXT)",
    "another height": "UPDATE modules SET description = REPLACE(description, ': 8', ': 6')",
    "another name": "UPDATE modules SET description = REPLACE(description, 'photos', 'fotos')",
    "other features": "UPDATE modules SET description = REPLACE(description, ': 3', ': 2')",
    "no description": "UPDATE modules SET description = ''",
    "a description in bytes": "UPDATE modules SET description = CAST(description AS BLOB)",
    "a description that is no JSON": "UPDATE modules SET description = SUBSTR(description, 2)",
    "a description that is no UTF-8": "UPDATE modules SET description = CAST(x'7bff7d' AS TEXT)",
    "another checksum": "UPDATE modules SET crc = crc + 1",
    "a checksum of text": "UPDATE modules SET crc = 'text'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_module_is_not_used_and_harms_nothing_else(
    cache: BottleneckCache, modules: FrozenModules, tmp_path: Path, damage: str
) -> None:
    modules.keep(KEY, MODULE, handle="module")
    vectors = numbered(range(3))
    cache.store(RECIPE, vectors)
    execute(tmp_path, damage)
    other = replace(KEY, asked_size="")
    modules.keep(other, MODULE, handle="module")

    assert modules.find(KEY) is None
    check_same(modules.find(other), MODULE)
    assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)
    assert list(tmp_path.glob("*.damaged-*")) == []
    modules.keep(KEY, MODULE, handle="module")
    check_same(modules.find(KEY), MODULE)


@pytest.mark.parametrize(
    ("damage", "change"),
    [
        ("UPDATE modules SET fingerprint = ?", {"fingerprint": "cd" * 32}),
        ("UPDATE modules SET freezing = ?", {"freezing": 2}),
        ("UPDATE modules SET asked_size = ?", {"asked_size": "6x8"}),
    ],
    ids=["fingerprint", "freezing", "asked_size"],
)
def test_a_module_under_the_key_of_another_is_not_used(
    modules: FrozenModules, tmp_path: Path, damage: str, change: dict[str, Any]
) -> None:
    """The vectors of one module would be kept as those of another, which nobody could see."""
    modules.keep(KEY, MODULE, handle="module")
    execute(tmp_path, damage, *change.values())
    assert modules.find(replace(KEY, **change)) is None


def test_one_damaged_bit_in_the_index_brings_no_other_module(tmp_path: Path) -> None:
    keys = [replace(KEY, fingerprint=f"{number}" * 64) for number in range(4)]
    with BottleneckCache(str(tmp_path)) as cache:
        for number, key in enumerate(keys):
            module = replace(MODULE, graph=b"graph %d" % number)
            FrozenModules(cache.file).keep(key, module, handle="module")
    contents = (tmp_path / FILE_NAME).read_bytes()
    # After its key, an entry of the index holds the number of the row, 3.
    entry = b"2" * 64 + b"8x6"
    (place,) = [p for p in range(len(contents)) if contents[p:].startswith(entry + b"\3")]
    damaged = bytearray(contents)
    damaged[place + len(entry)] = 2
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with BottleneckCache(str(tmp_path)) as cache:
        found = FrozenModules(cache.file).find(keys[2])
    assert found is None or found.graph == b"graph 2"


# The file


def test_the_row_is_the_documented_one(modules: FrozenModules, tmp_path: Path) -> None:
    modules.keep(KEY, MODULE, handle="my module")
    row = execute(
        tmp_path,
        "SELECT fingerprint, freezing, asked_size, handle, description, sample, graph FROM modules",
    )
    *key, handle, description, sample, graph = row
    assert key == ["ab" * 32, 1, "8x6"]
    assert handle == "my module"
    assert json.loads(description) == {
        "height": 8,
        "width": 6,
        "features": 3,
        "input_name": "photos:0",
        "output_name": "vectors é:0",
    }
    assert np.frombuffer(sample, "<u4").tolist() == PATTERNS
    assert graph == MODULE.graph


def test_the_checksum_is_over_all_that_is_used(modules: FrozenModules, tmp_path: Path) -> None:
    modules.keep(KEY, MODULE, handle="my module")
    query = "SELECT crc, description, sample, graph FROM modules"
    crc, description, sample, graph = execute(tmp_path, query)
    rest = description.encode() + sample + graph
    key = f"{KEY.fingerprint}\n{KEY.freezing}\n{KEY.asked_size}\n".encode()
    assert crc == zlib.crc32(key + rest)
