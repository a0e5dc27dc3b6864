"""What a TFLite file says of itself: the labels and facts within it, and how to feed it.

After TFLite's metadata standard: the files are a ZIP archive behind the model, and a FlatBuffer in
the model, of the schema "M001", says which file is what. Android's Task Library and MediaPipe read
it; so does `unzip`.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

LABELS_FILE = "labels.txt"
FACTS_FILE = "model.json"

_METADATA_NAME = "TFLITE_METADATA"
_SCHEMA_MARK = b"M001"
_OLDEST_PARSER = "1.0.0"
# ZIP knows no time before this; a fixed one gives equal files equal bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# Numbers that the schema gives to kinds of files, of contents, of process units and of colours.
_DESCRIPTIONS, _AXIS_LABELS = 1, 2
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1
_RGB = 1


def described(model: bytes, *, labels: bytes, facts: bytes) -> bytes:
    """Returns a TFLite file with its metadata and the files that this names.

    Args:
        model: a TFLite file that takes RGB photos of 0 to 1 and gives probabilities; without
            files of its own.
        labels: of the probabilities, one a line.
        facts: a JSON object.
    """
    content = flatbuffer_utils.read_model_from_bytearray(model)
    content.buffers.append(schema.BufferT(data=np.frombuffer(_metadata(), np.uint8)))
    entry = schema.MetadataT(name=_METADATA_NAME, buffer=len(content.buffers) - 1)
    content.metadata = [*(content.metadata or []), entry]
    whole = io.BytesIO(flatbuffer_utils.convert_object_to_bytearray(content))
    with zipfile.ZipFile(whole, "a") as archive:
        for name, file in ((LABELS_FILE, labels), (FACTS_FILE, facts)):
            member = zipfile.ZipInfo(name, _NO_TIME)
            member.create_system = _UNIX
            archive.writestr(member, file)
    return whole.getvalue()


def files_of(contents: bytes) -> dict[str, bytes]:
    """Returns name → bytes of the labels and facts that a TFLite file holds, of which it may lack.

    Raises:
        zipfile.BadZipFile: they are damaged.
    """
    stream = io.BytesIO(contents)
    if not zipfile.is_zipfile(stream):
        return {}
    with zipfile.ZipFile(stream) as archive:
        names = {LABELS_FILE, FACTS_FILE} & set(archive.namelist())
        return {name: archive.read(name) for name in names}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the FlatBuffer something stands that was written before."""

    offset: int


class _Writer:
    """Writes FlatBuffer tables by the numbers of their fields."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder()

    def text(self, text: str) -> _Place:
        return _Place(self._builder.CreateString(text))

    def numbers(self, numbers: Sequence[float]) -> _Place:
        return _Place(self._builder.CreateNumpyVector(np.array(numbers, np.float32)))

    def tables(self, *places: _Place) -> _Place:
        self._builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._builder.PrependUOffsetTRelative(place.offset)
        return _Place(self._builder.EndVector())

    def table(self, fields: Mapping[int, int | _Place]) -> _Place:
        """Writes a table; a number is a field of one byte."""
        self._builder.StartObject(max(fields, default=-1) + 1)
        for number, value in fields.items():
            if isinstance(value, _Place):
                self._builder.PrependUOffsetTRelativeSlot(number, value.offset, 0)
            else:
                self._builder.PrependUint8Slot(number, value, 0)
        return _Place(self._builder.EndObject())

    def finished(self, root: _Place) -> bytes:
        self._builder.Finish(root.offset, file_identifier=_SCHEMA_MARK)
        return bytes(self._builder.Output())


def _metadata() -> bytes:
    """Returns the FlatBuffer: a table ModelMetadata, of one input and one output."""
    write = _Writer()
    facts_file = _file(write, FACTS_FILE, "Facts of the training, in JSON.", _DESCRIPTIONS)
    subgraph = write.table({2: write.tables(_input(write)), 3: write.tables(_output(write))})
    return write.finished(
        write.table(
            {
                0: write.text("Image classifier"),
                1: write.text("Tells which label a photo has."),
                3: write.tables(subgraph),
                6: write.tables(facts_file),
                7: write.text(_OLDEST_PARSER),
            }
        )
    )


def _input(write: _Writer) -> _Place:
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


def _output(write: _Writer) -> _Place:
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


def _file(write: _Writer, name: str, meaning: str, kind: int) -> _Place:
    return write.table({0: write.text(name), 1: write.text(meaning), 2: kind})


def _zero_to_one(write: _Writer) -> _Place:
    return write.table({0: write.numbers([1.0]), 1: write.numbers([0.0])})
