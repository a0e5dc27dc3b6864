"""The stage that says which photos to label next."""

from collections.abc import Mapping

from absl import logging

from image_retraining.evaluation import label_next
from image_retraining.foundation.records import Catalog, Extraction, FeatureSet, Head, Split
from image_retraining.photos.unlabelled import unlabelled
from image_retraining.reports.findings import LabelNext


def find(folder: str, image_dir: str) -> Catalog | None:
    """Returns the photos without labels in --label_next; None where it is empty.

    Raises:
        PhotoError: there are none, or labelled ones among them.
    """
    return unlabelled(folder, image_dir) if folder else None


def rank(
    photos: Extraction | None,
    head: Head,
    sets: Mapping[Split, FeatureSet],
    labels: tuple[str, ...],
) -> LabelNext | None:
    """Returns unlabelled photos, the one that labelling teaches most of first; None without any.

    Those that are labelled already, by their bytes, are left out.
    """
    if photos is None:
        return None
    found = photos.sets[Split.TESTING]
    known = {digest for part in sets.values() for digest in part.digests}
    rows = [row for row, digest in enumerate(found.digests) if digest not in known]
    logging.info("Choosing among %d photos to label", len(rows))
    candidates: tuple[label_next.Candidate, ...] = ()
    if rows:
        labelled = [part.features for part in sets.values()]
        candidates = label_next.rank(found.rows(rows), head, labelled)
    return LabelNext(
        candidates=candidates,
        labels=labels,
        labelled_count=len(found) - len(rows),
        unreadable=photos.unreadable,
    )
