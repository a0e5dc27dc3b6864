"""All photos of all splits as one set, to be dealt anew: each once, and which stay together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from image_retraining.evaluation.folds import Positions, group_counts, groups_by_keys
from image_retraining.evaluation.neighbours import Neighbours, moments, nearest, weigh_alike
from image_retraining.foundation.large_arrays import blocks, floats
from image_retraining.foundation.records import FeatureSet, Floats, Ints, Split

# As wrong_labels: copies of a photo are among its nearest.
_NEIGHBOURS = 40


@dataclass(frozen=True, slots=True)
class Pool:
    """N photos, in the order of the splits they are from.

    Of photos that are equal in every byte and have one label, the first is there.

    Attributes:
        parts: the sets of photos that they are from.
        places: int [N], their rows, counted through all parts.
        label_ids: int32 [N].
        paths: N file names.
        groups: int [N], equal for photos that must be of one fold: of one content, one object by
            their names, or one moment by their vectors.
        near: the nearest photos of each that are not of its content or object; None where nobody
            looked for them, nor for photos of one moment.
        folder: where copies of vectors may lie that take too much memory; None for nowhere else.
    """

    parts: tuple[FeatureSet, ...]
    places: Positions
    label_ids: Ints
    paths: tuple[str, ...]
    groups: Positions
    near: Neighbours | None = None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def vectors(self, rows: Positions) -> Floats:
        """Returns float32 [n, D], a copy of the feature vectors of some photos, in their order."""
        chosen = self.places[rows]
        shape = (len(rows), self.parts[0].features.shape[1])
        vectors = floats(shape, folder=self.folder, what="Copies of feature vectors")
        start = 0
        for part in self.parts:
            own = np.flatnonzero((chosen >= start) & (chosen < start + len(part)))
            for some in blocks(len(own)):
                vectors[own[some]] = part.features[chosen[own[some]] - start]
            start += len(part)
        return vectors

    def rows(self, kept: Positions) -> "Pool":
        """Returns the pool of some of its photos, without neighbours."""
        paths = tuple(self.paths[row] for row in kept.tolist())
        kept_of = self.places[kept], self.label_ids[kept], paths, self.groups[kept]
        return Pool(self.parts, *kept_of, folder=self.folder)

    def counts(self, label_count: int) -> tuple[int, ...]:
        """Returns C numbers, how many photos each class has."""
        return tuple(np.bincount(self.label_ids, minlength=label_count).tolist())

    def group_counts(self, label_count: int) -> Positions:
        """Returns int [C], of how many groups each class is."""
        return group_counts(self.label_ids, self.groups, label_count)


def pool_of(
    sets: Mapping[Split, FeatureSet],
    *,
    object_of: Callable[[str], bytes] = lambda _: b"",
    compares: bool = True,
    folder: Path | None = None,
) -> Pool:
    """Returns the photos of all splits.

    Args:
        sets: the photos, at least one in all.
        object_of: path → what is equal for photos of one object, b"" where nothing tells.
        compares: whether those of one moment are looked for, which takes the square of time.
        folder: as the attribute.
    """
    parts = tuple(sets.values())
    label_ids = np.concatenate([part.label_ids for part in parts])
    paths = [path for part in parts for path in part.paths]
    digests = [digest for part in parts for digest in part.digests or [b""] * len(part)]
    firsts: dict[tuple[bytes, int], int] = {}
    places = np.array(
        [
            place
            for place, key in enumerate(zip(digests, label_ids.tolist(), strict=True))
            if not key[0] or firsts.setdefault(key, place) == place
        ],
        np.intp,
    )
    keys = [[digests[place], object_of(paths[place])] for place in places.tolist()]
    chosen = tuple(paths[place] for place in places.tolist())
    pool = Pool(parts, places, label_ids[places], chosen, groups_by_keys(keys), folder=folder)
    if not compares:
        return pool
    vectors = pool.vectors(np.arange(len(pool)))
    weigh_alike(vectors, [vectors.shape[1]])
    near = nearest(vectors, _NEIGHBOURS, pool.groups)
    groups = moments(pool.groups, near)
    return replace(pool, groups=groups, near=near)
