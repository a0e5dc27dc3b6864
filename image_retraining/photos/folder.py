"""Image folder → Catalog: which photos there are, of which class, in which split."""

import collections
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, ImageRecord, Split
from image_retraining.foundation.text import aligned, shown
from image_retraining.photos.splits import split_of

PHOTO_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"},
)
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_FEW_PHOTOS = 20
_NAMED_AT_MOST = 5


@dataclass
class _Findings:
    """What a walk met beside photos."""

    others: collections.Counter[str] = field(default_factory=collections.Counter)
    loose_photos: int = 0


def scan(image_dir: str, *, validation_percentage: int, testing_percentage: int) -> Catalog:
    """Returns the photos below `image_dir`, each with its label and split.

    Each first-level folder is a class and its name, verbatim, the label; photos at any depth below
    belong to it. What is a photo is told by the ending of the name; the format by the content,
    later. Links are followed, but never twice to one folder, nor into another class.

    Args:
        image_dir: folder of class folders.
        validation_percentage: share of photos for validation, 0 to 100.
        testing_percentage: share of photos for testing, 0 to 100.

    Raises:
        PhotoError: the folder is missing or cannot be read, or holds fewer than two classes.
    """
    findings = _Findings()
    photos = _photos_by_label(image_dir, findings)
    _log_left_out(findings)
    if len(photos) < 2:
        found = f"{len(photos)} ({', '.join(photos)})" if photos else "none"
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


def counts(catalog: Catalog) -> list[dict[Split, int]]:
    """Returns for each label_id how many photos each split has."""
    table = [dict.fromkeys(Split, 0) for _ in catalog.labels]
    for record in catalog.records:
        table[record.label_id][record.split] += 1
    return table


def log_counts(catalog: Catalog) -> None:
    """Logs the counts of each class, and warns of classes that are short of photos."""
    table = counts(catalog)
    rows = [["Label", *(split.value for split in Split)]]
    for label, row in zip(catalog.labels, table, strict=True):
        rows.append([shown(label), *(str(row[split]) for split in Split)])
    for line in aligned(rows):
        logging.info("%s", line)
    few = [
        f"{label} ({sum(row.values())})"
        for label, row in zip(catalog.labels, table, strict=True)
        if sum(row.values()) < _FEW_PHOTOS
    ]
    if few:
        # The first sentence is one that people's scripts look for.
        logging.warning(
            "WARNING: Folder has less than 20 images, which may cause issues. %s", _some_of(few)
        )
    for split in Split:
        without = [
            label for label, row in zip(catalog.labels, table, strict=True) if not row[split]
        ]
        if without:
            logging.warning(
                "WARNING: no %s photo in %d of %d classes: %s",
                split.value,
                len(without),
                len(catalog.labels),
                _some_of(without),
            )


def photos_below(folder: str) -> list[str]:
    """Returns the photos at any depth below a folder, sorted by path.

    Raises:
        PhotoError: a folder cannot be read.
    """
    return sorted(_walk(folder, _Findings(), seen={_identity(folder)}, home=folder))


def _photos_by_label(image_dir: str, findings: _Findings) -> dict[str, list[str]]:
    """Returns label → sorted photo paths, in the order of the labels; classes without are out."""
    folders = _class_folders(image_dir, findings)
    # A link inside one class that leads to another, or back up, must not mix the classes.
    known = {_identity(folder) for folder in (image_dir, *folders.values())}
    photos = {}
    for label, folder in folders.items():
        logging.info("Looking for images in '%s'", label)
        found = sorted(_walk(folder, findings, seen=set(known), home=image_dir))
        if found:
            photos[label] = found
        else:
            logging.warning("No files found in '%s'; the class is left out.", label)
    return photos


def _class_folders(image_dir: str, findings: _Findings) -> dict[str, str]:
    """Returns label → folder, in the order of the labels."""
    if not image_dir:
        raise PhotoError(
            "--image_dir must name a folder with one sub-folder of photos a class, as in "
            "--image_dir=my_photos. Got nothing."
        )
    if not os.path.isdir(image_dir):
        was = "is a file" if os.path.exists(image_dir) else "does not exist"
        raise PhotoError(f"--image_dir must be a folder. Got {image_dir}, which {was}.")
    folders = {}
    for entry in _entries(image_dir):
        if _is_folder(entry):
            folders[entry.name] = entry.path
        else:
            findings.loose_photos += _is_photo(entry.name)
            findings.others.update([] if _is_photo(entry.name) else [_kind(entry.name)])
    folders = dict(sorted(folders.items()))
    met = {_identity(image_dir): image_dir}
    for label, folder in folders.items():
        if "\n" in label or "\r" in label:
            raise PhotoError(
                "A class folder's name must be one line, for it becomes a line of the labels "
                f"file. Got {label!r}. Rename the folder."
            )
        twin = met.setdefault(_identity(folder), folder)
        if twin != folder:
            raise PhotoError(
                "Each class must have a folder of its own. "
                f"Got {folder}, which leads to {twin}. Remove the link."
            )
    return folders


def _walk(
    folder: str, findings: _Findings, *, seen: set[tuple[int, int]], home: str
) -> Iterator[str]:
    """Yields the photos at any depth below a folder, entering each folder once.

    Links to folders below `home` are not followed: these are met anyway, where they belong.
    """
    for entry in _entries(folder):
        if _is_folder(entry):
            if _identity(entry.path) not in seen and not _leads_back(entry, home):
                seen.add(_identity(entry.path))
                yield from _walk(entry.path, findings, seen=seen, home=home)
        elif _is_photo(entry.name) and _is_file(entry):
            yield entry.path
        else:
            findings.others[_kind(entry.name)] += 1


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Returns what lies in a folder, without hidden files and those of the system."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_FILES
            ]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: str, error: OSError) -> PhotoError:
    return PhotoError(
        f"Every folder below --image_dir must be readable. Got {folder}: {error.strerror}. "
        "Allow reading it, or move it elsewhere."
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a folder or leads to one; a link to itself leads nowhere."""
    # Unlike os.path, DirEntry raises OSError at links that loop; without links it costs no stat.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _leads_back(entry: os.DirEntry[str], home: str) -> bool:
    if not entry.is_symlink():
        return False
    target, home = os.path.realpath(entry.path), os.path.realpath(home)
    return os.path.commonpath([target, home]) == home


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _identity(folder: str) -> tuple[int, int]:
    """Returns what tells a folder from all others, however it is reached."""
    try:
        status = os.stat(folder)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return status.st_dev, status.st_ino


def _is_photo(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PHOTO_ENDINGS


def _kind(name: str) -> str:
    return os.path.splitext(name)[1].lower() or name


def _log_left_out(findings: _Findings) -> None:
    if findings.loose_photos:
        logging.warning(
            "Left out, for they lie directly in --image_dir and so in no class: %d photo(s)",
            findings.loose_photos,
        )
    if findings.others:
        kinds = [f"{count} {kind}" for kind, count in findings.others.most_common()]
        logging.info("Left out, for they are no photos: %s", _some_of(kinds))


def _some_of(names: Sequence[str]) -> str:
    """Returns the first few names, and how many more there are."""
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
