"""What a TFLite file says of itself: the labels, facts and rule within it, and how to feed it.

After TFLite's metadata standard: the files are a ZIP archive behind the model, and a FlatBuffer in
the model, of the schema "M001", says which file is what. Android's Task Library and MediaPipe read
it; so does `unzip`.
"""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from image_retraining.exports.classifier import FEATURES
from image_retraining.exports.tflite.tables import Place, Table, Writer

LABELS_FILE = "labels.txt"
FACTS_FILE = "model.json"
UNKNOWN_FILE = "unknown.npz"

_METADATA_NAME = "TFLITE_METADATA"
_SCHEMA_MARK = b"M001"
_OLDEST_PARSER = "1.0.0"
# ZIP knows no time before this; a fixed one gives equal files equal bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# Numbers that the schema gives to kinds of files, of contents, of process units and of colours.
_OTHER_FILE, _DESCRIPTIONS, _AXIS_LABELS = 0, 1, 2
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1
_RGB = 1


def described(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Returns a TFLite file with its metadata and the files that this names.

    A second output of the model is called FEATURES.

    Args:
        model: a TFLite file that takes RGB photos of 0 to 1 and gives probabilities and perhaps
            feature vectors; without files of its own.
        files: name → bytes: the labels of the probabilities, one a line, at LABELS_FILE; facts, a
            JSON object, at FACTS_FILE; and what is unknown, if it is told, at UNKNOWN_FILE.
    """
    content = flatbuffer_utils.read_model_from_bytearray(model)
    graph = content.subgraphs[0]
    vectors = graph.outputs[1:]
    for place in vectors:
        graph.tensors[place].name = FEATURES
    metadata = _metadata(has_vectors=len(vectors) > 0, has_rule=UNKNOWN_FILE in files)
    content.buffers.append(schema.BufferT(data=np.frombuffer(metadata, np.uint8)))
    entry = schema.MetadataT(name=_METADATA_NAME, buffer=len(content.buffers) - 1)
    content.metadata = [*(content.metadata or []), entry]
    whole = io.BytesIO(flatbuffer_utils.convert_object_to_bytearray(content))
    with zipfile.ZipFile(whole, "a") as archive:
        for name, file in files.items():
            member = zipfile.ZipInfo(name, _NO_TIME)
            member.create_system = _UNIX
            archive.writestr(member, file)
    return whole.getvalue()


def normalization_of(contents: bytes) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns mean and std, each one number or one a channel, by which (p - mean) / std goes in.

    They are of pixels p of 0 to 255. None where a TFLite file does not say so.

    Args:
        contents: a whole file, which TFLite's interpreter has read.

    Raises:
        ValueError: its metadata is damaged.
    """
    metadata = _metadata_in(contents)
    if metadata is None:
        return None
    try:
        subgraph = next(Table.root(metadata).tables(3), None)
        image = next(subgraph.tables(2), None) if subgraph else None
        for unit in image.tables(4) if image else ():
            if unit.byte(0) == _NORMALIZATION:
                return _normalization(unit.table(1))
    # What the flatbuffers package raises where it is led beyond the end.
    except (struct.error, IndexError, TypeError) as error:
        raise ValueError(f"it leads astray ({' '.join(str(error).split())})") from error
    return None


def _normalization(options: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = options.numbers(0), options.numbers(1)
    counts = {len(mean), len(std)}
    if not counts <= {1, 3} or not np.isfinite([*mean, *std]).all() or 0 in std:
        raise ValueError(
            f"its normalisation has a mean of {list(mean)} and a std of {list(std)}, where one "
            "number each, or three, are expected, and no std of 0"
        )
    return mean, std


def _metadata_in(contents: bytes) -> bytes | None:
    """Returns the FlatBuffer that says how to feed a model, if it has one."""
    model = schema.Model.GetRootAs(contents)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == _METADATA_NAME.encode() and entry.Buffer() < model.BuffersLength():
            buffer = model.Buffers(entry.Buffer())
            return None if buffer.DataIsNone() else bytes(buffer.DataAsNumpy())
    return None


def files_of(contents: bytes) -> dict[str, bytes]:
    """Returns name → bytes of labels, facts and rule in a TFLite file, of which it may lack some.

    Raises:
        zipfile.BadZipFile: they are damaged.
    """
    stream = io.BytesIO(contents)
    if not zipfile.is_zipfile(stream):
        return {}
    with zipfile.ZipFile(stream) as archive:
        names = {LABELS_FILE, FACTS_FILE, UNKNOWN_FILE} & set(archive.namelist())
        return {name: archive.read(name) for name in names}


def _metadata(*, has_vectors: bool, has_rule: bool) -> bytes:
    """Returns the FlatBuffer: a table ModelMetadata, of one input, and of each output.

    Readers refuse files whose outputs are more than it tells of.
    """
    write = Writer()
    facts_file = _file(write, FACTS_FILE, "Facts of the training, in JSON.", _DESCRIPTIONS)
    outputs = [_output(write)]
    if has_vectors:
        outputs.append(_vectors(write, has_rule=has_rule))
    subgraph = write.table({2: write.tables(_input(write)), 3: write.tables(*outputs)})
    root = write.table(
        {
            0: write.text("Image classifier"),
            1: write.text("Tells which label a photo has."),
            3: write.tables(subgraph),
            6: write.tables(facts_file),
            7: write.text(_OLDEST_PARSER),
        }
    )
    return write.finished(root, _SCHEMA_MARK)


def _input(write: Writer) -> Place:
    """Writes the table TensorMetadata of the photos."""
    # Pixels of 0 to 255 become 0 to 1; readers quantise the result as the tensor itself says.
    scaling = write.table({0: write.numbers([0.0]), 1: write.numbers([255.0])})
    image = write.table({0: _RGB})
    return write.table(
        {
            0: write.text("image"),
            1: write.text("RGB photo, each value divided by 255."),
            3: write.table({0: _IMAGE, 1: image}),
            4: write.tables(write.table({0: _NORMALIZATION, 1: scaling})),
            5: _zero_to_one(write),
        }
    )


def _output(write: Writer) -> Place:
    """Writes the table TensorMetadata of the probabilities."""
    labels_file = _file(write, LABELS_FILE, "Labels, one a line.", _AXIS_LABELS)
    return write.table(
        {
            0: write.text("probability"),
            1: write.text("Probability of each label."),
            3: write.table({0: _FEATURE, 1: write.table({})}),
            5: _zero_to_one(write),
            6: write.tables(labels_file),
        }
    )


def _vectors(write: Writer, *, has_rule: bool) -> Place:
    """Writes the table TensorMetadata of the feature vectors."""
    fields: dict[int, int | Place] = {
        0: write.text(FEATURES),
        1: write.text("Feature vector of the photo."),
        3: write.table({0: _FEATURE, 1: write.table({})}),
    }
    if has_rule:
        meaning = "Tells by the feature vectors which photos are unknown, in NumPy's format."
        fields[6] = write.tables(_file(write, UNKNOWN_FILE, meaning, _OTHER_FILE))
    return write.table(fields)


def _file(write: Writer, name: str, meaning: str, kind: int) -> Place:
    return write.table({0: write.text(name), 1: write.text(meaning), 2: kind})


def _zero_to_one(write: Writer) -> Place:
    return write.table({0: write.numbers([1.0]), 1: write.numbers([0.0])})
