"""Photos to label next → lines for the log, and a file."""

import contextlib
from collections.abc import Iterator

from image_retraining.foundation.files import replacing
from image_retraining.foundation.sheets import new_sheet
from image_retraining.foundation.text import shown
from image_retraining.reports.findings import LabelNext
from image_retraining.reports.odd_photos import left_out_lines

_LISTED = 10
_COLUMNS = ("path", "likely_label", "probability", "margin", "score")


def label_next_lines(found: LabelNext) -> list[str]:
    """Returns lines: the first photos to label, and what was left out."""
    count = len(found.candidates)
    total = count + found.labelled_count + len(found.unreadable)
    lines = left_out_lines(found.unreadable, total)
    if found.labelled_count:
        lines.append(
            f"{found.labelled_count} of {total} photos in --label_next are labelled already."
        )
    lines.append(f"Of {count} photos without a label these teach most, the first most of all:")
    lines += [
        f"  {shown(one.path)}: likely {shown(found.labels[one.likely_id])} "
        f"({one.probability:.2f}, by {one.margin:.2f} more than the next)"
        for one in found.candidates[:_LISTED]
    ]
    if count > _LISTED:
        lines.append(f"  ... and {count - _LISTED} more")
    return lines if count else lines[:-1]


@contextlib.contextmanager
def writing_label_next(path: str, found: LabelNext) -> Iterator[None]:
    """Writes a CSV file of the _COLUMNS, a row a photo, what teaches most first.

    It takes its place on leaving.
    """
    with replacing(path) as temporary:
        with new_sheet(temporary) as writer:
            writer.write(_COLUMNS)
            for one in found.candidates:
                figures = (one.probability, one.margin, one.score)
                cells = [f"{figure:.6f}" for figure in figures]
                writer.write([one.path, found.labels[one.likely_id], *cells])
        yield
