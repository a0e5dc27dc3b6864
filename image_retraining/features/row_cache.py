"""Rows of a feature table ↔ the cache: which recipe a row's vector goes by."""

from collections.abc import Mapping
from dataclasses import replace

from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.features.table import FeatureTable
from image_retraining.foundation.records import Floats
from image_retraining.photos.distortions import Views


class RowCache:
    """The cached vectors of the rows of one table. Contents are SHA-256 of photos."""

    def __init__(
        self,
        cache: BottleneckCache,
        table: FeatureTable,
        recipe: Recipe,
        *,
        views: Views,
        stand_in: Recipe | None,
    ) -> None:
        """Tells what decides the vectors.

        Args:
            cache: where they are kept.
            table: the rows; filled with what the cache has.
            recipe: of the photos themselves.
            views: what else rows may be of a photo.
            stand_in: another recipe whose vectors will do for the photos themselves.
        """
        self._cache = cache
        self._table = table
        self._recipes = [[replace(recipe, view=views.name(n))] for n in range(views.count + 1)]
        if stand_in:
            self._recipes[0].append(stand_in)

    def take(self, contents: Mapping[int, bytes]) -> list[int]:
        """Fills in the rows whose vectors are cached; returns them.

        Args:
            contents: row → content.
        """
        found: list[int] = []
        for view, of_view in self._by_view(contents).items():
            waiting = dict(of_view)
            for recipe in self._recipes[view]:
                size = self._table.feature_size
                vectors = self._cache.vectors(recipe, set(waiting.values()), size)
                taken = self._table.take_cached(waiting, vectors)
                found += taken
                waiting = {row: waiting[row] for row in waiting.keys() - set(taken)}
        return found

    def claim(self, contents: Mapping[int, bytes]) -> set[int]:
        """Returns those rows that this run is to compute, and tells other runs so."""
        mine: set[int] = set()
        for view, of_view in self._by_view(contents).items():
            claimed = self._cache.claim(self._recipes[view][0], set(of_view.values()))
            mine |= {row for row, content in of_view.items() if content in claimed}
        return mine

    def disclaim(self, contents: Mapping[int, bytes]) -> None:
        """Takes back claims on rows that cannot be computed."""
        for view, of_view in self._by_view(contents).items():
            self._cache.disclaim(self._recipes[view][0], set(of_view.values()))

    def store(self, contents: Mapping[int, bytes], vectors: Mapping[int, Floats]) -> None:
        """Keeps the vectors of rows.

        Args:
            contents: row → content.
            vectors: row → float32 [D].
        """
        for view, of_view in self._by_view(contents).items():
            stored = {content: vectors[row] for row, content in of_view.items()}
            self._cache.store(self._recipes[view][0], stored)

    def _by_view(self, contents: Mapping[int, bytes]) -> dict[int, dict[int, bytes]]:
        """Returns view → row → content."""
        views: dict[int, dict[int, bytes]] = {}
        for row, content in contents.items():
            views.setdefault(int(self._table.views[row]), {})[row] = content
        return views
