"""Photos to train a whole network on: decoded anew each time, for they are too many to keep."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Floats, Ints
from image_retraining.photos import reading
from image_retraining.photos.batches import photo_batches
from image_retraining.photos.feed import Photo
from image_retraining.tuning.photo_views import PhotoViews


@dataclass(frozen=True, slots=True)
class Pictures(PhotoViews):
    """The photos of one split.

    Attributes:
        image_size: (H, W).
    """

    image_size: tuple[int, int]

    def rows(self, rows: Ints, view_numbers: Ints) -> Floats:
        """Returns float32 [n, H, W, 3] of some photos, a view each.

        Args:
            rows: int [n], of the photos.
            view_numbers: int [n], 0 for the photo itself.

        Raises:
            PhotoError: one can no longer be read.
        """
        found = np.empty([len(rows), *self.image_size, 3], np.float32)
        read = self._read(rows.tolist(), view_numbers.tolist())
        for batch in photo_batches(read, self.image_size, batch_size=len(rows)):
            if batch.undecodable:
                raise self._lost(rows[batch.undecodable[0]])
            found[list(batch.keys)] = batch.images.numpy()
        return found

    def _read(self, rows: list[int], view_numbers: list[int]) -> Iterator[Photo[int]]:
        for place, (row, number) in enumerate(zip(rows, view_numbers, strict=True)):
            try:
                photo = reading.read_prepared(self.photos.paths[row], upright=self.views.upright)
            except OSError as error:
                raise self._lost(row) from error
            variation = self.views.variation(number, self.photos.digests[row])
            yield Photo(photo.contents, {place: variation}, photo.orientation)

    def _lost(self, row: int) -> PhotoError:
        return PhotoError(
            "All photos must stay where they are while a network is trained on them. "
            f"{self.photos.paths[row]} can no longer be read. Run again."
        )
