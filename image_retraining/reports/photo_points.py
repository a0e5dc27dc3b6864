"""Photos as points: their feature vectors, and small pictures of them."""

from dataclasses import dataclass

from image_retraining.foundation.records import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPoints:
    """Some photos, evenly over the classes.

    Attributes:
        labels: C class names.
        paths: N photos, by their labels.
        label_ids: int32 [N], ascending.
        splits: N names of the sets that they are in.
        vectors: float32 [N, D].
        pictures: N JPEGs of at most `side` pixels a side; b"" of what cannot be read any more.
        side: see there.
        count: of how many photos.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    label_ids: Ints
    splits: tuple[str, ...]
    vectors: Floats
    pictures: tuple[bytes, ...]
    side: int
    count: int
