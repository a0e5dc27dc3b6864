"""Labelled photos → what their page says: label by label, the least sure first."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_retraining.foundation.text import shown
from image_retraining.photos.enumeration import some_of
from image_retraining.reports.html.page import address
from image_retraining.reports.metrics_tables import percent

# Answers below these are what a person may want to look at.
_LEVELS = (99, 95, 90, 80, 70, 60, 50, 30)
# Labels and photos that are named in a sentence, or in a list.
_NAMED, _LISTED = 6, 500
# So many labels are seen at a glance.
_FEW_LABELS = 30
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Shot:
    """What is said of a photo that could be read.

    Attributes:
        path: the photo.
        label_id: the best label.
        sureness: its score, or its probability where the answer is unknown.
        next_best: the label after it and its score; None without.
        is_unknown: whether the answer is unknown.
        damage: what is wrong with the photo all the same, else ''.
    """

    path: str
    label_id: int
    sureness: float
    next_best: tuple[str, float] | None = None
    is_unknown: bool = False
    damage: str = ""

    @property
    def group(self) -> tuple[bool, int]:
        """Which photos it stands with: the unknown ones first, all in one."""
        return not self.is_unknown, 0 if self.is_unknown else self.label_id

    @property
    def order(self) -> float:
        """What comes first among these; what is no number is not sure at all."""
        return self.sureness if self.sureness == self.sureness else -1.0


@dataclass(frozen=True, slots=True)
class Pictured:
    """The pictures of a photo, JPEG; b"" where it cannot be read any more, or none is wanted."""

    photo: bytes = b""
    heatmap: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """All that the page is made of.

    Attributes:
        shots: the photos that could be read.
        pictures: place among the shots → its pictures, of those that are shown.
        unreadable: the photos that could not be, and why.
        labels: all that the classifier knows.
        graph: what labelled them.
        about: what is known of it, a sentence each.
        knows_unknown: whether answers may be unknown.
        has_heatmaps: whether there is to be one beside each photo.
    """

    shots: Sequence[Shot]
    pictures: Mapping[int, Pictured]
    unreadable: Sequence[tuple[str, str]]
    labels: Sequence[str]
    graph: str
    about: Sequence[str]
    knows_unknown: bool
    has_heatmaps: bool


def shown_first(shots: Sequence[Shot]) -> list[int]:
    """Returns the places of shots in the order in which they are worth their room.

    The least sure of each label, then the second of each, and so on.
    """
    order = sorted(range(len(shots)), key=lambda place: shots[place].order)
    ranks: dict[tuple[bool, int], int] = {}
    ranked = []
    for place in order:
        group = shots[place].group
        ranks[group] = rank = ranks.get(group, -1) + 1
        ranked.append((rank, place))
    # Stable: among equal ranks the least sure stay first.
    return [place for _, place in sorted(ranked, key=lambda one: one[0])]


def content(gallery: Gallery) -> dict[str, Any]:
    """Returns the parts of the page by name."""
    groups = _grouped(gallery.shots)
    base = _base([shot.path for shot in gallery.shots])
    most = max((len(places) for _, places in groups), default=0)
    rows = [_row(gallery, places, most) for _, places in groups]
    answered = [shot for shot in gallery.shots if not shot.is_unknown]
    missing = sorted(set(range(len(gallery.labels))) - {shot.label_id for shot in answered})
    return {
        "title": f"{len(gallery.shots)} labelled photos, {shown(gallery.graph)}",
        "count": len(gallery.shots),
        "shown_count": len(gallery.pictures),
        "summary": _summary(gallery, rows),
        "graph": shown(gallery.graph),
        "about": [shown(sentence) for sentence in gallery.about],
        "rows": sorted(rows, key=lambda row: -int(row["count"])),
        "is_short": len(rows) <= _FEW_LABELS,
        "missing": some_of([shown(gallery.labels[one]) for one in missing], _FEW_LABELS),
        "levels": _LEVELS,
        "base": shown(base),
        "groups": [
            {
                **row,
                "cards": [_card(gallery, one, base) for one in places if one in gallery.pictures],
            }
            for row, (_, places) in zip(rows, groups, strict=True)
        ],
        "unreadable": _listed(gallery.unreadable),
        "unreadable_count": len(gallery.unreadable),
        "damaged": _listed((shot.path, shot.damage) for shot in gallery.shots if shot.damage),
        "damaged_count": sum(bool(shot.damage) for shot in gallery.shots),
        "has_heatmaps": gallery.has_heatmaps,
        "knows_unknown": gallery.knows_unknown,
    }


def _grouped(shots: Sequence[Shot]) -> list[tuple[tuple[bool, int], list[int]]]:
    """Returns the groups in the order of the labels, each with its shots, the least sure first."""
    groups: dict[tuple[bool, int], list[int]] = {}
    for place in sorted(range(len(shots)), key=lambda place: shots[place].order):
        groups.setdefault(shots[place].group, []).append(place)
    return sorted(groups.items())


def _row(gallery: Gallery, places: Sequence[int], most: int) -> dict[str, Any]:
    first = gallery.shots[places[0]]
    return {
        "key": _UNKNOWN if first.is_unknown else str(first.label_id),
        "is_unknown": first.is_unknown,
        "label": _UNKNOWN if first.is_unknown else shown(gallery.labels[first.label_id]),
        "count": len(places),
        "shown_count": sum(place in gallery.pictures for place in places),
        "length": 100 * len(places) / most,
        "least": _said(first.sureness),
        "middle": _said(gallery.shots[places[len(places) // 2]].sureness),
    }


def _summary(gallery: Gallery, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns in one sentence how many photos there are of what."""
    known = sorted((row for row in rows if not row["is_unknown"]), key=lambda row: -row["count"])
    parts = [f"{row['count']} {row['label']}" for row in known[:_NAMED]]
    others = known[_NAMED:]
    if others:
        parts.append(f"{sum(row['count'] for row in others)} of {len(others)} more labels")
    if gallery.knows_unknown:
        parts.append(f"{sum(row['count'] for row in rows if row['is_unknown'])} unknown")
    if gallery.unreadable:
        parts.append(f"{len(gallery.unreadable)} that could not be read")
    return ", ".join(parts)


def _card(gallery: Gallery, place: int, base: str) -> dict[str, Any]:
    shot, pictured = gallery.shots[place], gallery.pictures[place]
    label, score = shot.next_best or ("", 0.0)
    return {
        "path": shown(shot.path.removeprefix(base)),
        "photo": address(pictured.photo),
        "heatmap": address(pictured.heatmap),
        "label": shown(gallery.labels[shot.label_id]),
        "sure": f"{shot.sureness:.6f}",
        "sureness": _said(shot.sureness),
        "next": f"{shown(label)} {_said(score)}" if shot.next_best else "",
        "damage": shown(shot.damage),
    }


def _said(score: float) -> str:
    """Returns a probability in percents; scores of other makers' graphs may be none."""
    return percent(score) if 0 <= score <= 1 else f"{score:.3f}"


def _base(paths: Sequence[str]) -> str:
    """Returns the folder that all paths begin with, with its separator; '' without."""
    # As people wrote it; `commonpath` would tidy it, and then it would begin no path.
    prefix = os.path.commonprefix(paths)  # noqa: RUF071 - cut below at a separator
    return prefix[: prefix.rfind(os.sep) + 1]


def _listed(photos: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(shown(path), shown(words)) for path, words in list(photos)[:_LISTED]]
