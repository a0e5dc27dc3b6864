"""Catalog → how many photos each class has in each split, and which classes are short of them."""

from absl import logging

from image_retraining.foundation.records import Catalog, Split
from image_retraining.foundation.text import aligned, shown
from image_retraining.photos.enumeration import some_of

_FEW_PHOTOS = 20


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
        f"{shown(label)} ({sum(row.values())})"
        for label, row in zip(catalog.labels, table, strict=True)
        if sum(row.values()) < _FEW_PHOTOS
    ]
    if few:
        # The first sentence is one that people's scripts look for.
        logging.warning(
            "WARNING: Folder has less than 20 images, which may cause issues. %s", some_of(few)
        )
    for split in Split:
        without = [
            shown(label) for label, row in zip(catalog.labels, table, strict=True) if not row[split]
        ]
        if without:
            logging.warning(
                "WARNING: no %s photo in %d of %d classes: %s",
                split.value,
                len(without),
                len(catalog.labels),
                some_of(without),
            )
