"""The classes of which photos can be read: the others are left out, before anything is learnt."""

from dataclasses import replace

import numpy as np
from absl import logging

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.records import Catalog, Extraction, FeatureSet
from image_retraining.foundation.text import shown

_FEWEST_CLASSES = 2


def of_readable(catalog: Catalog, extraction: Extraction) -> tuple[Catalog, Extraction]:
    """Returns both without the photos, and the classes, that cannot be read; label_ids are new.

    Args:
        catalog: all photos.
        extraction: of them.

    Raises:
        PhotoError: fewer than two classes are left.
    """
    unreadable = {photo.path for photo in extraction.unreadable}
    records = tuple(record for record in catalog.records if record.path not in unreadable)
    kept = sorted({record.label_id for record in records})
    left_out = [label for n, label in enumerate(catalog.labels) if n not in kept]
    if len(kept) < _FEWEST_CLASSES:
        raise _too_few(catalog, extraction, tuple(catalog.labels[n] for n in kept))
    for label in left_out:
        logging.warning("WARNING: no photo of '%s' can be read; the class is left out.", label)
    new_ids = np.full([len(catalog.labels)], -1, np.int32)
    new_ids[kept] = np.arange(len(kept))

    def renumbered(photos: FeatureSet) -> FeatureSet:
        return replace(photos, label_ids=new_ids[photos.label_ids])

    return (
        replace(
            catalog,
            labels=tuple(catalog.labels[n] for n in kept),
            records=tuple(replace(r, label_id=int(new_ids[r.label_id])) for r in records),
        ),
        replace(
            extraction, sets={split: renumbered(sets) for split, sets in extraction.sets.items()}
        ),
    )


def _too_few(catalog: Catalog, extraction: Extraction, left: tuple[str, ...]) -> PhotoError:
    first = extraction.unreadable[0]
    of = f"only photos of '{shown(left[0])}' can" if left else "none can"
    return PhotoError(
        f"--image_dir must hold at least {_FEWEST_CLASSES} classes of photos that can be read. Of "
        f"{len(catalog.records)} photos in {len(catalog.labels)} classes {of}; the first that "
        f"cannot is {first.path}: {first.reason}."
    )
