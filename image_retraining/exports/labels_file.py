"""Labels ↔ a labels file: one label a line in UTF-8, in the order of the graph's outputs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.lists import listed


def write_labels(path: str | Path, labels: Sequence[str]) -> None:
    """Writes labels, one a line in UTF-8; the line's number, from 0, is the label_id."""
    Path(path).write_bytes(labels_text(labels))


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Returns the labels of a labels file.

    Raises:
        GraphError: the file is missing or cannot be read, or it is no text.
    """
    try:
        return labels_in(Path(path).read_bytes())
    except OSError as error:
        raise GraphError(
            f"--labels must be a labels file. Got {path}: {error.strerror}."
        ) from error


def labels_text(labels: Iterable[str]) -> bytes:
    """Returns the content of a labels file."""
    return "".join(f"{label}\n" for label in labels).encode(errors="surrogateescape")


def labels_in(text: bytes) -> tuple[str, ...]:
    """Returns the labels in the content of a labels file.

    Raises:
        GraphError: it has the mark of UTF-16 and is something else.
    """
    try:
        return tuple(listed(text))
    except UnicodeError as error:
        raise GraphError(f"Labels must be text in UTF-8 or UTF-16. Got other: {error}.") from error
