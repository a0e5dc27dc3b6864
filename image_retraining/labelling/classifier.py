"""Labelling from Python: `load` opens what was trained, `predict` asks it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from image_retraining.foundation.errors import PhotoError
from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.python_settings import given, plain
from image_retraining.foundation.records import Floats, Prediction
from image_retraining.foundation.settings import require, settings_of
from image_retraining.foundation.text import shown
from image_retraining.labelling.config import LabelConfig, check_files
from image_retraining.labelling.given_photos import GivenPhoto, Photo, each_of, given_photo, in_full

if TYPE_CHECKING:
    from PIL import Image

    from image_retraining.labelling.labeller import Labeller

# More photos than these take long enough to show how far they are.
_A_FEW = 32
_NOT_HERE = (
    *("image", "graph", "top_k", "format", "output"),
    *("heatmap_dir", "report", "report_heatmaps"),
)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """What a classifier says of a photo.

    Attributes:
        path: the file, or a folder that cannot be read or has no photos; '' of a photo in memory.
        label: the best one; None where the photo could not be read.
        score: of this label, 0 to 1 for what this tool has trained.
        scores: float32 [C], in the order of the classifier's labels; empty where it could not.
        unknown: whether the classifier is too unsure for an answer.
        error: why the photo could not be read, else ''.
        damage: what is wrong with a photo that could be read all the same, else ''.
    """

    path: str
    label: str | None
    score: float
    scores: Floats
    unknown: bool
    error: str = ""
    damage: str = ""


def load(
    path: str | os.PathLike[str], *, unknown_threshold: float | None = None, **settings: Any
) -> Classifier:
    """Returns the classifier in a file or folder, as label_image.py --graph opens it.

    Args:
        path: the folder of a run, a frozen graph, a TensorFlow Lite or an ONNX file, or the folder
            of a SavedModel.
        unknown_threshold: an answer of a lower probability is unknown. None is the rule that came
            with the classifier, if any; as --unknown_threshold=auto.
        settings: labels, input_layer, output_layer, input_height, input_width, input_mean and
            input_std, called as the flags of label_image.py.

    Raises:
        RetrainError: it cannot be opened, in label_image.py's words.
    """
    known = {one.name for one in settings_of(LabelConfig)} - set(_NOT_HERE)
    values = given(settings, known, script="label_image.py")
    threshold = "" if unknown_threshold is None else str(unknown_threshold)
    config = LabelConfig(
        graph=plain(path),
        unknown_threshold=threshold,
        **values,
        named=frozenset({"graph", *settings}),
    )
    check_files(config)
    import_tensorflow()
    from image_retraining.labelling.labeller import Labeller  # noqa: PLC0415

    return Classifier(Labeller(config, own_threshold=True), config)


class Classifier:
    """A classifier that labels photos.

    Attributes:
        labels: C names, in the order of the scores.
        image_size: (H, W) that photos are resized to; (0, 0) where it takes files.
    """

    def __init__(self, labeller: Labeller, config: LabelConfig) -> None:
        """Takes what `load` has opened."""
        self._labeller, self._config = labeller, config
        self.labels = labeller.labels
        self.image_size = labeller.image_size

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"<Classifier: {len(self.labels)} labels, {height} x {width}; {self._config.graph}>"

    def predict(
        self, photos: Photo | Iterable[Photo], *, on_bad_image: str = "fail"
    ) -> list[LabelledPhoto]:
        """Returns what the classifier says of each photo, in their order.

        Args:
            photos: one photo or several: files, folders of files, pictures of Pillow, or arrays
                [h, w, 3], RGB, uint8 or float of 0 to 1.
            on_bad_image: fail, or skip, which leaves the label of what cannot be read None.

        Raises:
            PhotoError: a photo cannot be read, or a folder has none; not with skip.
            SettingError: something is no photo, whatever on_bad_image says.
        """
        choices = ("fail", "skip")
        require(
            isinstance(on_bad_image, str) and on_bad_image in choices,
            f"on_bad_image must be one of {', '.join(choices)}",
            on_bad_image,
        )
        upright = self._labeller.upright
        given = [given_photo(photo, upright=upright) for photo in each_of(photos)]
        if on_bad_image == "fail":
            for place, one in enumerate(given, 1):
                if one.error:
                    name = one.path or f"Picture {place} of {len(given)}"
                    raise _unreadable(name, one.error)
        labelled: list[LabelledPhoto] = []
        total = sum(len(one.files) or 1 for one in given)
        with Progress("Labelling", total, shown=total > _A_FEW) as progress:
            for answer in self._answers(given):
                labelled.append(answer)
                if answer.error and on_bad_image == "fail":
                    raise _unreadable(answer.path, answer.error)
                progress.advance()
                raise_if_interrupted()
        return labelled

    def heatmap(self, photo: Photo, label: str | None = None) -> Image.Image:
        """Returns a picture of a photo that glows where the evidence for a label is.

        Args:
            photo: one photo, as for `predict`.
            label: None for the best one.

        Raises:
            GraphError: the classifier has no map of features.
            PhotoError: the photo cannot be read.
            SettingError: there is no such label.
        """
        from image_retraining.evidence import heatmap  # noqa: PLC0415
        from image_retraining.photos import pixels  # noqa: PLC0415

        require(
            label is None or (isinstance(label, str) and label in self.labels),
            f"label must be one of {', '.join(self.labels)}",
            label,
        )
        self._labeller.check_map()
        whole = in_full(photo, upright=self._labeller.upright)
        resized = self._labeller.resized(whole)
        label_id = (
            int(self._labeller.resized_scores(resized).argmax())
            if label is None
            else self.labels.index(label)
        )
        return heatmap.blended(pixels.as_uint8(whole), self._labeller.evidence(resized, label_id))

    def _answers(self, given: list[GivenPhoto]) -> Iterator[LabelledPhoto]:
        """Yields what is said of each photo, in their order."""
        files = self._labeller.predictions([path for one in given for path in one.files])
        for one in given:
            if one.error:
                yield self._labelled(Prediction(one.path, None, one.error))
            elif one.pixels is not None:
                yield self._labelled(self._labeller.photo_prediction(one.pixels))
            yield from map(self._labelled, itertools.islice(files, len(one.files)))

    def _labelled(self, found: Prediction) -> LabelledPhoto:
        path, scores = found.path, found.scores
        if scores is None:
            return LabelledPhoto(
                path, None, 0.0, np.empty([0], np.float32), unknown=True, error=found.reason
            )
        self._labeller.check_count(len(scores))
        best = int(scores.argmax())
        is_unknown = self._labeller.unknown.is_unknown(scores, found.distance)
        return LabelledPhoto(
            path,
            self.labels[best],
            float(scores[best]),
            scores,
            unknown=is_unknown,
            damage=found.damage,
        )


def _unreadable(name: str, reason: str) -> PhotoError:
    return PhotoError(
        f"{shown(name)} cannot be read: {reason}. Leave it out, or give on_bad_image='skip'."
    )
