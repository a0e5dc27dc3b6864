"""Vectors of the same photos that another module has left in the cache: they cost nothing."""

from collections.abc import Collection, Mapping

from image_retraining.cache.database import Database
from image_retraining.cache.vectors import FINE_TUNED, IN_HALVES, BottleneckCache, Recipe
from image_retraining.foundation.records import Floats

# More tell hardly more, and all are in memory at a time.
MOST_MODULES = 2


def of_other_modules(
    cache: BottleneckCache, fingerprint: str, digests: Collection[bytes]
) -> list[Mapping[bytes, Floats]]:
    """Returns digest → float32 [d] of each other module that has all of the photos.

    Those that were used last come first, and of each module one recipe; there are at most two.

    Args:
        cache: where the vectors are.
        fingerprint: of the module that is not meant.
        digests: of the photos, as the cache knows them.
    """
    wanted = set(digests)
    if not wanted:
        return []
    some = next(iter(wanted))
    found: dict[str, Mapping[bytes, Floats]] = {}
    for recipe, size in cache.file.read(lambda database: _recipes(database, fingerprint, some)):
        if len(found) == MOST_MODULES:
            break
        if recipe.fingerprint not in found:
            vectors = cache.vectors(recipe, wanted, size)
            if len(vectors) == len(wanted):
                found[recipe.fingerprint] = vectors
    return list(found.values())


def _recipes(database: Database, fingerprint: str, photo: bytes) -> list[tuple[Recipe, int]]:
    """Returns the recipes of other modules that have a photo, with the length of its vector.

    Activations at a cut, and what fine-tuned networks give, are of no module.
    """
    rows = database.execute(
        "SELECT fingerprint, height, width, pixels, precision, LENGTH(vector) / 4 "
        "FROM recipes JOIN bottlenecks ON recipe_id = id "
        "WHERE view = '' AND fingerprint != ? AND photo = ? "
        "AND precision NOT LIKE '%' || ? AND precision NOT LIKE '%' || ? "
        "ORDER BY used_day DESC, id DESC",
        [fingerprint, photo, IN_HALVES, FINE_TUNED],
    )
    return [(Recipe(*row), size) for *row, size in rows.fetchall()]
