"""What the stages of a training find: reporters tell it, and Python programs get it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from image_retraining.evaluation.advice import Advice
from image_retraining.evaluation.calibration import Calibration
from image_retraining.evaluation.comparison import Comparison
from image_retraining.evaluation.copies import Duplicates
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.label_next import Candidate
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.evaluation.metrics import Metrics
from image_retraining.evaluation.unknown import FeatureRule
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.exports.proof import Verification
from image_retraining.foundation.records import (
    Catalog,
    Evaluation,
    Extraction,
    FeatureSet,
    Head,
    Split,
    Unreadable,
)
from image_retraining.head.best_head import HeadChoice
from image_retraining.reports.tuning_findings import Tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Which photos are one and the same.

    Attributes:
        found: the groups of copies.
        labels: C class names.
        are_dropped: whether all but one photo of each group are left out.
    """

    found: Duplicates
    labels: tuple[str, ...]
    are_dropped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStarted:
    """A training that begins.

    Attributes:
        graph_def: what is trained, with the head as it is at the start.
        step_count: how many steps there are to be, at most.
        goes_on: whether it goes on from where another stopped.
    """

    graph_def: Any
    step_count: int
    goes_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training ended with.

    Attributes:
        head: the one to use.
        kept: of all heads the one that validated best, if it is that one; None for the last.
        validation_count: how many photos said which head is the best.
        validation_total: of how many validation photos these are.
        last_step: from 0; of a head that is solved, the last of the path to it.
        stopped_early: whether that came before its time, because the head got no better.
        waited: how many evaluations found nothing better before that.
    """

    head: Head
    kept: HeadChoice | None
    validation_count: int
    validation_total: int
    last_step: int
    stopped_early: bool = False
    waited: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """How sure a head may be of its answers.

    Attributes:
        head: the one to export, which has the temperature in it if that was asked for.
        calibration: None if nobody can tell.
        evaluation: of the head without the temperature, on the validation photos; None likewise.
        unknown: what tells unknown photos by their feature vectors too; None if nothing can.
        problem: why nobody can tell, '' if that needs no words.
        in_graph: whether the head has the temperature in it.
    """

    head: Head
    calibration: Calibration | None
    evaluation: Evaluation | None
    unknown: FeatureRule | None
    problem: str
    in_graph: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """How solved heads do on photos that they have not met, of all photos.

    Attributes:
        found: the answers, and what they say of each class.
        few_to_judge_by: whether it was not asked for: fewer validation or testing photos than 5
            are of some class.
    """

    found: CrossValidation
    few_to_judge_by: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a head did on photos that it has not met.

    Attributes:
        labels: C class names.
        paths: N photos, which may be 0.
        evaluation: of the head on them; None without photos.
        metrics: the same class by class.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    evaluation: Evaluation | None
    metrics: Metrics | None

    def misclassified(self) -> Iterator[tuple[str, str]]:
        """Yields path and predicted label of each photo that was answered wrongly."""
        if self.evaluation is None:
            return
        answers = zip(
            self.paths, self.evaluation.predicted_ids, self.evaluation.label_ids, strict=True
        )
        for path, predicted, true in answers:
            if predicted != true:
                yield path, self.labels[predicted]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongLabels:
    """Which photos have a label that looks wrong.

    Attributes:
        issues: the least probable labels first.
        labels: C class names.
        photo_count: of all photos that were looked at.
    """

    issues: tuple[LabelIssue, ...]
    labels: tuple[str, ...]
    photo_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNext:
    """Which photos to label next.

    Attributes:
        candidates: what labelling teaches most first.
        labels: C class names.
        labelled_count: how many others are labelled already.
        unreadable: those that could not be read.
    """

    candidates: tuple[Candidate, ...]
    labels: tuple[str, ...]
    labelled_count: int
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """What to do next, by what was measured.

    Attributes:
        advice: each with its figures.
        labels: C class names.
    """

    advice: tuple[Advice, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file, or a folder, that was written and proven.

    Attributes:
        name: of its format, as a sentence has it.
        path: where it is.
        quantization: in which numbers it computes, if not simply in those of the training.
        proof: how it answered, read back from disk; None if it was not asked.
        split: the photos that it was asked about.
    """

    name: str
    path: str
    quantization: str
    proof: Verification | None
    split: Split | None


@dataclass(frozen=True, slots=True)
class Proven:
    """All results are written and proven, and take their places next.

    Attributes:
        exports: those among them that are exports.
    """

    exports: tuple[Exported, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of a whole run.

    Attributes:
        catalog: the photos.
        compared: modules on these photos; None unless that was asked for.
        backbone: the module that looked at them, frozen.
        extraction: their feature vectors.
        copies: which of them are one and the same.
        trained: what the training of the head ended with.
        tuned: what the fine-tuning came to; None unless that was asked for.
        calibrated: how sure that may be.
        cross_validated: how heads like it do on all photos; None unless that was worked out.
        learning_curve: how they grow with the photos; None unless it was asked for.
        judged: how it did on the test photos.
        wrong_labels: which labels look wrong; None unless they were looked for.
        label_next: which photos to label next; None unless that was asked for.
        exports: what was written.
        advised: what to do next.
        sets: the photos, copies left out if that was asked for, with the vectors that the exported
            network gives.
        seconds: how long each stage took, in their order.
        example: the command that tries the result out, in words.
        summaries_dir: where TensorBoard's files are.
        stands_in_for: the module that another one was taken for, being out of reach; else ''.
        left_over: results of an earlier run in the same folder that this one did not replace.
    """

    catalog: Catalog
    compared: Comparison | None
    backbone: Any
    extraction: Extraction
    copies: Copies
    trained: Trained
    tuned: Tuned | None
    calibrated: Calibrated
    cross_validated: CrossValidated | None
    learning_curve: LearningCurve | None
    judged: Judged
    wrong_labels: WrongLabels | None
    label_next: LabelNext | None
    exports: tuple[Exported, ...]
    advised: Advised
    sets: Mapping[Split, FeatureSet]
    seconds: Mapping[str, float]
    example: tuple[str, ...]
    summaries_dir: str
    left_over: tuple[str, ...]
    stands_in_for: str
