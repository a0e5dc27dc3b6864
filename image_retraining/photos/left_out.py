"""What a folder of photos holds that is not learnt from, and what is said of it."""

import collections
from dataclasses import dataclass, field

from absl import logging

from image_retraining.photos.counts import some_of


@dataclass
class LeftOut:
    """What a walk met beside photos.

    Attributes:
        others: how many files of each kind are no photos.
        loose_photos: how many photos lie in no class.
    """

    others: collections.Counter[str] = field(default_factory=collections.Counter)
    loose_photos: int = 0

    def log(self) -> None:
        """Logs a line a reason."""
        if self.loose_photos:
            logging.warning(
                "Left out, for they lie directly in --image_dir and so in no class: %d photo(s)",
                self.loose_photos,
            )
        if self.others:
            kinds = [f"{count} {kind}" for kind, count in self.others.most_common()]
            logging.info("Left out, for they are no photos: %s", some_of(kinds))
