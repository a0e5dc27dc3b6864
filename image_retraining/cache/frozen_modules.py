"""Frozen modules on disk, in the file of the bottleneck cache.

Loading and freezing a module takes seconds; reading the frozen graph back takes a blink. A module
goes by its content, the size of photos it was asked to take, and the version of the freezing.
"""

import json
import zlib
from dataclasses import astuple, dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class FrozenModule:
    """A frozen graph from photos to feature vectors.

    Attributes:
        graph: the bytes of a GraphDef, of constants and ordinary ops only.
        input_name: tensor name of the photos, float32 [None, H, W, 3], RGB, 0 to 1.
        output_name: tensor name of the feature vectors, float32 [None, D].
        image_size: (H, W), pixels.
        sample_vectors: float32 [n, D], its answer, by TensorFlow in float32, to sample photos.
    """

    graph: bytes = field(repr=False)
    input_name: str
    output_name: str
    image_size: tuple[int, int]
    sample_vectors: Floats = field(repr=False, compare=False)

    @property
    def feature_size(self) -> int:
        """D, length of a feature vector."""
        return int(self.sample_vectors.shape[1])


class FrozenModules:
    """The frozen modules in a cache file."""

    def __init__(self, file: CacheFile) -> None:
        """Takes the file that keeps them."""
        self._file = file

    def find(self, key: ModuleKey) -> FrozenModule | None:
        """Returns a module, None when it is not kept, or damaged."""
        row = self._file.read(lambda database: _row(database, key))
        if row is None:
            return None
        crc, description, sample, graph = row
        if not isinstance(sample, bytes) or not isinstance(graph, bytes):
            return None
        if _checksum(key, str(description), sample, graph) != crc:
            return None
        told = json.loads(description)
        vectors = np.frombuffer(sample, "<f4").astype(np.float32, copy=False)
        return FrozenModule(
            graph=graph,
            input_name=told["input_name"],
            output_name=told["output_name"],
            image_size=(told["height"], told["width"]),
            sample_vectors=vectors.reshape(-1, told["features"]),
        )

    def keep(self, key: ModuleKey, module: FrozenModule, *, handle: str) -> None:
        """Keeps a module, with what the person calls it, for people to read."""
        if len(module.graph) > _LARGEST_GRAPH:
            return
        told = {
            "features": module.feature_size,
            "height": module.image_size[0],
            "input_name": module.input_name,
            "output_name": module.output_name,
            "width": module.image_size[1],
        }
        description = json.dumps(told, sort_keys=True)
        sample, graph = module.sample_vectors.astype("<f4").tobytes(), module.graph
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
