"""What a folder of photos holds that is not learnt from, and what is said of it."""

import collections
import os
import shlex
from dataclasses import dataclass, field

from absl import logging

from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.text import shown
from image_retraining.photos.enumeration import by_label, some_of
from image_retraining.photos.file_kinds import FileKind, ending_of

Counts = collections.Counter[str]


@dataclass
class LeftOut:
    """What a walk met beside photos, and photos that one would not expect.

    Attributes:
        others: how many files of each kind are no photos.
        loose_photos: how many photos lie in no class.
        without_ending: label → photos that only their content tells.
        dangling: label → links that lead nowhere.
        convertible: kind → label → photos of a kind that is not read.
        own_pictures: how many pictures of evidence label_image.py has written there.
    """

    others: Counts = field(default_factory=collections.Counter)
    loose_photos: int = 0
    without_ending: Counts = field(default_factory=collections.Counter)
    dangling: Counts = field(default_factory=collections.Counter)
    convertible: dict[FileKind, Counts] = field(default_factory=dict)
    own_pictures: int = 0
    _example: str = ""
    _endings: set[str] = field(default_factory=set)

    def add_dangling(self, path: str, label: str) -> None:
        """Counts a link that leads nowhere."""
        self.dangling[label] += 1
        self._example = self._example or f"{shown(path)} -> {shown(os.readlink(path))}"

    def add_convertible(self, path: str, kind: FileKind, label: str) -> None:
        """Counts a photo of a kind that is not read."""
        self.convertible.setdefault(kind, collections.Counter())[label] += 1
        self._endings.add(ending_of(path))

    def add_other(self, path: str) -> None:
        """Counts a file that is no photo."""
        self.others[ending_of(path) or os.path.basename(path)] += 1

    def log(self, folder: str) -> None:
        """Logs a line a reason.

        Args:
            folder: where the walk began.
        """
        if self.loose_photos:
            logging.warning(
                "Left out, for they lie directly in --image_dir and so in no class: %d photo(s)",
                self.loose_photos,
            )
        if self.without_ending:
            logging.info(
                "Photos by their content, for their names have no ending: %s",
                by_label(self.without_ending),
            )
        self.warn(folder)
        if self.others:
            kinds = [f"{count} {shown(kind)}" for kind, count in self.others.most_common()]
            notice("Left out, for they are no photos: %s", some_of(kinds))

    def warn(self, folder: str) -> None:
        """Logs what photos there would be, but for something that people can do."""
        if self.own_pictures:
            logging.info(
                "Left out, for label_image.py --heatmap_dir wrote them: %d picture(s) of evidence",
                self.own_pictures,
            )
        for kind, counts in self.convertible.items():
            logging.warning(
                "WARNING: left out, for %s must be converted first: %s. As with: %s",
                kind.name,
                by_label(counts),
                kind.advice(shown(shlex.quote(folder)), self._endings),
            )
        if self.dangling:
            logging.warning(
                "WARNING: left out, for they are links that lead nowhere: %s, as %s. Bring back "
                "what they lead to (dvc pull, git annex get, a disk that is not there), or remove "
                "them.",
                by_label(self.dangling),
                self._example,
            )
