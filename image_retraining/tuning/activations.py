"""Activations at a cut: computed once a photo and a view, kept in the cache, read by batch."""

from dataclasses import dataclass, replace

import numpy as np

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.vectors import BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError, SettingError
from image_retraining.foundation.records import Floats, Ints
from image_retraining.tuning.cuts import Cut
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.photo_views import PhotoViews
from image_retraining.tuning.tail import trunk

# Raise it with whatever changes what lies below a cut: kept activations are then unused.
_TRUNK_VERSION = 1


def trunk_backbone(backbone: Backbone, flow: Flow, cut: Cut) -> Backbone:
    """Returns what lies below a cut, as a module whose feature vectors are the activations there.

    So they are computed, cached, waited for and pruned as feature vectors are.
    """
    graph, output_name = trunk(flow, cut)
    return backbone.with_graph(graph, output_name, key=f"{_TRUNK_VERSION}\n{cut.tensor}".encode())


@dataclass(frozen=True, slots=True)
class Activations(PhotoViews):
    """The activations of the photos of one split.

    Attributes:
        cache: where they are.
        recipe: of those of photos themselves.
        shape: of what is at the cut of one photo.
    """

    cache: BottleneckCache
    recipe: Recipe
    shape: tuple[int, ...]

    def rows(self, rows: Ints, view_numbers: Ints) -> Floats:
        """Returns float32 [n, *shape]: of some photos, a view each.

        Args:
            rows: int [n], of the photos.
            view_numbers: int [n], 0 for the photo itself.

        Raises:
            CacheError: some are no longer in the cache.
            SettingError: they are beyond what they are kept in.
        """
        size = int(np.prod(self.shape))
        found = np.empty([len(rows), size], np.float32)
        by_view: dict[str, list[int]] = {}
        digests = [self.photos.digests[row] for row in rows.tolist()]
        for place, (digest, number) in enumerate(zip(digests, view_numbers.tolist(), strict=True)):
            by_view.setdefault(self.views.name(number, digest), []).append(place)
        for view, places in by_view.items():
            recipe = replace(self.recipe, view=view)
            kept = self.cache.vectors(recipe, {digests[place] for place in places}, size)
            for place in places:
                if digests[place] not in kept:
                    raise CacheError(
                        "The activations of all photos must stay in the cache while they are "
                        f"trained on. Got {self.cache.file} without those of "
                        f"{self.photos.paths[int(rows[place])]}. Run again with --resume."
                    )
                found[place] = kept[digests[place]]
        if not np.isfinite(found).all():
            raise SettingError(
                "--fine_tune needs a cut whose activations fit into float16, in which they are "
                "kept. Got some beyond it. Cut elsewhere (--fine_tune=list shows where), or train "
                "all, from the photos on, with --fine_tune=all."
            )
        return found.reshape([len(rows), *self.shape])
