"""What a TFLite file says of itself: the labels and facts within it, and how to feed it.

After TFLite's metadata standard: the files are a ZIP archive behind the model, and a FlatBuffer in
the model, of the schema "M001", says which file is what. Android's Task Library and MediaPipe read
it; so does `unzip`.
"""

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

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
        subgraph = next(_Table.root(metadata).tables(3), None)
        image = next(subgraph.tables(2), None) if subgraph else None
        for unit in image.tables(4) if image else ():
            if unit.byte(0) == _NORMALIZATION:
                return _normalization(unit.table(1))
    # What the flatbuffers package raises where it is led beyond the end.
    except (struct.error, IndexError, TypeError) as error:
        raise ValueError(f"it leads astray ({' '.join(str(error).split())})") from error
    return None


def _normalization(options: "_Table") -> tuple[tuple[float, ...], tuple[float, ...]]:
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


class _Table:
    """Reads a FlatBuffer table by the numbers of its fields."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content = content
        self._table = flatbuffers.table.Table(content, place)

    @classmethod
    def root(cls, content: bytes) -> Self:
        """Returns the outermost table."""
        return cls(content, int.from_bytes(content[:4], "little"))

    def byte(self, number: int) -> int:
        """Returns a field of one byte; 0 if it is left out."""
        place = self._place(number)
        return self._content[place] if place else 0

    def table(self, number: int) -> "_Table":
        """Returns a field that is a table."""
        place = self._place(number)
        if not place:
            raise IndexError(f"no field {number}")
        return self._followed(place)

    def tables(self, number: int) -> Iterator["_Table"]:
        """Yields the tables of a list; none if it is left out."""
        for place in self._places(number):
            yield self._followed(place)

    def numbers(self, number: int) -> tuple[float, ...]:
        """Returns a list of float32."""
        places = self._places(number)
        return tuple(struct.unpack_from("<f", self._content, place)[0] for place in places)

    def _place(self, number: int) -> int:
        """Returns where a field stands; 0 if it is left out."""
        offset: int = self._table.Offset(4 + 2 * number)
        return self._table.Pos + offset if offset else 0

    def _places(self, number: int) -> range:
        """Returns where the items of a list stand, of four bytes each."""
        place = self._place(number)
        if not place:
            return range(0)
        start = self._table.Indirect(place)
        (count,) = struct.unpack_from("<I", self._content, start)
        end = start + 4 + 4 * count
        if end > len(self._content):
            raise IndexError(f"a list of {count}")
        return range(start + 4, end, 4)

    def _followed(self, place: int) -> "_Table":
        return _Table(self._content, self._table.Indirect(place))


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
