"""Image folder → Catalog: which photos there are, of which class, in which split."""

import os

from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, ImageRecord
from image_retraining.foundation.text import shown
from image_retraining.photos.skipped_folders import log_skipped
from image_retraining.photos.splits import split_of
from image_retraining.photos.walk import Walk, is_folder


def scan(image_dir: str, *, validation_percentage: int, testing_percentage: int) -> Catalog:
    """Returns the photos below `image_dir`, each with its label and split.

    Each first-level folder is a class and its name, verbatim, the label; photos at any depth below
    belong to it. What is a photo is told by the ending of the name, or by the content where it has
    none; the format by the content, later. Links are followed, but never twice to one folder, nor
    into another class.

    Args:
        image_dir: folder of class folders.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.

    Raises:
        PhotoError: the folder is missing or cannot be read, or holds fewer than two classes.
    """
    walk = Walk("--image_dir")
    photos = _photos_by_label(image_dir, walk)
    log_skipped(walk.skipped(), home=image_dir)
    walk.left_out.log(image_dir)
    if len(photos) < 2:
        found = f"{len(photos)} ({', '.join(map(shown, photos))})" if photos else "none"
        raise PhotoError(
            "--image_dir must hold at least 2 sub-folders of photos, one a class. "
            f"Got {found} in {image_dir}."
        )
    records = tuple(
        ImageRecord(
            path,
            label_id,
            split_of(
                os.path.basename(path),
                validation_percentage=validation_percentage,
                testing_percentage=testing_percentage,
            ),
        )
        for label_id, paths in enumerate(photos.values())
        for path in paths
    )
    return Catalog(labels=tuple(photos), records=records, image_dir=image_dir)


def photos_below(folder: str, *, setting: str = "--image") -> list[str]:
    """Returns the photos at any depth below a folder, sorted by path.

    Args:
        folder: the folder.
        setting: the flag that named it, for messages.

    Raises:
        PhotoError: a folder cannot be read.
    """
    walk = Walk(setting)
    barred = [walk.identity(folder)]
    photos = sorted(walk.photos(folder, label="", barred=barred, homes=[folder]))
    walk.left_out.warn(folder)
    return photos


def _photos_by_label(image_dir: str, walk: Walk) -> dict[str, list[str]]:
    """Returns label → sorted photo paths, in the order of the labels; classes without are out."""
    folders = _class_folders(image_dir, walk)
    # A link inside one class that leads to another, or back up, must not mix the classes.
    known = {walk.identity(folder) for folder in (image_dir, *folders.values())}
    photos = {}
    for label, folder in folders.items():
        logging.info("Looking for images in '%s'", shown(label))
        found = sorted(walk.photos(folder, label=label, barred=known, homes=folders.values()))
        if found:
            photos[label] = found
        else:
            logging.warning("No files found in '%s'; the class is left out.", shown(label))
    return photos


def _class_folders(image_dir: str, walk: Walk) -> dict[str, str]:
    """Returns label → folder, in the order of the labels."""
    if not image_dir:
        raise PhotoError(
            "--image_dir must name a folder with one sub-folder of photos a class, as in "
            "--image_dir=my_photos. Got nothing."
        )
    if not os.path.isdir(image_dir):
        was = "is a file" if os.path.exists(image_dir) else "does not exist"
        raise PhotoError(f"--image_dir must be a folder. Got {image_dir}, which {was}.")
    entries = walk.entries(image_dir)
    folders = {entry.name: entry.path for entry in entries if is_folder(entry)}
    walk.loose(entry for entry in entries if not is_folder(entry))
    folders = dict(sorted(folders.items()))
    met = {walk.identity(image_dir): image_dir}
    for label, folder in folders.items():
        if "\n" in label or "\r" in label:
            raise PhotoError(
                "A class folder's name must be one line, for it becomes a line of the labels "
                f"file. Got {label!r}. Rename the folder."
            )
        twin = met.setdefault(walk.identity(folder), folder)
        if twin != folder:
            raise PhotoError(
                "Each class must have a folder of its own. "
                f"Got {folder}, which leads to {twin}. Remove the link."
            )
    return folders
