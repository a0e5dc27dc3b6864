"""What a run found → what its report says, in the order of the page."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.records import Split
from image_retraining.foundation.text import shown
from image_retraining.photos.counts import counts
from image_retraining.reports.advice_lines import sentences
from image_retraining.reports.findings import Ended
from image_retraining.reports.html import figures
from image_retraining.reports.html.charts import COLOURS, MAP_NAMES, map_chart
from image_retraining.reports.html.choice import MOST_COPIES, Answer, Illustrated
from image_retraining.reports.html.page import address
from image_retraining.reports.metrics_tables import percent

# Photos left out that are named.
_MOST_LEFT_OUT = 50


@dataclass(frozen=True, slots=True)
class Story:
    """All that the report is made of.

    Attributes:
        ended: what the stages found.
        rows: figures of the training's evaluations, as History has them.
        illustrated: the pictures of some photos.
        settings: the settings that the person gave, with their values.
        versions: package → version.
    """

    ended: Ended
    rows: Sequence[Mapping[str, float]]
    illustrated: Illustrated
    settings: Mapping[str, Any]
    versions: Mapping[str, str]


def content(story: Story) -> dict[str, Any]:
    """Returns the parts of the page by name; None where there is nothing to tell."""
    ended = story.ended
    advice = sentences(ended.advised.advice, ended.advised.labels)
    return {
        "title": f"{len(ended.catalog.labels)} classes, {ended.backbone.handle}",
        "answer": _answer(story, advice),
        "advice": advice,
        "photos": _photos(story),
        "training": figures.training(story.rows, ended.trained.kept),
        "tuned": figures.tuned(ended.tuned),
        "classes": figures.classes(ended.judged.metrics),
        "confusion": figures.confusion(ended.judged.metrics),
        "wrong": [_card(story, answer) for answer in story.illustrated.choice.wrong],
        "wrong_count": story.illustrated.choice.wrong_count,
        "issues": _issues(story),
        "sureness": figures.sureness(ended),
        "compared": figures.compared(ended.compared),
        "learning": figures.learning(ended.learning_curve),
        "map": _map(story),
        "again": _again(story),
        "heatmap_problem": story.illustrated.problem,
    }


def _answer(story: Story, advice: Sequence[str]) -> dict[str, Any]:
    ended = story.ended
    metrics, crossed = ended.judged.metrics, ended.cross_validated
    counts = {split: len(photos) for split, photos in ended.extraction.sets.items()}
    return {
        "tested": _of(metrics, "test photos") if metrics else None,
        "crossed": _of(crossed.found.metrics, "photos") if crossed else None,
        "photo_count": sum(counts.values()),
        "training_count": counts[Split.TRAINING],
        "module": shown(ended.backbone.handle),
        "stands_in_for": shown(ended.stands_in_for),
        "tuned_above": shown(ended.backbone.tuned_above),
        "examples": [_card(story, answer) for answer in story.illustrated.choice.examples],
        "next_step": advice[0] if advice else "Try it on photos that it has not seen.",
        "command": shlex.join(ended.example),
        "exports": [{"name": one.name, "path": one.path} for one in ended.exports],
    }


def _of(metrics: Metrics, photos: str) -> dict[str, str]:
    low, high = metrics.accuracy_interval
    right = round(metrics.accuracy * metrics.count)
    return {
        "right": f"{right} of {metrics.count} {photos} right",
        "share": percent(metrics.accuracy),
        "likely": f"{low * 100:.0f} and {high * 100:.0f}%",
    }


def _photos(story: Story) -> dict[str, Any]:
    ended = story.ended
    labels = ended.catalog.labels
    table = [list(row.values()) for row in counts(ended.catalog)]
    most = max(map(sum, table))
    rows = [
        {"label": shown(label), "counts": row, "shares": [100 * count / most for count in row]}
        for label, row in zip(labels, table, strict=True)
    ]
    left_out = ended.extraction.unreadable
    return {
        "rows": rows,
        "sets": [split.value for split in Split],
        "left_out": [(shown(one.path), one.reason) for one in left_out[:_MOST_LEFT_OUT]],
        "left_out_count": len(left_out),
        "damaged": [(shown(one.path), one.damage) for one in ended.extraction.doubtful],
        "straddling": [
            [
                {
                    **_picture(story, record.path),
                    "label": shown(labels[record.label_id]),
                    "set": record.split.value,
                }
                for record in group.records[:MOST_COPIES]
            ]
            for group in story.illustrated.choice.straddling
        ],
    }


def _issues(story: Story) -> dict[str, Any] | None:
    wrong = story.ended.wrong_labels
    if wrong is None:
        return None
    return {
        "count": len(wrong.issues),
        "looked_at": wrong.photo_count,
        "cards": [
            {
                **_picture(story, issue.path),
                "label": shown(wrong.labels[issue.label_id]),
                "likely": shown(wrong.labels[issue.likely_id]),
                "score": f"{issue.score:.4f}",
            }
            for issue in story.illustrated.choice.issues
        ],
    }


def _map(story: Story) -> dict[str, Any] | None:
    found, labels = story.illustrated.photo_map, story.ended.catalog.labels
    if found is None:
        return None
    present = sorted({spot.label_id for spot in found.spots})
    return {
        "chart": map_chart(found, labels),
        "count": len(found.spots),
        "of": found.count,
        "kind": MAP_NAMES[found.kind],
        "labels": [(place, place % COLOURS, shown(labels[place])) for place in present],
        "pictures": [address(spot.picture) for spot in found.spots],
    }


def _again(story: Story) -> dict[str, Any]:
    ended = story.ended
    taken = {stage: f"{seconds:.1f}" for stage, seconds in ended.seconds.items() if seconds >= 0.05}
    return {
        "seconds": taken,
        "total": f"{sum(ended.seconds.values()):.0f}",
        "settings": {name: shown(str(value)) for name, value in story.settings.items()},
        "versions": dict(story.versions),
        "fingerprint": ended.backbone.fingerprint,
        "credit": ended.backbone.credit,
        "summaries_dir": ended.summaries_dir,
    }


def _card(story: Story, answer: Answer) -> dict[str, Any]:
    labels = story.ended.judged.labels
    return {
        **_picture(story, answer.path),
        "true": answer.label_id,
        "answered": answer.answer_id,
        "label": shown(labels[answer.label_id]),
        "answer": shown(labels[answer.answer_id]),
        "probability": f"{answer.probability * 100:.0f}%",
    }


def _picture(story: Story, path: str) -> dict[str, Any]:
    return {
        "path": shown(path),
        "photo": address(story.illustrated.photos.get(path)),
        "heatmap": address(story.illustrated.heatmaps.get(path)),
    }
