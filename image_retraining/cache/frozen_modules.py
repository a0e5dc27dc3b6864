"""Frozen modules on disk, in the file of the bottleneck cache.

Loading and freezing a module takes seconds; reading the frozen graph back takes a blink. A module
goes by its content, the size of photos it was asked to take, and the version of the freezing.
"""

import json
import zlib
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

import numpy as np

from image_retraining.cache.database import CacheFile, Database
from image_retraining.foundation.records import Floats

# SQLite takes values of up to a thousand million bytes; a larger module is frozen in each run.
_LARGEST_GRAPH = 900_000_000


@dataclass(frozen=True, slots=True)
class ModuleKey:
    """What decides a frozen module.

    Attributes:
        fingerprint: SHA-256 of the module's files, hexadecimal.
        freezing: version of the way from a module to its frozen graph.
        asked_size: the size of photos that a person asked for, as "224x224", else ''.
    """

    fingerprint: str
    freezing: int
    asked_size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptModule:
    """A frozen module.

    Attributes:
        graph: the bytes of a GraphDef.
        sample: float32 [n, D], its answer to sample photos.
        height: of the photos it takes, in pixels.
        width: of the same.
        input_name: tensor name of the photos.
        output_name: tensor name of the feature vectors.
    """

    graph: bytes = field(repr=False)
    sample: Floats = field(repr=False, compare=False)
    height: int
    width: int
    input_name: str
    output_name: str


class KeptModules:
    """The frozen modules in a cache file."""

    def __init__(self, file: CacheFile) -> None:
        """Takes the file that keeps them."""
        self._file = file

    def find(self, key: ModuleKey) -> KeptModule | None:
        """Returns a module, None when it is not kept, or damaged."""
        row = self._file.read(lambda database: _row(database, key))
        if row is None:
            return None
        crc, description, sample, graph = row
        if not isinstance(sample, bytes) or not isinstance(graph, bytes):
            return None
        if _checksum(key, str(description), sample, graph) != crc:
            return None
        rest = json.loads(description)
        features = rest.pop("features")
        vectors = np.frombuffer(sample, "<f4").astype(np.float32, copy=False)
        return KeptModule(graph=graph, sample=vectors.reshape(-1, features), **rest)

    def keep(self, key: ModuleKey, module: KeptModule, *, handle: str) -> None:
        """Keeps a module, with what the person calls it, for people to read."""
        if len(module.graph) > _LARGEST_GRAPH:
            return
        rest: dict[str, Any] = asdict(module)
        graph, vectors = rest.pop("graph"), rest.pop("sample")
        description = json.dumps({**rest, "features": vectors.shape[1]}, sort_keys=True)
        sample = vectors.astype("<f4").tobytes()
        values = (
            *astuple(key),
            handle.encode(errors="backslashreplace").decode(),
            *(_checksum(key, description, sample, graph), description, sample, graph),
        )
        self._file.write(
            lambda database: database.execute(
                "REPLACE INTO modules VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values
            )
        )


def _row(database: Database, key: ModuleKey) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = database.execute(
        "SELECT crc, description, sample, graph FROM modules "
        "WHERE (fingerprint, freezing, asked_size) = (?, ?, ?)",
        (key.fingerprint, key.freezing, key.asked_size),
    ).fetchone()
    return row


def _checksum(key: ModuleKey, description: str, sample: bytes, graph: bytes) -> int:
    """Returns the CRC-32 over the fields of the key, each with a line feed, then the rest."""
    text = "".join(f"{value}\n" for value in astuple(key)) + description
    return zlib.crc32(graph, zlib.crc32(sample, zlib.crc32(text.encode())))
