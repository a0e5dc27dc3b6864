"""Cached vectors of another day: a handful is computed anew before the others are believed.

What decodes photos is no part of a recipe. A TensorFlow that decodes them otherwise would mix its
vectors with those of the one before, and what is trained on these would not be what is exported.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import TypeAlias

import numpy as np
from absl import logging

from image_retraining.cache.found import FoundFiles
from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.features.engines.engine import FLOAT32
from image_retraining.foundation.errors import CacheError, PhotoError
from image_retraining.foundation.records import FeatureSet, Floats
from image_retraining.foundation.text import shown

# Path → digest and feature vector float32 [D].
Vectors: TypeAlias = Mapping[str, tuple[bytes, Floats]]

_HANDFUL = 8
# Far above what float32 arithmetic in another order makes of a vector, below what other pixels do.
_TOLERANCE = 1e-3
# Likewise where 8 bits of a number are left; measured: 0.01.
_TOLERANCE_OF_BFLOAT16 = 0.05


def distance(found: Floats, wanted: Floats) -> float:
    """Returns how far two vectors float32 [D] lie apart, as the share of the second's length."""
    return float(np.linalg.norm(found - wanted) / (np.linalg.norm(wanted) or 1.0))


class Trust:
    """Whether the vectors of a recipe that a cache has are what would be computed today."""

    def __init__(
        self,
        cache: BottleneckCache,
        recipe: Recipe,
        *,
        computed_by: str,
        anew: Callable[[Sequence[str]], Vectors],
    ) -> None:
        """Tells what is to be believed.

        Args:
            cache: where the vectors are.
            recipe: of photos themselves, and not of views.
            computed_by: what computes and decodes today, by name and version.
            anew: computes vectors of some photo files.
        """
        self._cache, self._recipe, self._anew = cache, recipe, anew
        self._computed_by = computed_by
        self._found = FoundFiles(cache.folder)
        of_recipe = "\n".join(map(str, ("trust", *astuple(recipe), computed_by)))
        self._key = hashlib.sha256(of_recipe.encode()).digest()
        # What is in memory is of this process.
        self._is_known = cache.folder is None

    def is_deserved(self, cached: Vectors) -> bool:
        """Returns whether cached vectors may be used; if not, all of the recipe are set aside.

        They are looked at once for each version of what computes them.

        Args:
            cached: some of the recipe, as they are in the cache; of photos, not of views.
        """
        if self._is_known or not cached:
            return True
        if self._found.get(self._key) is not None:
            self._is_known = True
            return True
        places = np.linspace(0, len(cached) - 1, num=min(_HANDFUL, len(cached)), dtype=int)
        paths = [list(cached)[place] for place in places]
        today = self._anew(paths)
        off = {
            path: distance(cached[path][1], vector)
            for path, (digest, vector) in today.items()
            if digest == cached[path][0]
        }
        if not off:
            # None can be read at present; so nothing is known.
            return True
        worst = max(off, key=lambda path: off[path])
        is_deserved = off[worst] <= _tolerance(self._recipe)
        if not is_deserved:
            count = self._cache.set_aside(self._recipe)
            logging.warning(
                "WARNING: %s computes other vectors than those in %s: of %d photos that were "
                "computed anew, %s is off by %.2g of its length. The %d vectors of this module "
                "there are set aside, and computed anew.",
                self._computed_by,
                self._cache.file,
                len(off),
                shown(worst),
                off[worst],
                count,
            )
        self._note()
        return is_deserved

    def note_first(self) -> None:
        """Notes that there is nothing in the cache yet that would have to be looked at."""
        if not self._is_known and not self._cache.has(self._recipe):
            self._note()

    def _note(self) -> None:
        self._found.put(self._key, b"")
        self._is_known = True


def _tolerance(recipe: Recipe) -> float:
    """Returns how far a vector may be off that is the same, as `distance`."""
    return _TOLERANCE if recipe.precision == FLOAT32 else _TOLERANCE_OF_BFLOAT16


def of_today(photos: FeatureSet, today: Vectors, kept_in: str) -> FeatureSet:
    """Returns photos with the feature vectors that were computed anew; itself if nothing differs.

    Photos that have changed since they were read, or cannot be read any more, are left out. What
    differs is told.

    Args:
        photos: with the vectors that the training has seen of them.
        today: what is computed of them today.
        kept_in: what to call the cache that those vectors may come from.

    Raises:
        CacheError: half of the vectors are of something else.
        PhotoError: no photo is left.
    """
    rows = [
        row
        for row, (path, digest) in enumerate(zip(photos.paths, photos.digests, strict=True))
        if path in today and today[path][0] == digest
    ]
    if not rows:
        raise PhotoError(
            f"The photos to prove an export on must stay as they are to the end. Of {len(photos)} "
            f"none has, as {photos.paths[0]}. Run again."
        )
    left = photos.rows(rows)
    vectors = np.stack([today[path][1] for path in left.paths])
    off = np.array([distance(*pair) for pair in zip(left.features, vectors, strict=True)])
    if float(np.median(off)) > _TOLERANCE_OF_BFLOAT16:
        raise CacheError(
            f"The feature vectors in {kept_in} must be those that the module gives. Half of those "
            f"that were computed anew are off by {float(np.median(off)):.2g} of their length. Name "
            "another --bottleneck_dir, and run again."
        )
    _tell_of_changed(photos, left)
    if float(off.max()) > _TOLERANCE:
        _tell_of_other_vectors(left, off, kept_in)
    elif len(left) == len(photos):
        return photos
    return replace(left, features=vectors)


def _tell_of_changed(photos: FeatureSet, left: FeatureSet) -> None:
    """Tells of the photos that are not left."""
    changed = set(photos.paths) - set(left.paths)
    if changed:
        logging.warning(
            "WARNING: %d of the %d photos to prove an export on have changed since they were read, "
            "as %s",
            len(changed),
            len(photos),
            shown(min(changed)),
        )


def _tell_of_other_vectors(photos: FeatureSet, off: Floats, kept_in: str) -> None:
    """Tells of photos whose vectors are off by so much, float [N], as `distance`."""
    worst = int(off.argmax())
    logging.warning(
        "WARNING: %d of the %d photos to prove an export on have another feature vector in %s than "
        "the module gives, as %s, which is off by %.2g of its length. What was imported, or "
        "computed in bfloat16, is near enough to learn from; else name another --bottleneck_dir, "
        "and run again. It is proven on vectors computed anew.",
        int(np.count_nonzero(off > _TOLERANCE)),
        len(photos),
        shown(kept_in),
        shown(photos.paths[worst]),
        float(off[worst]),
    )
