"""Labelling from Python: `load` opens what was trained, `predict` asks it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from image_retraining.foundation.command_line import import_tensorflow
from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.python_settings import given, plain
from image_retraining.foundation.records import Floats
from image_retraining.foundation.settings import require, settings_of
from image_retraining.labelling.config import AUTO, LabelConfig
from image_retraining.photos.pictures import of_picture

if TYPE_CHECKING:
    from PIL import Image

    from image_retraining.labelling.labeller import Labeller

# A file, a picture of Pillow, or an array: uint8 [h, w, 3], RGB, or float of 0 to 1.
Photo: TypeAlias = Any

_CHANNELS = 3
# More photos than these take long enough to show how far they are.
_A_FEW = 32
_NOT_HERE = ("image", "graph", "top_k", "format", "output", "heatmap_dir")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """What a classifier says of a photo.

    Attributes:
        path: the file; '' of a photo in memory.
        label: the best one; None where the photo could not be read.
        score: of this label, 0 to 1 for what this tool has trained.
        scores: float32 [C], in the order of the classifier's labels; empty where it could not.
        unknown: whether the classifier is too unsure for an answer.
        error: why the photo could not be read, else ''.
    """

    path: str
    label: str | None
    score: float
    scores: Floats
    unknown: bool
    error: str = ""


def load(
    path: str | os.PathLike[str], *, unknown_threshold: float | None = None, **settings: Any
) -> Classifier:
    """Returns the classifier in a file or folder, as label_image.py --graph opens it.

    Args:
        path: the folder of a run, a frozen graph, a TensorFlow Lite or an ONNX file, or the folder
            of a SavedModel.
        unknown_threshold: an answer of a lower probability is unknown. None is the threshold that
            came with the classifier, if any.
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
    import_tensorflow()
    from image_retraining.labelling.labeller import Labeller  # noqa: PLC0415

    return Classifier(Labeller(config), config)


class Classifier:
    """A classifier that labels photos.

    Attributes:
        labels: C names, in the order of the scores.
        image_size: (H, W) that photos are resized to.
    """

    def __init__(self, labeller: Labeller, config: LabelConfig) -> None:
        """Takes what `load` has opened."""
        from image_retraining.labelling.unknown import unknown_rule  # noqa: PLC0415

        self._labeller, self._config = labeller, config
        self.labels = labeller.labels
        self.image_size = labeller.image_size
        facts, threshold = labeller.facts, config.unknown_threshold
        if not threshold and facts is not None and facts.calibration is not None:
            threshold = AUTO
        self._unknown = unknown_rule(threshold, facts, config.graph)

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
            PhotoError: a photo cannot be read.
            SettingError: something is no photo.
        """
        choices = ("fail", "skip")
        require(
            on_bad_image in choices,
            f"on_bad_image must be one of {', '.join(choices)}",
            on_bad_image,
        )
        from image_retraining.labelling.labeller import photo_paths  # noqa: PLC0415

        several = [photos] if _is_one(photos) else list(photos)
        arrays = {n: _pixels_of(photo) for n, photo in enumerate(several) if not _is_path(photo)}
        paths = {n: photo_paths([plain(p)], ()) for n, p in enumerate(several) if _is_path(p)}
        labelled: list[LabelledPhoto] = []
        files = self._labeller.predictions([path for some in paths.values() for path in some])
        total = len(arrays) + sum(map(len, paths.values()))
        with Progress("Labelling", total, shown=total > _A_FEW) as progress:
            for place in range(len(several)):
                if place in arrays:
                    labelled.append(self._labelled("", self._labeller.photo_scores(arrays[place])))
                    progress.advance()
                for _ in paths.get(place, ()):
                    found = next(files)
                    labelled.append(self._labelled(found.path, found.scores, found.reason))
                    if found.scores is None and on_bad_image == "fail":
                        raise PhotoError(
                            f"{found.path} cannot be read: {found.reason}. Leave it out, or give "
                            "on_bad_image='skip'."
                        )
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
            label is None or label in self.labels,
            f"label must be one of {', '.join(self.labels)}",
            label,
        )
        whole = _in_full(photo)
        label_id = (
            int(self._labeller.photo_scores(whole).argmax())
            if label is None
            else self.labels.index(label)
        )
        resized = pixels.of_array(whole, self.image_size)
        return heatmap.blended(pixels.as_uint8(whole), self._labeller.evidence(resized, label_id))

    def _labelled(self, path: str, scores: Floats | None, error: str = "") -> LabelledPhoto:
        if scores is None:
            return LabelledPhoto(
                path, None, 0.0, np.empty([0], np.float32), unknown=True, error=error
            )
        self._labeller.check_count(len(scores))
        best = int(scores.argmax())
        is_unknown = self._unknown.sureness(scores) < self._unknown.threshold
        return LabelledPhoto(
            path, self.labels[best], float(scores[best]), scores, unknown=is_unknown
        )


def _is_path(photo: Photo) -> bool:
    return isinstance(photo, str | os.PathLike)


def _is_picture(photo: Photo) -> bool:
    return hasattr(photo, "convert") and hasattr(photo, "getbands")


def _is_one(photos: Any) -> bool:
    # An array of names, or of several photos, has another number of axes.
    return _is_path(photos) or _is_picture(photos) or getattr(photos, "ndim", 0) in (2, 3)


def _pixels_of(photo: Photo) -> Any:
    """Returns uint8 or float32 [h, w, 3] of a picture of Pillow or an array.

    Raises:
        SettingError: it is neither.
    """
    array = of_picture(photo) if _is_picture(photo) else np.asarray(photo)
    is_rgb = array.ndim == _CHANNELS and array.shape[-1] == _CHANNELS and array.size > 0
    if is_rgb and array.dtype == np.uint8:
        return array
    if is_rgb and array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:
        return array.astype(np.float32)
    raise SettingError(
        "A photo must be a file, a picture of Pillow, or an array [h, w, 3], RGB, uint8 or float "
        f"of 0 to 1. Got {_described(photo, array)}."
    )


def _described(photo: Photo, array: Any) -> str:
    if array.dtype.kind not in "iufb":
        return repr(photo)
    extent = f", {array.min():g} to {array.max():g}" if array.size else ""
    return f"{array.dtype} {list(array.shape)}{extent}"


def _in_full(photo: Photo) -> Any:
    """Returns uint8 or float32 [h, w, 3] of a photo in its own size.

    Raises:
        PhotoError: it cannot be read.
    """
    import tensorflow as tf  # noqa: PLC0415 - takes seconds

    from image_retraining.photos import pixels  # noqa: PLC0415

    if not _is_path(photo):
        return _pixels_of(photo)
    path = plain(photo)
    try:
        return pixels.in_full(pixels.read(path))
    except (OSError, UnicodeDecodeError, tf.errors.InvalidArgumentError) as error:
        raise PhotoError(f"{path} cannot be read: {pixels.why_left_out(path)}.") from error
