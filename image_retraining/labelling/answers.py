"""What label_image.py says of each photo: as text, as a line of JSON, or as a row of CSV."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

from image_retraining.foundation.sheets import SheetWriter
from image_retraining.foundation.text import shown

UNKNOWN = "unknown"
FORMATS = ("text", "json", "csv")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one photo.

    Attributes:
        path: the file.
        ranked: the best labels with their scores, best first; () when it could not be read.
        unknown: the best label's probability, when the photo is unknown; else None.
        error: why it could not be read, else ''.
        damage: what is wrong with it where it could be read all the same, else ''.
    """

    path: str
    ranked: tuple[tuple[str, float], ...]
    unknown: float | None = None
    error: str = ""
    damage: str = ""


def formatter(kind: str, *, top_k: int, with_paths: bool) -> tuple[str, Callable[[Answer], str]]:
    """Returns what stands before all answers, and the function that gives an answer's text.

    Args:
        kind: one of FORMATS. "json" is an object a line, and "csv" a row, for each photo, errors
            among them; "text" leaves errors to stderr.
        top_k: how many labels an answer has at most.
        with_paths: whether text names the photos.
    """
    if kind == "json":
        return "", _json
    if kind == "csv":
        columns = [f"{name}_{place}" for place in range(1, top_k + 1) for name in _PAIR]
        header = _row(["path", "error", "unknown", *columns])
        return header, lambda answer: _csv(answer, top_k)
    return "", lambda answer: _text(answer, with_path=with_paths)


_PAIR = ("label", "score")


def _text(answer: Answer, *, with_path: bool) -> str:
    if answer.error:
        return ""
    # For people and their terminals; JSON and CSV have names as they are.
    lines = [shown(answer.path)] if with_path else []
    ranked = answer.ranked
    if answer.unknown is not None:
        # A class of that name has a line already, and it says the same: it comes first.
        named = [pair for pair in ranked if pair[0] == UNKNOWN] or [(UNKNOWN, answer.unknown)]
        ranked = (*named, *(pair for pair in ranked if pair[0] != UNKNOWN))
    lines += [f"{shown(label)} {score:.6f}" for label, score in ranked]
    return "".join(f"{line}\n" for line in lines)


def _json(answer: Answer) -> str:
    record = {
        "path": answer.path,
        "error": answer.error or None,
        "unknown": None if answer.unknown is None else round(answer.unknown, 6),
        "labels": [{"label": label, "score": round(score, 6)} for label, score in answer.ranked],
    }
    return json.dumps(record) + "\n"


def _csv(answer: Answer, top_k: int) -> str:
    cells = [text for label, score in answer.ranked for text in (label, f"{score:.6f}")]
    cells += [""] * (2 * top_k - len(cells))
    unknown = "" if answer.unknown is None else f"{answer.unknown:.6f}"
    return _row([answer.path, answer.error, unknown, *cells])


def _row(cells: list[str]) -> str:
    line = io.StringIO()
    SheetWriter(line, line_end="\n").write(cells)
    return line.getvalue()
