"""FlatBuffer tables, written and read by the numbers of their fields, as their schema has them."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import flatbuffers
import numpy as np


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the FlatBuffer something stands that was written before."""

    offset: int


class Writer:
    """Writes FlatBuffer tables by the numbers of their fields."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._builder = flatbuffers.Builder()

    def text(self, text: str) -> Place:
        """Writes a text."""
        return Place(self._builder.CreateString(text))

    def numbers(self, numbers: Sequence[float]) -> Place:
        """Writes a list of float32."""
        return Place(self._builder.CreateNumpyVector(np.array(numbers, np.float32)))

    def tables(self, *places: Place) -> Place:
        """Writes a list of tables that were written before."""
        self._builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._builder.PrependUOffsetTRelative(place.offset)
        return Place(self._builder.EndVector())

    def table(self, fields: Mapping[int, int | Place]) -> Place:
        """Writes a table; a number is a field of one byte."""
        self._builder.StartObject(max(fields, default=-1) + 1)
        for number, value in fields.items():
            if isinstance(value, Place):
                self._builder.PrependUOffsetTRelativeSlot(number, value.offset, 0)
            else:
                self._builder.PrependUint8Slot(number, value, 0)
        return Place(self._builder.EndObject())

    def finished(self, root: Place, mark: bytes) -> bytes:
        """Returns the whole, with its outermost table and the four bytes that mark its schema."""
        self._builder.Finish(root.offset, file_identifier=mark)
        return bytes(self._builder.Output())


class Table:
    """Reads a FlatBuffer table by the numbers of its fields."""

    def __init__(self, content: bytes, place: int) -> None:
        """Takes the whole FlatBuffer, and where in it the table stands."""
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

    def table(self, number: int) -> "Table":
        """Returns a field that is a table."""
        place = self._place(number)
        if not place:
            raise IndexError(f"no field {number}")
        return self._followed(place)

    def tables(self, number: int) -> Iterator["Table"]:
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

    def _followed(self, place: int) -> "Table":
        return Table(self._content, self._table.Indirect(place))
