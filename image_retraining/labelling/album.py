"""Answers → their page: remembered while photos are labelled, drawn and written when all are."""

import math
from collections.abc import Sequence

import numpy as np
from absl import logging
from PIL import Image

from image_retraining.evidence.heatmap import blended
from image_retraining.exports.predictions import top
from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Prediction
from image_retraining.labelling.answers import Answer
from image_retraining.labelling.config import LabelConfig
from image_retraining.labelling.labeller import Labeller
from image_retraining.photos.thumbnails import as_jpeg, thumbnail
from image_retraining.reports.html.gallery import Gallery, Pictured, Shot, content, shown_first
from image_retraining.reports.html.page import render
from image_retraining.reports.metrics_tables import percent

# Characters of the page, whose 10 MB have room for lists besides; of the words around a picture,
# and of those that a label takes: its row, its choice and its heading.
_MOST_CHARACTERS, _WORDS, _WORDS_OF_LABEL = 9_000_000, 500, 800
# Pictures beyond which they would be too small.
_MOST_PICTURES = 2000
# Pixels of a picture's longer side, and characters a pixel that photos take, roughly.
_SMALLEST, _LARGEST, _DENSITY = 96, 240, 0.36
# More photos than these take long enough to show how far they are.
_A_FEW = 64


class Album:
    """Keeps the answers, a few hundred bytes each, and makes a page of them."""

    def __init__(self, labeller: Labeller, config: LabelConfig) -> None:
        """Takes what labels the photos, and the settings."""
        self._labeller, self._config = labeller, config
        self._shots: list[Shot] = []
        self._unreadable: list[tuple[str, str]] = []

    def add(self, prediction: Prediction, answer: Answer) -> None:
        """Keeps what is said of a photo."""
        scores = prediction.scores
        if scores is None:
            self._unreadable.append((answer.path, answer.error))
            return
        best, *others = top(scores, 2)
        next_best = [(self._labeller.labels[other], float(scores[other])) for other in others]
        shot = Shot(
            path=answer.path,
            label_id=best,
            sureness=float(scores[best]) if answer.unknown is None else answer.unknown,
            next_best=next_best[0] if next_best else None,
            is_unknown=answer.unknown is not None,
            damage=answer.damage,
        )
        self._shots.append(shot)

    def write(self) -> None:
        """Draws the pictures, and writes the page, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        gallery = Gallery(
            shots=self._shots,
            pictures=self._pictures(),
            unreadable=self._unreadable,
            labels=self._labeller.labels,
            graph=self._config.graph,
            about=self._about(),
            knows_unknown=bool(self._config.unknown_threshold),
            has_heatmaps=self._config.draws_evidence,
        )
        text = render("gallery", content(gallery))
        with replacing(self._config.report) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        logging.info("Report: %s", self._config.report)

    def _pictures(self) -> dict[int, Pictured]:
        """Returns place → pictures, of as many photos as the page has room for."""
        each = 2 if self._config.draws_evidence else 1
        order = shown_first(self._shots)[: _MOST_PICTURES // each]
        groups = {self._shots[place].group for place in order}
        room = _MOST_CHARACTERS - _WORDS_OF_LABEL * len(groups)
        side = _side(room, len(order) * each)
        found: dict[int, Pictured] = {}
        title = "Drawing the report"
        with Progress(title, len(order), shown=len(order) > _A_FEW) as progress:
            for place in order:
                raise_if_interrupted()
                pictured = self._pictured(self._shots[place], side)
                # Of three bytes four characters are made.
                room -= 4 * (len(pictured.photo) + len(pictured.heatmap)) // 3
                room -= _WORDS + 4 * len(self._shots[place].path)
                if room < 0:
                    break
                found[place] = pictured
                progress.advance()
        return found

    def _pictured(self, shot: Shot, side: int) -> Pictured:
        """Returns the pictures of a photo; none of one that has vanished."""
        labeller = self._labeller
        try:
            if self._config.draws_evidence:
                whole, evidence = labeller.photo_evidence(shot.path, shot.label_id)
                small = Image.fromarray(whole)
                small.thumbnail((side, side), reducing_gap=2.0)
                return Pictured(as_jpeg(small), as_jpeg(blended(np.asarray(small), evidence)))
            return Pictured(as_jpeg(thumbnail(shot.path, side, upright=labeller.upright)))
        except (OSError, PhotoError):
            return Pictured()

    def _about(self) -> Sequence[str]:
        """Returns what is known of the classifier, a sentence each."""
        facts = self._labeller.facts
        count = len(self._labeller.labels)
        if facts is None:
            return [f"It knows {count} labels."]
        about = [f"It knows {count} labels, learnt on {facts.module}."]
        if facts.test_accuracy is not None:
            about.append(
                f"Of {facts.test_count} test photos of its training it answered "
                f"{percent(facts.test_accuracy)} rightly."
            )
        return about


def _side(room: int, pictures: int) -> int:
    """Returns the pixels of the longer side of pictures that have so many characters of room."""
    each = max(0.0, room / max(1, pictures) - _WORDS)
    return min(_LARGEST, max(_SMALLEST, int(math.sqrt(each / _DENSITY))))
