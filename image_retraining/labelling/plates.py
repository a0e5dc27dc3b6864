"""Pictures of where the evidence for the answers is, a file for each photo that is labelled."""

from absl import logging

from image_retraining.evidence import heatmap
from image_retraining.evidence.plate import Caption, drawn, is_written
from image_retraining.foundation.records import Prediction
from image_retraining.foundation.text import shown
from image_retraining.labelling.labeller import Labeller


class Plates:
    """Draws the pictures into a folder, if there is to be one."""

    def __init__(self, labeller: Labeller, folder: str) -> None:
        """Takes what labels the photos, and the folder; '' for no pictures."""
        self._labeller, self._folder = labeller, folder
        self._unwritten: set[int] = set()

    def draw(self, prediction: Prediction) -> None:
        """Draws where the evidence for a photo's best label is, of a photo that was read.

        Raises:
            PhotoError: it cannot be read any more.
            OutputError: the picture cannot be written.
        """
        path, scores = prediction.path, prediction.scores
        if not self._folder or scores is None:
            return
        best, labeller = int(scores.argmax()), self._labeller
        whole, evidence = labeller.photo_evidence(path, best)
        caption = Caption(
            label=labeller.labels[best],
            label_id=best,
            score=float(scores[best]),
            is_unknown=labeller.unknown.is_unknown(scores, prediction.distance),
        )
        self._tell_unwritten(caption)
        picture = drawn(whole, evidence, caption)
        heatmap.write(self._folder, path, picture, title=caption.label, description=caption.words)

    def _tell_unwritten(self, caption: Caption) -> None:
        """Says once of each label that no font has its letters."""
        if caption.label_id in self._unwritten or is_written(caption.label):
            return
        self._unwritten.add(caption.label_id)
        logging.warning(
            "WARNING: no font of this system has the letters of %s: its pictures say label_id %d. "
            "Install one that has them, such as Noto Sans CJK for Chinese.",
            shown(caption.label),
            caption.label_id,
        )
