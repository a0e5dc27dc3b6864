"""A folder of photos without labels → a Catalog of them, all in one split."""

import os

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, ImageRecord, Split
from image_retraining.photos.class_folders import check_is_folder
from image_retraining.photos.folder import photos_below

_SETTING = "--label_next"


def unlabelled(folder: str, image_dir: str) -> Catalog:
    """Returns the photos at any depth below a folder, in the order of their paths.

    Their label_id says nothing, and their split is that of photos that are judged.

    Args:
        folder: of photos without labels.
        image_dir: the folder of those that have some.

    Raises:
        PhotoError: it is no folder, holds no photo or cannot be read; or one of the two folders
            lies in the other, so that labelled photos would be among them.
    """
    check_is_folder(folder, setting=_SETTING)
    real, labelled = os.path.realpath(folder), os.path.realpath(image_dir)
    if os.path.commonpath([real, labelled]) in (real, labelled):
        raise PhotoError(
            f"{_SETTING} must be a folder apart from --image_dir, whose photos are labelled. Got "
            f"{folder}, and {image_dir}. Move the unlabelled photos elsewhere."
        )
    paths = photos_below(folder, setting=_SETTING)
    if not paths:
        raise PhotoError(
            f"{_SETTING} must be a folder of photos, at any depth. Got none in {folder}."
        )
    records = tuple(ImageRecord(path, 0, Split.TESTING) for path in paths)
    return Catalog(("",), records, folder)
