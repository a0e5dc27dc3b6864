"""How well probabilities tell the photos of a class from the others, whatever the threshold."""

import numpy as np
import numpy.typing as npt

from image_retraining.foundation.records import Floats, Ints
from image_retraining.head.softmax import softmax

Figures = npt.NDArray[np.float64]


def one_against_rest(logits: Floats, label_ids: Ints) -> tuple[Figures, Figures]:
    """Returns the area under the ROC curve and the average precision of each class, float64 [C].

    A photo's score for a class is its probability. The area, 0 to 1, is the share of pairs, one
    photo of the class and one of another, in which the first has the higher score (T. Fawcett, "An
    Introduction to ROC Analysis", 2006); 0.5 is chance. The average precision, 0 to 1, is the mean
    precision over the photos of the class, going down the scores; chance is the share of the class.
    Both are NaN for a class of which no photo is, or all are, and where a logit is no number.
    They are scikit-learn's roc_auc_score and average_precision_score, of which a thousand classes
    take minutes.

    Args:
        logits: float32 [N, C].
        label_ids: int32 [N], the true labels.
    """
    photo_count, label_count = logits.shape
    areas, precisions = np.full([2, label_count], np.nan)
    if not np.isfinite(logits).all():
        return areas, precisions
    probabilities = softmax(logits)
    counts = np.bincount(label_ids, minlength=label_count)
    for label_id in np.flatnonzero((counts > 0) & (counts < photo_count)).tolist():
        scores = np.sort(probabilities[:, label_id])
        own = np.sort(probabilities[label_ids == label_id, label_id])
        # Of equal scores half are behind.
        behind = np.searchsorted(scores, own) + np.searchsorted(scores, own, side="right")
        own_behind = np.searchsorted(own, own) + np.searchsorted(own, own, side="right")
        pairs = len(own) * (photo_count - len(own))
        areas[label_id] = (behind - own_behind).sum() / 2 / pairs
        taken = photo_count - np.searchsorted(scores, own)
        right = len(own) - np.searchsorted(own, own)
        precisions[label_id] = (right / taken).mean()
    return areas, precisions


def mean_of_defined(figures: Figures) -> float:
    """Returns the mean of the classes whose figures are defined; NaN where none is."""
    defined = figures[~np.isnan(figures)]
    return float(defined.mean()) if len(defined) else float("nan")
