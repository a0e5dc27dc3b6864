"""The text files in which TensorFlow Hub's image_retraining example kept feature vectors.

A photo's file is `<class folder>/<photo>_<module>.txt`: the numbers, separated by commas. In the
module's name "://", ":", "/" and the backslash stand as "~". The files say nothing of the content
of photo or module, so that they are believed only for a module of just that name, for photos that
have not changed since, and after some of them were computed anew and found right.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from image_retraining.foundation.records import Catalog, Floats

# An error may quote the whole file.
_REASON_LENGTH = 200


@dataclass(slots=True)
class TextBottlenecks:
    """What was found in a folder of text files.

    Attributes:
        vectors: position in the catalog → float32 [D].
        without: photos that have no file.
        outdated: photos changed after their file was written.
        unusable: path of a file → what is wrong with it.
    """

    vectors: dict[int, Floats] = field(default_factory=dict)
    without: int = 0
    outdated: int = 0
    unusable: dict[str, str] = field(default_factory=dict)


def read_text_bottlenecks(
    folder: str, catalog: Catalog, handle: str, *, feature_size: int
) -> TextBottlenecks:
    """Returns the vectors that a folder has for the photos of a catalog.

    Args:
        folder: the example's --bottleneck_dir.
        catalog: the photos.
        handle: the module, named as it was then.
        feature_size: D.
    """
    found = TextBottlenecks()
    # Normal, for a common path keeps the `..` that normal paths have not.
    paths = [os.path.normpath(record.path) for record in catalog.records]
    labelled = zip(catalog.records, paths, strict=True)
    firsts = {record.label_id: path for record, path in reversed(list(labelled))}
    image_dir = os.path.commonpath(firsts.values())
    for position, record in enumerate(catalog.records):
        label = catalog.labels[record.label_id]
        # The example knew no folders below those of the classes.
        if os.path.dirname(paths[position]) != os.path.join(image_dir, label):
            found.without += 1
            continue
        name = f"{os.path.basename(record.path)}_{module_part(handle)}.txt"
        path = os.path.join(folder, label, name)
        try:
            written = os.stat(path).st_mtime_ns
            with open(path, encoding="ascii") as file:
                text = file.read()
            changed = os.stat(record.path).st_mtime_ns
        except FileNotFoundError:
            found.without += 1
            continue
        except (OSError, UnicodeDecodeError) as error:
            found.unusable[path] = str(error)[:_REASON_LENGTH]
            continue
        if changed > written:
            found.outdated += 1
            continue
        try:
            found.vectors[position] = _vector(text, feature_size)
        except ValueError as error:
            found.unusable[path] = str(error)[:_REASON_LENGTH]
    return found


def module_part(handle: str) -> str:
    """Returns how a module's handle stands in the names of text files."""
    for part in ("://", "/", ":", "\\"):
        handle = handle.replace(part, "~")
    return handle


def modules_named(folder: str, labels: tuple[str, ...]) -> Mapping[str, int]:
    """Returns the modules that the files' names tell of, and how many files each has.

    Of a name without '~', which no URL has, it cannot be told where the module begins.
    """
    counts: dict[str, int] = {}
    for label in labels:
        place = os.path.join(folder, label)
        can_list = os.path.isdir(place) and os.access(place, os.R_OK)
        for name in os.listdir(place) if can_list else ():
            start = name.find("_http")
            if start >= 0 and name.endswith(".txt"):
                module = name[start + 1 : -len(".txt")]
                counts[module] = counts.get(module, 0) + 1
    return counts


def _vector(text: str, size: int) -> Floats:
    """Returns float32 [size].

    Raises:
        ValueError: the text is not so many finite numbers.
    """
    with np.errstate(over="ignore"):
        vector = np.array(text.split(","), np.float64).astype(np.float32)
    if vector.shape != (size,):
        raise ValueError(f"it holds {len(vector)} numbers where the module gives {size}")
    if not np.isfinite(vector).all():
        raise ValueError("it holds numbers that are not finite")
    return vector
