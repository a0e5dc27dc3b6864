"""Photos as points → the files of TensorBoard's embedding projector.

TensorBoard finds them by projector_config.pbtxt in the folder of a run: numbers, a table with a
line a photo, and a sheet of their pictures, row by row (tensorboard/plugins/projector,
projector_config.proto and projector_plugin.py). Their names bear this tool's mark, as those of
event files do.
"""

import io
import math
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown
from image_retraining.reports.event_files import (
    CONFIG_MARK,
    FILE_MARK,
    PROJECTOR_CONFIG,
    has_own_config,
)
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.reports.tiles import squared

_VECTORS, _TABLE, _SHEET = (
    f"{name}{FILE_MARK}.{kind}"
    for name, kind in (("vectors", "bytes"), ("photos", "tsv"), ("pictures", "jpg"))
)
_BEHIND = (255, 255, 255)
_QUALITY = 85


def write(folder: Path, points: PhotoPoints) -> None:
    """Writes the files, each whole, the one by which TensorBoard finds the others last.

    Args:
        folder: of a run.
        points: at least one.

    Raises:
        OutputError: they cannot be written, or there is a projector_config.pbtxt of others.
    """
    rows, columns = points.vectors.shape
    embedding = EmbeddingInfo(
        tensor_name="feature vectors",
        tensor_shape=[rows, columns],
        tensor_path=_VECTORS,
        metadata_path=_TABLE,
    )
    embedding.sprite.image_path = _SHEET
    embedding.sprite.single_image_dim.extend([points.side, points.side])
    config = text_format.MessageToString(ProjectorConfig(embeddings=[embedding]))
    if (folder / PROJECTOR_CONFIG).exists() and not has_own_config(folder):
        raise OutputError(
            f"{folder / PROJECTOR_CONFIG} must not be another program's, which would be replaced. "
            "Remove it, or name another --summaries_dir."
        )
    contents: Mapping[str, bytes] = {
        _VECTORS: _vectors(points.vectors),
        _TABLE: _table(points).encode(),
        _SHEET: _sheet(points),
        PROJECTOR_CONFIG: f"{CONFIG_MARK}\n{config}".encode(),
    }
    for name, content in contents.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)


def _vectors(vectors: Floats) -> bytes:
    """Returns the numbers, float32, little-endian, row by row.

    TensorBoard takes a file for text unless its first line is no UTF-8, which the first byte here
    sees to. It is the lowest of the first number, which it changes by less than 1 / 30,000.
    """
    content = bytearray(vectors.astype("<f4").tobytes())
    content[0] = 0x80
    return bytes(content)


def _table(points: PhotoPoints) -> str:
    """Returns a line of names, and then one a photo."""
    lines = ["label\tset\tphoto"]
    for path, label_id, split in zip(points.paths, points.label_ids, points.splits, strict=True):
        names = (points.labels[label_id], split, Path(path).name)
        lines.append("\t".join(map(shown, names)))
    return "\n".join(lines) + "\n"


def _sheet(points: PhotoPoints) -> bytes:
    """Returns a JPEG of all pictures, each in the middle of its square, as many below as beside."""
    side, across = points.side, math.ceil(math.sqrt(len(points.pictures)))
    down = math.ceil(len(points.pictures) / across)
    sheet = Image.new("RGB", (across * side, down * side), _BEHIND)
    for place, picture in enumerate(points.pictures):
        sheet.paste(squared(picture, side), (place % across * side, place // across * side))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
