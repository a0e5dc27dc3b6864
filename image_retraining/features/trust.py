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
    """Whether the vectors of a recipe that a cache has are what would be computed today.

    Attributes:
        is_settled: there is nothing to be asked any more.
    """

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
        self._notes = FoundFiles(cache.folder)
        # What is in memory is of this process.
        self.is_settled = cache.folder is None or self._is_noted()
        # Whether all that is kept will have been stored by this run.
        self._begins = False

    def is_deserved(self, cached: Vectors) -> bool:
        """Returns whether cached vectors may be used.

        They are looked at once for each version of what computes them. If they are others, all of
        the recipe are set aside.

        Args:
            cached: some of the recipe, as they are in the cache; of photos, not of views.
        """
        if self.is_settled or not cached:
            return True
        if self._is_noted():
            self.is_settled = True
            return True
        return self._look(cached)

    def before_storing(self) -> None:
        """Looks at what there is before more comes to it, which a later look would find as well."""
        if self.is_settled:
            return
        if self._cache.number(self._recipe) is None:
            self.is_settled = self._begins = True
        elif not self._is_noted():
            self._look({})
        self.is_settled = True

    def after_storing(self) -> None:
        """Notes that all there is was stored by this run, if it was."""
        if self._begins:
            self._note()
            self._begins = False

    def _look(self, cached: Vectors) -> bool:
        """Returns whether a handful is as it would be computed today, or cannot be told of."""
        known = {**self._cache.some_known(self._recipe, _HANDFUL), **cached}
        places = np.linspace(0, len(known) - 1, num=min(_HANDFUL, len(known)), dtype=int)
        paths = [list(known)[place] for place in places]
        off = {
            path: distance(known[path][1], vector)
            for path, (digest, vector) in self._anew(paths).items()
            if digest == known[path][0]
        }
        self.is_settled = bool(off)
        if not off:
            return True
        worst = max(off, key=lambda path: off[path])
        if off[worst] <= _tolerance(self._recipe):
            self._note()
            return True
        count = self._cache.set_aside(self._recipe)
        self._begins = True
        logging.warning(
            "WARNING: %s computes other vectors than those in %s: of %d photos that were computed "
            "anew, %s is off by %.2g of its length. The %d vectors of this module there, in %s, "
            "are set aside, and computed anew.",
            self._computed_by,
            self._cache.file,
            len(off),
            shown(worst),
            off[worst],
            count,
            self._recipe.precision,
        )
        return False

    def _is_noted(self) -> bool:
        number = self._cache.number(self._recipe)
        return number is not None and self._notes.get(self._key(number)) is not None

    def _note(self) -> None:
        number = self._cache.number(self._recipe)
        if number is not None:
            self._notes.put(self._key(number), b"")

    def _key(self, number: int) -> bytes:
        # What is begun anew has another number; notes of those before are of no use then.
        of_recipe = ("trust", *astuple(self._recipe), str(number), self._computed_by)
        return hashlib.sha256("\n".join(map(str, of_recipe)).encode()).digest()


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
