"""Which photos the report shows, and of which it shows where the evidence is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from image_retraining.evaluation.copies import DuplicateGroup
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.head.softmax import softmax
from image_retraining.reports.findings import Copies, Judged, WrongLabels
from image_retraining.reports.photo_points import PhotoPoints

# Examples of right answers; wrong ones, and photos whose label looks wrong.
_EXAMPLES, _MOST_WRONG, _MOST_ISSUES = 8, 120, 60
# Groups of copies that straddle sets, and photos of one.
_MOST_GROUPS, MOST_COPIES = 20, 4
# Evidence takes 20 ms a photo and more.
_MOST_HEATMAPS = 24


@dataclass(frozen=True, slots=True)
class Answer:
    """What a head says of a test photo.

    Attributes:
        path: the photo.
        label_id: its label.
        answer_id: what the head says.
        probability: of that, 0 to 1.
    """

    path: str
    label_id: int
    answer_id: int
    probability: float

    @property
    def is_right(self) -> bool:
        """Whether the head says what the label says."""
        return self.label_id == self.answer_id


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown.

    Attributes:
        examples: right answers, the surest of as many classes as there is room for.
        wrong: wrong answers, the surest first.
        wrong_count: how many there are in all.
        issues: photos whose label looks wrong, the worst first.
        straddling: groups of copies in training and in what is judged by.
    """

    examples: tuple[Answer, ...]
    wrong: tuple[Answer, ...]
    wrong_count: int
    issues: tuple[LabelIssue, ...]
    straddling: tuple[DuplicateGroup, ...]

    @property
    def with_evidence(self) -> tuple[Answer, ...]:
        """Those answers of which the evidence is shown."""
        return (*self.examples, *self.wrong)[:_MOST_HEATMAPS]

    def paths(self) -> Iterator[str]:
        """Yields all photos that are shown, some more than once."""
        for answer in (*self.examples, *self.wrong):
            yield answer.path
        for issue in self.issues:
            yield issue.path
        for group in self.straddling:
            for record in group.records[:MOST_COPIES]:
                yield record.path


@dataclass(frozen=True, slots=True)
class Spot:
    """A photo on the map.

    Attributes:
        path: the photo.
        place: x and y, of no unit.
        label_id: its label.
        split: the set that it is in.
        is_wrong: whether it was answered wrongly by a head that has not met it.
        picture: a JPEG that is shown to whoever points at it; b"" where it cannot be read any more.
    """

    path: str
    place: tuple[float, float]
    label_id: int
    split: str
    is_wrong: bool
    picture: bytes


@dataclass(frozen=True, slots=True)
class PhotoMap:
    """The photos in two dimensions.

    Attributes:
        spots: N photos, evenly over the classes.
        count: of how many.
        kind: of projection.
    """

    spots: tuple[Spot, ...]
    count: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Illustrated:
    """Pictures of some photos, for the report and TensorBoard.

    Attributes:
        choice: which photos are shown.
        photos: path → JPEG of the photo.
        heatmaps: path → JPEG of it with the evidence for its answer.
        points: some thousands of all photos, with small pictures.
        problem: why there are no heat maps, '' where there are.
        photo_map: the photos in two dimensions; None where nobody wants them.
    """

    choice: Choice
    photos: Mapping[str, bytes]
    heatmaps: Mapping[str, bytes]
    points: PhotoPoints
    problem: str = ""
    photo_map: PhotoMap | None = None


def choose(judged: Judged, wrong: WrongLabels | None, copies: Copies) -> Choice:
    """Returns what to show of a run."""
    answers = _answers(judged)
    mistakes = [answer for answer in answers if not answer.is_right]
    surest: dict[int, Answer] = {}
    for answer in answers:
        if answer.is_right:
            surest.setdefault(answer.label_id, answer)
    return Choice(
        examples=tuple(surest.values())[:_EXAMPLES],
        wrong=tuple(mistakes[:_MOST_WRONG]),
        wrong_count=len(mistakes),
        issues=wrong.issues[:_MOST_ISSUES] if wrong else (),
        straddling=tuple(group for group in copies.found.groups if group.leaks)[:_MOST_GROUPS],
    )


def _answers(judged: Judged) -> list[Answer]:
    """Returns the answers to all test photos, the surest first."""
    evaluation = judged.evaluation
    if evaluation is None:
        return []
    probabilities = softmax(evaluation.logits).max(axis=1)
    order = np.argsort(-probabilities, kind="stable")
    # Each time that they are asked for, they are worked out of all logits.
    predicted_ids = evaluation.predicted_ids
    return [
        Answer(
            judged.paths[row],
            int(evaluation.label_ids[row]),
            int(predicted_ids[row]),
            float(probabilities[row]),
        )
        for row in order.tolist()
    ]
