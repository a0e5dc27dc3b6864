"""The photo that a finished classifier is tried out on."""

from collections.abc import Iterable, Sequence

from image_retraining.foundation.records import Evaluation
from image_retraining.head.softmax import softmax


def sure_photo(judged: Iterable[tuple[Sequence[str], Evaluation | None]]) -> str:
    """Returns the photo whose right answer is the surest, in the first set that has one.

    Args:
        judged: sets of photos that were not learnt from, with the answers to them.
    """
    for paths, evaluation in judged:
        if evaluation is None:
            continue
        sureness = softmax(evaluation.logits).max(axis=1)
        sureness[evaluation.predicted_ids != evaluation.label_ids] = 0
        if sureness.any():
            return paths[int(sureness.argmax())]
    return "X.jpg"
