from dataclasses import dataclass, field

import numpy as np

from image_retraining.evaluation.copies import Duplicates
from image_retraining.foundation.records import Evaluation, Ints
from image_retraining.reports.findings import Copies, Judged
from image_retraining.reports.html.choice import choose

LABELS = ("a", "b", "c")


@dataclass(frozen=True)
class Counting(Evaluation):
    """Notes how often it is asked for its answers, each time of which it looks at all logits."""

    asked: list[int] = field(default_factory=list)

    @property
    def predicted_ids(self) -> Ints:
        self.asked.append(1)
        ids: Ints = self.logits.argmax(axis=1).astype(np.int32)
        return ids


def test_all_answers_are_looked_at_once() -> None:
    # For each photo, it took minutes of 100,000.
    logits = np.random.default_rng(0).normal(size=[50, 3]).astype(np.float32)
    label_ids = np.arange(50, dtype=np.int32) % 3
    evaluation = Counting(logits, label_ids, 0.0, 0.0, 0.0)
    paths = tuple(f"{number}.jpg" for number in range(50))
    judged = Judged(labels=LABELS, paths=paths, evaluation=evaluation, metrics=None)
    chosen = choose(
        judged, None, Copies(found=Duplicates((), 0.999), labels=LABELS, are_dropped=False)
    )
    assert len(evaluation.asked) == 1
    wrong = logits.argmax(axis=1) != label_ids
    assert chosen.wrong_count == wrong.sum()
    surest = int(
        np.where(wrong, logits.max(axis=1) - np.log(np.exp(logits).sum(axis=1)), -9).argmax()
    )
    assert chosen.wrong[0].path == f"{surest}.jpg"
    assert chosen.wrong[0].answer_id == logits[surest].argmax()
