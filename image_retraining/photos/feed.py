"""Photos → what is decoded, and back: which pictures came, which did not, which are suspect."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import tensorflow as tf

from image_retraining.photos.decoding_room import DecodingRoom
from image_retraining.photos.distortions import Variation
from image_retraining.photos.header import pixel_count

Key = TypeVar("Key")
_Item = TypeVar("_Item")

# Of a photo's contents, the number of its first picture, its variations, its orientation, and
# whether it is so large that it is decoded alone: what the decoder takes.
PHOTO_KINDS = (tf.string, tf.int64, tf.string, tf.int32, tf.bool)
# A group of photos ends when it holds so many bytes, to bound the memory that large ones take.
_LARGEST_GROUP = 16_000_000


@dataclass(frozen=True, slots=True)
class Photo(Generic[Key]):
    """A photo to decode.

    Attributes:
        contents: the bytes of its file.
        pictures: which pictures to make of it, at least one, each under a key of the caller's: all
            that the caller needs to know when the picture comes back.
        orientation: how the camera held it, as EXIF has it; 1 leaves it as it lies.
    """

    contents: bytes
    pictures: Mapping[Key, Variation]
    orientation: int = 1


def limited_groups(
    items: Iterable[_Item], count: int, *, size_of: Callable[[_Item], int]
) -> Iterator[list[_Item]]:
    """Yields the items in groups of at most so many, ending a group when it holds 16 MB.

    Args:
        items: photos, of which one more than needed is never drawn.
        count: items a group, at most.
        size_of: an item's bytes.
    """
    group: list[_Item] = []
    held = 0
    for item in items:
        group.append(item)
        held += size_of(item)
        if len(group) == count or held >= _LARGEST_GROUP:
            yield group
            group, held = [], 0
    if group:
        yield group


# Values of PHOTO_KINDS of a photo, the variations (float32) as bytes.
Drawn = tuple[bytes, int, bytes, int, bool]


class Feed(Generic[Key]):
    """Draws photos for whatever decodes them.

    Attributes:
        drawn: numbers and keys of pictures that were not given back yet, in order.
        failure: what ended the drawing early. `ignore_errors` swallows the errors of the whole
            pipeline, not only those of decoding, so that tf.data would end as if all were drawn.
    """

    def __init__(self, photos: Iterable[Photo[Key]], room: DecodingRoom) -> None:
        self._photos = iter(photos)
        self._room = room
        self._count = self._suspect_below = 0
        self._ahead: list[Drawn] = []
        self._all = self._draw()
        self.drawn: collections.deque[tuple[int, Key]] = collections.deque()
        self.failure: BaseException | None = None

    def few(self, count: int) -> list[Drawn] | None:
        """Returns all photos, if they are at most so many, and of 16 MB together.

        Else, None: those that were drawn for it come first in `groups`. What drawing them raised is
        kept as the failure, so that those before it can be decoded.
        """
        held = 0
        with contextlib.suppress(Exception):
            for photo in self._all:
                self._ahead.append(photo)
                held += len(photo[0])
                if len(self._ahead) > count or held > _LARGEST_GROUP:
                    return None
        return self._ahead

    def groups(self, count: int) -> Iterator[tuple[list[Any], ...]]:
        """Yields groups, for each hand-over to tf.data costs half a millisecond.

        Each is a list of each of PHOTO_KINDS, of so many photos at most.
        """
        ahead, self._ahead = self._ahead, []
        photos = itertools.chain(ahead, self._all)
        for group in limited_groups(photos, count, size_of=lambda photo: len(photo[0])):
            yield tuple(map(list, zip(*group, strict=True)))

    def suspect_drawn(self) -> None:
        """Puts all pictures that were drawn so far, and have not come back, under suspicion."""
        self._suspect_below = self._count

    def take_back(self, numbers: list[int]) -> tuple[tuple[Key, ...], tuple[Key, ...], bool]:
        """Returns the keys of pictures, and of those before them that did not come back.

        The last value is whether there are suspects among the pictures.
        """
        keys, skipped = [], []
        for number in numbers:
            while (drawn := self.drawn.popleft())[0] != number:
                skipped.append(drawn[1])
            keys.append(drawn[1])
        return tuple(keys), tuple(skipped), numbers[0] < self._suspect_below

    def _draw(self) -> Iterator[Drawn]:
        """Yields the photos; one for which there is no memory is passed over, as undecodable."""
        try:
            for photo in self._photos:
                first = self._count
                self.drawn.extend(enumerate(photo.pictures, first))
                self._count += len(photo.pictures)
                pixels = pixel_count(photo.contents)
                if pixels <= self._room.most_alone:
                    variations = np.array([*photo.pictures.values()], np.float32).tobytes()
                    is_large = pixels > self._room.most_pixels
                    yield photo.contents, first, variations, photo.orientation, is_large
        except BaseException as error:
            self.failure = error
            raise
