"""Image folder → Catalog: which photos there are, of which class, in which split."""

import os
import shlex
from collections.abc import Sequence

from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, ImageRecord
from image_retraining.foundation.text import shown
from image_retraining.photos.class_folders import (
    ClassFolder,
    check_is_folder,
    class_folders,
    warn_of_look_alikes,
)
from image_retraining.photos.folder_look import look_at
from image_retraining.photos.skipped_folders import log_skipped
from image_retraining.photos.splits import split_of
from image_retraining.photos.walk import Walk

# How many folders may lie around the classes for the question whether these are meant.
_WRAPPED_AT_MOST = 5


def scan(
    image_dir: str,
    *,
    validation_percentage: int,
    testing_percentage: int,
) -> Catalog:
    """Returns the photos below `image_dir`, each with its label and split.

    Each first-level folder is a class and its name, verbatim, the label; photos at any depth below
    belong to it. What is a photo is told by the ending of the name, or by the content
    where it has none; the format by the content, later. Links are followed, but never twice to one
    folder, nor into another class.

    Args:
        image_dir: folder of class folders.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.

    Raises:
        PhotoError: the folder is missing or cannot be read, or holds fewer than two classes.
    """
    check_is_folder(image_dir)
    walk = Walk("--image_dir")
    found = _photos_by_label(image_dir, walk)
    log_skipped(walk.skipped(), home=image_dir)
    walk.left_out.log(image_dir)
    if len(found) < 2:
        raise _too_few_classes(image_dir, list(found))
    warn_of_look_alikes(list(found))
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
        for label_id, photos in enumerate(found.values())
        for path in photos
    )
    return Catalog(labels=tuple(found), records=records, image_dir=image_dir)


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
    photos = sorted(walk.photos(folder, label="", barred=barred, homes=[os.path.realpath(folder)]))
    walk.left_out.warn(folder)
    return photos


def _photos_by_label(image_dir: str, walk: Walk) -> dict[str, list[str]]:
    """Returns label → sorted photos, in the order of the labels; classes without are out."""
    folders = class_folders({image_dir: None}, walk)
    # A link inside one class that leads to another, or back up, must not mix the classes.
    known = {walk.identity(path) for path in (image_dir, *(one.path for one in folders))}
    homes = {os.path.realpath(one.path) for one in folders}
    by_label: dict[str, list[ClassFolder]] = {}
    for folder in folders:
        by_label.setdefault(folder.label, []).append(folder)
    found = {}
    for label, alike in by_label.items():
        logging.info("Looking for images in '%s'", shown(label))
        photos = [
            path
            for folder in alike
            for path in walk.photos(folder.path, label=label, barred=known, homes=homes)
        ]
        if photos:
            found[label] = sorted(photos)
        else:
            logging.warning("No files found in '%s'; the class is left out.", shown(label))
    return found


def _too_few_classes(image_dir: str, labels: Sequence[str]) -> PhotoError:
    found = f"{len(labels)} ({', '.join(map(shown, labels))})" if labels else "none"
    inner, look = image_dir, look_at(image_dir)
    for _ in range(_WRAPPED_AT_MOST):
        if len(look.classes) == 1 and not look.has_photos:
            inner = os.path.join(inner, look.classes[0])
            look = look_at(inner)
    hint = ""
    if inner != image_dir and len(look.classes) > 1 and not look.has_photos:
        hint = f" Is the folder inside meant? Then give --image_dir={shlex.quote(inner)}."
    return PhotoError(
        "--image_dir must hold at least 2 sub-folders of photos, one a class. "
        f"Got {found} in {image_dir}.{hint}"
    )
