"""Image folder → whether its folders are splits, as train, valid and test, and not classes.

A class may be called as a split is: pictures of a train. So folders are splits only if nothing else
holds photos, and the same class folders lie in each. What is neither is refused, not guessed.
"""

import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Split
from image_retraining.foundation.text import shown
from image_retraining.photos.class_folders import composed
from image_retraining.photos.enumeration import some_of
from image_retraining.photos.folder_look import FolderLook, look_at

SPLIT_OF = {
    "train": Split.TRAINING,
    "training": Split.TRAINING,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TESTING,
    "testing": Split.TESTING,
}


def split_folders(image_dir: str, names: Iterable[str], *, split: str) -> dict[str, Split]:
    """Returns the names of the folders that are splits; {} where folders are classes.

    Args:
        image_dir: the folder.
        names: of the folders in it.
        split: as --split.

    Raises:
        PhotoError: it cannot be told, or there are none and `split` is "folders".
    """
    order = list(Split)
    called = sorted(
        (name for name in names if name.casefold() in SPLIT_OF),
        key=lambda name: (order.index(SPLIT_OF[name.casefold()]), name),
    )
    if not called and split != "folders":
        return {}
    looks = look_at(image_dir).folders
    inside = {name: look_at(os.path.join(image_dir, name)) for name in called}
    named = {name: look for name, look in inside.items() if not look.is_empty}
    others = [name for name, holds in looks.items() if holds and name not in named]
    if split == "folders" and not named:
        raise PhotoError(
            "--split=folders needs folders train and test in --image_dir (or training, val, "
            "valid, validation, testing), with the same class folders in each. Got "
            f"{some_of([*map(shown, others)]) or 'no folder of photos'} in {image_dir}."
        )
    if split != "folders" and _are_classes(named, others):
        return {}
    problem = _problem(named, others if split != "folders" else [])
    if not problem:
        if others:
            logging.warning(
                "WARNING: left out, for they are no splits: %s", some_of([*map(_quoted, others)])
            )
        return {name: SPLIT_OF[name.casefold()] for name in named}
    if split in ("names", "stratified"):
        return {}
    raise _cannot_be_told(image_dir, problem, named, others)


def log_split_folders(
    folders: Mapping[str, Split],
    *,
    split: str,
    percentages: Mapping[str, int],
    named: Collection[str],
) -> None:
    """Logs what is done with folders that are splits.

    Args:
        folders: name of a folder → what it is.
        split: as --split.
        percentages: validation_percentage and testing_percentage.
        named: the settings that somebody gave.
    """
    together = ", ".join(map(_quoted, folders))
    if split in ("names", "stratified"):
        logging.info(
            "The photos in %s are put together and split anew, for --split=%s; the folders in them "
            "are the classes.",
            together,
            split,
        )
        return
    parts = [f"{split.value} is {_quoted(name)}" for name, split in folders.items()]
    notice("Folders are splits: %s; the folders in them are the classes.", ", ".join(parts))
    unused = [f"--{name}" for name in percentages if name in named]
    if Split.VALIDATION not in folders.values():
        logging.info(
            "No folder holds validation photos: --validation_percentage=%d of the training photos "
            "are taken for it, by their names.",
            percentages["validation_percentage"],
        )
        unused = [name for name in unused if name != "--validation_percentage"]
    if Split.TESTING not in folders.values():
        logging.warning("WARNING: no folder holds test photos, so there is no final test.")
    if unused:
        logging.warning(
            "WARNING: %s is not used, for the folders decide. --split=names splits all photos "
            "anew.",
            " and ".join(unused),
        )


def _are_classes(named: Mapping[str, FolderLook], others: Collection[str]) -> bool:
    """Whether a single folder is called as a split by chance, or lies around all others."""
    if len(named) != 1:
        return not named
    ((name, look),) = named.items()
    return not others or (name.casefold() == "train" and look.has_photos)


def _problem(named: Mapping[str, FolderLook], others: Collection[str]) -> str:
    """Returns why folders are not simply splits, or ''."""
    together = some_of([*map(_quoted, named)])
    if others:
        return (
            f"{together} {'are called as splits are' if len(named) > 1 else 'is called as a split'}"
            f", and others hold photos too ({some_of([*map(_quoted, others)])})"
        )
    often = Counter(SPLIT_OF[name.casefold()] for name in named).most_common(1)[0]
    if often[1] > 1:
        twins = [name for name in named if SPLIT_OF[name.casefold()] is often[0]]
        return f"{' and '.join(map(_quoted, twins))} are one and the same split"
    if Split.TRAINING not in {SPLIT_OF[name.casefold()] for name in named}:
        return f"{together} {'are' if len(named) > 1 else 'is'} there, and no 'train'"
    for name, look in named.items():
        if not look.classes:
            return f"photos lie in {_quoted(name)} without class folders"
    classes = {composed(label) for look in named.values() for label in look.classes}
    for name, look in named.items():
        missing = sorted(classes - {composed(label) for label in look.folders})
        if missing:
            return f"{_quoted(name)} has no folder {some_of([*map(_quoted, missing)])}"
    return ""


def _cannot_be_told(
    image_dir: str, problem: str, named: Mapping[str, FolderLook], others: Collection[str]
) -> PhotoError:
    """Returns the error that says what to do."""
    train = next((name for name in named if SPLIT_OF[name.casefold()] is Split.TRAINING), "")
    ways = ["put that right (a class folder may be empty)"]
    if others and not _problem(named, []):
        ways = ["give --split=folders to leave out what is no split"]
    if train and named[train].classes:
        inside = shlex.quote(os.path.join(image_dir, train))
        ways.append(f"give --image_dir={inside} to use that folder alone")
    ways.append("give --split=names if each of these folders is a class")
    return PhotoError(
        "--image_dir must hold class folders, or splits (as train, valid, test) with the same "
        f"class folders in each. Got {image_dir}, where {problem}. Do one of: "
        f"{'; '.join(ways)}."
    )


def _quoted(name: str) -> str:
    return f"'{shown(name)}'"
