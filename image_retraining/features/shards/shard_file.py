"""What came of a shard ↔ its file: Parquet, a row a photo, written once and never changed.

Columns: `path` (binary, as the file system has it), `size`, `mtime_ns`, `ctime_ns`, `inode` and
`taken_ns` (int64, of the file before it was read), `digest` (binary, SHA-256 of its contents),
`preparation` (what was done to it first), `warning` and `missing` (what is wrong with it, and about
which share of it is missing), `error` (why there are no vectors, '' if there are) and `vectors`
(list of float32: of the photo itself, then of its views, one after the other). The terms are in
the file's metadata, as JSON. Its pages have checksums, and no dictionaries: vectors do not repeat.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from image_retraining.cache.known_files import FileState
from image_retraining.foundation.errors import ClusterError
from image_retraining.foundation.records import Floats

_TERMS = b"image_retraining.terms"
_STATE = ("size", "mtime_ns", "ctime_ns", "inode", "taken_ns")


class DamagedShardError(Exception):
    """A file is no shard's, or not whole."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What came of a photo.

    Attributes:
        path: as it was asked for.
        state: of its file, as it was asked for.
        digest: SHA-256 of its file; b"" where that could not be read.
        preparation: what was done to it before it was looked at, in words.
        warning: what is wrong with it, '' for nothing.
        missing: about which share of it is missing, 0 to 1.
        error: why there are no vectors, else ''.
        vectors: float32 [V, D], of the photo itself and its views; None where there are none.
    """

    path: str
    state: FileState
    digest: bytes = b""
    preparation: str = ""
    warning: str = ""
    missing: float = 0.0
    error: str = ""
    vectors: Floats | None = None


def contents_of(terms: str, photos: Sequence[Computed]) -> bytes:
    """Returns the bytes of the file of a shard.

    Args:
        terms: by which it was computed, as text.
        photos: what came of each.
    """
    pa, parquet = _pyarrow()
    schema = pa.schema(
        [
            *(("path", pa.binary()), ("digest", pa.binary())),
            *((name, pa.int64()) for name in _STATE),
            *((name, pa.string()) for name in ("preparation", "warning", "error")),
            *(("missing", pa.float64()), ("vectors", pa.list_(pa.float32()))),
        ],
        metadata={_TERMS: terms.encode()},
    )
    table = pa.table(
        {
            "path": [os.fsencode(photo.path) for photo in photos],
            "digest": [photo.digest for photo in photos],
            **dict(zip(_STATE, zip(*map(_state_values, photos), strict=True), strict=True)),
            "preparation": [photo.preparation for photo in photos],
            "warning": [photo.warning for photo in photos],
            "error": [photo.error for photo in photos],
            "missing": [photo.missing for photo in photos],
            "vectors": [None if p.vectors is None else p.vectors.ravel() for p in photos],
        },
        schema=schema,
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table, sink, use_dictionary=False, compression="NONE", write_page_checksum=True
    )
    return bytes(sink.getvalue())


def photos_in(contents: bytes, terms: str, feature_size: int) -> list[Computed]:
    """Returns what came of the photos of a shard.

    Args:
        contents: the bytes of its file.
        terms: by which it is to be computed.
        feature_size: D.

    Raises:
        DamagedShardError: it is not whole, or of other terms.
    """
    pa, parquet = _pyarrow()
    try:
        table = parquet.read_table(
            pa.BufferReader(contents), page_checksum_verification=True, use_threads=False
        )
    # pyarrow has no error of its own for pages whose checksum is wrong.
    except (pa.ArrowException, OSError) as error:
        raise DamagedShardError(str(error)) from error
    if (table.schema.metadata or {}).get(_TERMS) != terms.encode():
        raise DamagedShardError("it was computed by other terms")
    return [_computed(row, feature_size) for row in _rows(table)]


def _rows(table: Any) -> list[dict[str, Any]]:
    """Returns the rows by the names of the columns, the vectors as float32 [V * D] or None."""
    vectors = table.column("vectors")
    rows: list[dict[str, Any]] = table.drop_columns(["vectors"]).to_pylist()
    for row, scalar in zip(rows, vectors, strict=True):
        row["vectors"] = scalar.values.to_numpy() if scalar.is_valid else None
    return rows


def _computed(row: dict[str, Any], feature_size: int) -> Computed:
    state = FileState(**{name: row.pop(name) for name in _STATE})
    vectors = row.pop("vectors")
    return Computed(
        path=os.fsdecode(row.pop("path")),
        state=state,
        vectors=None if vectors is None else vectors.reshape(-1, feature_size),
        **row,
    )


def _state_values(photo: Computed) -> tuple[int, ...]:
    return (*photo.state.kept, photo.state.taken_ns)


def _pyarrow() -> tuple[Any, Any]:
    """Returns pyarrow, and its part for Parquet."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ClusterError.not_installed("pyarrow") from error
    return pa, parquet
