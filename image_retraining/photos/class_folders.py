"""Image folder → its class folders, each with its label.

A label is the folder's name, verbatim. Only names that are spelt with the same letters in different
Unicode forms become one label, in the composed form (NFC): nobody could tell two such labels apart,
in the folder, in the labels file or in an answer, and they come about by copying between macOS,
which takes letters apart, and other systems.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from absl import logging

from image_retraining.foundation import remote
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Split
from image_retraining.photos.enumeration import some_of
from image_retraining.photos.walk import Walk, is_folder


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder of photos of one class.

    Attributes:
        label: the class.
        path: the folder.
        split: what its photos are for; None where that is still to be decided.
    """

    label: str
    path: str
    split: Split | None


def class_folders(roots: Mapping[str, Split | None], walk: Walk) -> list[ClassFolder]:
    """Returns the class folders that lie in some folders, in the order of their labels.

    Args:
        roots: folder that holds class folders → what the photos below are for.
        walk: reads the folders, and counts what lies beside the classes.

    Raises:
        PhotoError: a folder cannot be read, is no name for a class, or leads to another one.
    """
    found = []
    for root, split in roots.items():
        entries = sorted(walk.entries(root), key=lambda entry: entry.name)
        walk.loose(entry for entry in entries if not is_folder(entry))
        found += [
            ClassFolder(entry.name, entry.path, split) for entry in entries if is_folder(entry)
        ]
    met = {walk.identity(root): root for root in roots}
    for folder in found:
        if "\n" in folder.label or "\r" in folder.label:
            raise PhotoError(
                "A class folder's name must be one line, for it becomes a line of the labels "
                f"file. Got {folder.label!r}. Rename the folder."
            )
        twin = met.setdefault(walk.identity(folder.path), folder.path)
        if twin != folder.path:
            raise PhotoError(
                "Each class must have a folder of its own. "
                f"Got {folder.path}, which leads to {twin}. Remove the link."
            )
    return sorted(_joined(found), key=lambda folder: (folder.label, folder.path))


def composed(label: str) -> str:
    """Returns a label in the Unicode form NFC, in which each letter is spelt in one way."""
    return unicodedata.normalize("NFC", label)


def warn_of_look_alikes(labels: Sequence[str]) -> None:
    """Warns of labels that differ only in what is easily overlooked."""
    alike = defaultdict(list)
    for label in labels:
        alike[_essence(label)].append(label)
    pairs = [" and ".join(map(ascii, names)) for names in alike.values() if len(names) > 1]
    if pairs:
        logging.warning(
            "WARNING: names of classes differ only in letter case, spaces or what is invisible: "
            "%s. If they are one class, put the photos into one folder.",
            some_of(pairs),
        )


def _joined(folders: list[ClassFolder]) -> list[ClassFolder]:
    """Returns the folders with one label for names that differ in their Unicode form only."""
    spellings = defaultdict(set)
    for folder in folders:
        spellings[composed(folder.label)].add(folder.label)
    several = {label: names for label, names in spellings.items() if len(names) > 1}
    if several:
        logging.warning(
            "WARNING: folders of one class, for their names are the same letters in different "
            "Unicode forms: %s.",
            some_of([" and ".join(map(ascii, sorted(names))) for names in several.values()]),
        )
    return [
        ClassFolder(composed(folder.label), folder.path, folder.split)
        if composed(folder.label) in several
        else folder
        for folder in folders
    ]


def _essence(label: str) -> str:
    visible = "".join(one for one in label if unicodedata.category(one) != "Cf")
    return " ".join(composed(visible).casefold().split())


def check_is_folder(image_dir: str, *, setting: str = "--image_dir") -> None:
    """Raises PhotoError unless --image_dir, or what another setting names, is a folder."""
    if not image_dir:
        raise PhotoError(
            "--image_dir must name a folder with one sub-folder of photos a class, as in "
            "--image_dir=my_photos. Got nothing."
        )
    is_folder = remote.is_folder if remote.is_remote(image_dir) else os.path.isdir
    if not is_folder(image_dir):
        was = "is a file" if os.path.exists(image_dir) else "does not exist"
        raise PhotoError(f"{setting} must be a folder. Got {image_dir}, which {was}.")
