"""Image folder → Catalog: which photos there are, of which class, in which split."""

import os
import shlex
from collections.abc import Collection, Mapping, Sequence

from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, ImageRecord, Split
from image_retraining.foundation.text import shown
from image_retraining.photos.class_folders import (
    ClassFolder,
    check_is_folder,
    class_folders,
    warn_of_look_alikes,
)
from image_retraining.photos.folder_look import look_at
from image_retraining.photos.skipped_folders import log_skipped
from image_retraining.photos.split_folders import log_split_folders, split_folders
from image_retraining.photos.splits import split_of
from image_retraining.photos.strata import stratified
from image_retraining.photos.walk import Walk, is_folder

# How many folders may lie around the classes for the question whether these are meant.
_WRAPPED_AT_MOST = 5
# Label → its photos, each with its split where that is decided by the folder.
_Found = dict[str, dict[str, Split | None]]


def scan(
    image_dir: str,
    *,
    validation_percentage: int,
    testing_percentage: int,
    split: str = "auto",
    named: Collection[str] = (),
) -> Catalog:
    """Returns the photos below `image_dir`, each with its label and split.

    Each first-level folder is a class and its name, verbatim, the label; photos at any depth below
    belong to it. Where the first-level folders are splits, as train and test, those of the second
    level are the classes. What is a photo is told by the ending of the name, or by the content
    where it has none; the format by the content, later. Links are followed, but never twice to one
    folder, nor into another class.

    Args:
        image_dir: folder of class folders.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.
        split: what decides the splits, as --split.
        named: the settings that somebody gave, to say which of them are not used.

    Raises:
        PhotoError: the folder is missing or cannot be read, or holds fewer than two classes, or
            it cannot be told whether its folders are classes or splits.
    """
    check_is_folder(image_dir)
    walk = Walk("--image_dir")
    percentages = {
        "validation_percentage": validation_percentage,
        "testing_percentage": testing_percentage,
    }
    folders = [entry.name for entry in walk.entries(image_dir) if is_folder(entry)]
    splits = split_folders(image_dir, folders, split=split)
    if splits:
        log_split_folders(splits, split=split, percentages=percentages, named=named)
    split_by = {"auto": "folders" if splits else "names"}.get(split, split)
    decided: dict[str, Split | None] = dict.fromkeys(splits)
    if split_by == "folders":
        decided |= splits
        if Split.VALIDATION not in splits.values():
            decided |= {name: None for name, one in splits.items() if one is Split.TRAINING}
            percentages["testing_percentage"] = 0
    roots = {os.path.join(image_dir, name): one for name, one in decided.items()}
    found = _photos_by_label(image_dir, roots, walk)
    log_skipped(walk.skipped(), home=image_dir)
    walk.left_out.log(image_dir)
    if len(found) < 2:
        raise _too_few_classes(image_dir, list(found))
    warn_of_look_alikes(list(found))
    records = []
    for label_id, (label, photos) in enumerate(found.items()):
        of_photo = _split_of_photo(label, photos, image_dir, split_by, percentages)
        records += [ImageRecord(path, label_id, of_photo[path]) for path in photos]
    return Catalog(tuple(found), tuple(records), image_dir, split_by)


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


def _photos_by_label(image_dir: str, roots: Mapping[str, Split | None], walk: Walk) -> _Found:
    """Returns label → sorted photos, in the order of the labels; classes without are out."""
    folders = class_folders(roots or {image_dir: None}, walk)
    # A link inside one class that leads to another, or back up, must not mix the classes.
    known = {walk.identity(path) for path in (image_dir, *roots, *(one.path for one in folders))}
    homes = {os.path.realpath(one.path) for one in folders}
    by_label: dict[str, list[ClassFolder]] = {}
    for folder in folders:
        by_label.setdefault(folder.label, []).append(folder)
    found = {}
    for label, alike in by_label.items():
        logging.info("Looking for images in '%s'", shown(label))
        photos = {
            path: folder.split
            for folder in alike
            for path in walk.photos(folder.path, label=label, barred=known, homes=homes)
        }
        if photos:
            found[label] = dict(sorted(photos.items()))
        else:
            logging.warning("No files found in '%s'; the class is left out.", shown(label))
    return found


def _split_of_photo(
    label: str,
    photos: Mapping[str, Split | None],
    image_dir: str,
    split_by: str,
    percentages: Mapping[str, int],
) -> Mapping[str, Split]:
    """Returns the split of each photo of a class."""
    if split_by == "stratified":
        inside = {os.path.relpath(path, image_dir): path for path in photos}
        splits = stratified(label, list(inside), **percentages)
        return {inside[path]: split for path, split in splits.items()}
    return {
        path: split_of(os.path.basename(path), **percentages) if split is None else split
        for path, split in photos.items()
    }


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
