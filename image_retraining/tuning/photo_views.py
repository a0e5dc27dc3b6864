"""Photos that are learnt from, with their views: what activations and pictures share."""

from dataclasses import dataclass

from image_retraining.foundation.records import FeatureSet, Ints
from image_retraining.photos.distortions import Views


@dataclass(frozen=True, slots=True)
class PhotoViews:
    """The photos of one split.

    Attributes:
        photos: N photos; their feature vectors are of no use here.
        views: what views each photo has.
    """

    photos: FeatureSet
    views: Views

    @property
    def label_ids(self) -> Ints:
        """int32 [N], of the photos."""
        return self.photos.label_ids

    @property
    def view_count(self) -> int:
        """K, how many views each photo has besides itself."""
        return self.views.count
