"""What the layers of a network look at, as --summarize_activations asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from image_retraining.foundation.records import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPictures:
    """A convolution, some of its filters, what they make of photos, and what excites them.

    Attributes:
        name: of its op.
        number: its place among all convolutions, from 1.
        channels: int32 [K], the filters.
        maps: float32 [N, h, w, K], what they make of photos, of no unit.
        excited: int32 [M], those among them of which there are pictures.
        exciting: float32 [M, H, W, 3], 0 to 1, what excites each of these much.
    """

    name: str
    number: int
    channels: Ints
    maps: Floats
    excited: Ints
    exciting: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePhotos:
    """A feature that speaks for a label, and the photos that have most of it.

    Attributes:
        feature: its place in the vector, from 0.
        label_id: the label.
        rows: photos among the points, that with most of it first.
    """

    feature: int
    label_id: int
    rows: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """What the layers look at.

    Attributes:
        label_ids: N, the labels of the photos that the layers were given.
        paths: N, these photos.
        filters: float32 [h, w, channels, filters], weights of the first convolution; None without.
        layers: some, from the first to the last; none where there is a problem.
        layer_count: how many convolutions there are.
        features: one a class.
        problem: why there are no layers, '' where there are.
    """

    label_ids: Sequence[int]
    paths: Sequence[str]
    filters: Floats | None
    layers: tuple[LayerPictures, ...]
    layer_count: int
    features: tuple[FeaturePhotos, ...]
    problem: str = ""
