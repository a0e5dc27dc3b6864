"""A shard: some hundred photos, and all that decides their vectors; what a worker is given.

It goes by the hash of what is in it, and so does the file that its vectors come back in. Who
computes it again, or at the same time, makes the same file.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from image_retraining.cache.known_files import FileState
from image_retraining.cache.vectors import Recipe
from image_retraining.photos.distortions import Views

_DIGITS = 40


@dataclass(frozen=True, slots=True)
class PhotoReference:
    """A photo of a shard.

    Attributes:
        path: its file, or its address, as the workers reach it too.
        state: of the file, before any worker reads it.
        has_views: whether its distorted views are wanted as well.
    """

    path: str
    state: FileState
    has_views: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides the vectors of all shards of a run.

    Attributes:
        recipe: of the photos themselves.
        views: of those that have views.
        engine: by name.
        precision: that it computes in, as --bottleneck_precision.
        computed_by: the versions of what computes and decodes; others are refused.
    """

    recipe: Recipe
    views: Views
    engine: str
    precision: str
    computed_by: str

    @property
    def text(self) -> str:
        """All of it, as JSON."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some photos to compute vectors of.

    Attributes:
        folder: where its file is to lie, and where that of the module lies; or the address of it.
        module: name of the module's file.
        terms: what decides the vectors.
        photos: at least one, where it is computed.
    """

    folder: str
    module: str
    terms: Terms
    photos: tuple[PhotoReference, ...]

    @property
    def file_name(self) -> str:
        """What its file is called, by what is in it."""
        digest = hashlib.sha256(self.terms.text.encode())
        for photo in self.photos:
            told = (photo.path, photo.has_views, *photo.state.kept)
            digest.update(repr(told).encode(errors="surrogateescape"))
        return f"{digest.hexdigest()[:_DIGITS]}.parquet"

    @property
    def place(self) -> str:
        """Where its file lies once it is computed."""
        return os.path.join(self.folder, self.file_name)

    def halves(self) -> "tuple[Shard, Shard]":
        """Returns two shards that have its photos; it has two at least."""
        middle = len(self.photos) // 2
        first, second = self.photos[:middle], self.photos[middle:]
        return replace(self, photos=first), replace(self, photos=second)


def shards(
    empty: Shard, photos: Iterator[PhotoReference], size: Callable[[int], int]
) -> Iterator[Shard]:
    """Yields shards of photos, which are drawn when they are needed.

    Args:
        empty: as the shards, but for the photos.
        photos: millions, maybe.
        size: how many photos the next shard has, by how many those before it had together.
    """
    count = 0
    while some := tuple(itertools.islice(photos, size(count))):
        count += len(some)
        yield replace(empty, photos=some)
