"""Catalog → how many photos each class has in each split, and which classes are short of them."""

from collections.abc import Mapping

from absl import logging

from image_retraining.foundation.records import Catalog, Split
from image_retraining.foundation.text import aligned, shown
from image_retraining.photos.enumeration import some_of
from image_retraining.photos.splits import group_of

_FEW_PHOTOS = 20
_FEW_TO_JUDGE_BY = 5
# Of so many, the default 10 percent are expected to be a handful.
_FEW_NAMES = 50
_REMEDIES = {
    "names": (
        "Add photos, or raise --validation_percentage and --testing_percentage; "
        "--split=stratified gives each class its exact share."
    ),
    "stratified": "Add photos, or raise --validation_percentage and --testing_percentage.",
    "folders": "Add photos to these folders.",
}


def counts(catalog: Catalog) -> list[dict[Split, int]]:
    """Returns for each label_id how many photos each split has."""
    table = [dict.fromkeys(Split, 0) for _ in catalog.labels]
    for record in catalog.records:
        table[record.label_id][record.split] += 1
    return table


def log_counts(catalog: Catalog) -> None:
    """Logs the counts of each class, and warns of what is short of photos."""
    table = dict(zip(map(shown, catalog.labels), counts(catalog), strict=True))
    rows = [["Label", *(split.value for split in Split)]]
    for label, row in table.items():
        rows.append([label, *(str(row[split]) for split in Split)])
    for line in aligned(rows):
        logging.info("%s", line)
    few = [
        f"{label} ({sum(row.values())})"
        for label, row in table.items()
        if sum(row.values()) < _FEW_PHOTOS
    ]
    if few:
        # The first sentence is one that people's scripts look for.
        logging.warning(
            "WARNING: Folder has less than 20 images, which may cause issues. %s", some_of(few)
        )
    for split in Split:
        without = [label for label, row in table.items() if not row[split]]
        if without:
            logging.warning(
                "WARNING: no %s photo in %d of %d classes: %s",
                split.value,
                len(without),
                len(catalog.labels),
                some_of(without),
            )
    _warn_of_few_to_judge_by(table, catalog.split_by)
    if catalog.split_by == "names":
        _warn_of_few_names(catalog)


def _warn_of_few_to_judge_by(table: Mapping[str, Mapping[Split, int]], split_by: str) -> None:
    """Warns of classes whose validation or testing photos are a handful."""
    few = {
        label: [
            f"{row[split]} {split.value}"
            for split in (Split.VALIDATION, Split.TESTING)
            if 0 < row[split] < _FEW_TO_JUDGE_BY
        ]
        for label, row in table.items()
    }
    named = [f"{label} ({', '.join(counted)})" for label, counted in few.items() if counted]
    if named:
        logging.warning(
            "WARNING: fewer than %d validation or testing photos in %d of %d classes, so that "
            "figures of these are chance: %s. %s",
            _FEW_TO_JUDGE_BY,
            len(named),
            len(table),
            some_of(named),
            _REMEDIES[split_by],
        )


def _warn_of_few_names(catalog: Catalog) -> None:
    """Warns where few names decide the split of many photos."""
    names = {group_of(record.path) for record in catalog.records}
    if len(names) < min(_FEW_NAMES, len(catalog.records)):
        logging.warning(
            "WARNING: %d photos share %d name(s), and by its name a photo is for "
            "training, validation or testing; so these sets may be lopsided or empty. "
            "--split=stratified cuts each class at the exact percentages (docs/photos.md).",
            len(catalog.records),
            len(names),
        )
