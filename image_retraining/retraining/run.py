"""What came of a training, for a Python program: figures as tables, vectors, more exports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from image_retraining.cache.opening import open_cache
from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.foundation.command_line import as_a_library
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.python_settings import check_name, plain
from image_retraining.foundation.records import FeatureSet, Split
from image_retraining.foundation.settings import (
    check_writable_file,
    check_writable_folder,
    part_of,
    require,
)
from image_retraining.head.softmax import softmax
from image_retraining.reports.findings import Ended
from image_retraining.reports.history import History
from image_retraining.reports.log import Log
from image_retraining.reports.reporter import Reporters
from image_retraining.retraining import cross_validating, evaluating, run_folder
from image_retraining.retraining.config import RetrainConfig

if TYPE_CHECKING:
    import pandas as pd


Path: TypeAlias = str | os.PathLike[str]


class Run:
    """What came of a training.

    Attributes:
        labels: C class names, in the order of the outputs.
        path: what image_retraining.load() takes: the folder of the run, or its graph.
        found: all that the stages found, as they hand it on.
    """

    def __init__(self, config: RetrainConfig, found: Ended, history: History) -> None:
        """Takes what `train` knows of a run that has ended."""
        self._config = config
        self._history = history
        self.found = found
        self.labels = found.catalog.labels
        self.path = run_folder.to_open(config)

    def __repr__(self) -> str:
        if self.accuracy is None or self.accuracy_interval is None:
            figures = "no test photos"
        else:
            low, high = (f"{end * 100:.0f}" for end in self.accuracy_interval)
            count = len(self.found.judged.paths)
            figures = (
                f"{self.accuracy * 100:.1f}% of {count} test photos right, likely {low} to {high}%"
            )
        return f"<Run: {figures}; {len(self.labels)} labels; {self.path}>"

    @property
    def accuracy(self) -> float | None:
        """Share of test photos that are answered rightly, 0 to 1; None without test photos."""
        metrics = self.found.judged.metrics
        return metrics.accuracy if metrics else None

    @property
    def accuracy_interval(self) -> tuple[float, float] | None:
        """Where the true accuracy is with 95% confidence, by the number of test photos alone."""
        metrics = self.found.judged.metrics
        return metrics.accuracy_interval if metrics else None

    @property
    def per_class(self) -> pd.DataFrame:
        """A row a label: precision, recall and f1 (0 to 1), support (test photos of the class)."""
        metrics = self.found.judged.metrics
        names = ("precision", "recall", "f1", "support")
        columns = {name: getattr(metrics, name) if metrics else [] for name in names}
        index = tables().Index(self.labels if metrics else (), name="label")
        return tables().DataFrame(columns, index=index)

    @property
    def errors(self) -> pd.DataFrame:
        """The test photos that are answered wrongly, the surest first.

        Columns: path, label, answer, probability (of the answer, 0 to 1).
        """
        judged, rows = self.found.judged, []
        if judged.evaluation is not None:
            probabilities = softmax(judged.evaluation.logits).max(axis=1)
            answers = (judged.evaluation.label_ids, judged.evaluation.predicted_ids)
            rows = [
                (path, self.labels[true], self.labels[predicted], float(probability))
                for path, true, predicted, probability in zip(
                    judged.paths, *answers, probabilities, strict=True
                )
                if true != predicted
            ]
        columns = ["path", "label", "answer", "probability"]
        table = tables().DataFrame(rows, columns=columns)
        return table.sort_values("probability", ascending=False, ignore_index=True)

    @property
    def history(self) -> pd.DataFrame:
        """A row an evaluation of the training, with the figures of the head then.

        Columns: step; accuracy (0 to 1) and cross_entropy (nats) on a batch of training photos;
        validation_accuracy and validation_cross_entropy on the validation photos; l2 where
        strengths of regularisation were tried.
        """
        return tables().DataFrame(self._history.rows)

    def features(self, split: str) -> FeatureSet:
        """Returns the feature vectors of a split, with label_ids and paths.

        They are those that the exported network gives, which may be fine-tuned.

        Args:
            split: "training", "validation" or "testing".

        Raises:
            SettingError: it is none of them.
        """
        names = [one.value for one in Split]
        if not isinstance(split, str) or split not in names:
            raise SettingError(f"split must be one of {', '.join(names)}. Got {split}.")
        return self.found.sets[Split(split)]

    def label_issues(self) -> pd.DataFrame:
        """Returns the photos whose score is below label_issues_below, the worst first.

        Columns: path, given_label, likely_label, score (of the given label, 0 to 1).
        """
        with open_cache(self._config.bottleneck_dir) as cache:
            backbone = self.found.backbone
            module = backbone.made_of or backbone.fingerprint
            others = evaluating.other_vectors(self._sets, module, cache)
        settings = part_of(self._config, evaluating.JudgingSettings)
        rows = [
            (issue.path, self.labels[issue.label_id], self.labels[issue.likely_id], issue.score)
            for issue in evaluating.wrong_labels_of(self._sets, settings, others)
        ]
        columns = ["path", "given_label", "likely_label", "score"]
        return tables().DataFrame(rows, columns=columns)

    def cross_validate(self, folds: int = 5) -> CrossValidation | None:
        """Returns how heads do on photos that they have not met, of all photos.

        Args:
            folds: at least 2; each is answered by a head solved on the others.

        Raises:
            SettingError: there are more folds than photos of the smallest class, or fewer than 2.
        """
        require(folds > 0, "folds must be at least 2", folds)
        config = replace(self._config, cross_validate=folds)
        settings = part_of(config, cross_validating.CrossValidationSettings)
        return cross_validating.of_all(self._sets, self.labels, settings)

    def export(self, path: Path, *, quantize: str = "none", overwrite: bool = False) -> str:
        """Writes the classifier once more, proves it on test photos, and returns where it is.

        Args:
            path: its ending says what to write: .pb a frozen graph, with its labels and facts
                beside it, .tflite a TensorFlow Lite file, .onnx an ONNX file; without an ending a
                folder, a SavedModel.
            quantize: of a TensorFlow Lite file: none, float16 or int8.
            overwrite: whether what is there may be replaced.

        Raises:
            SettingError: the name has another ending, is taken, or cannot be written to.
            RetrainError: as for `train`.
            VerificationError: likewise.
        """
        from image_retraining.exports.formats import FORMATS, by_ending  # noqa: PLC0415 - imports TensorFlow
        from image_retraining.retraining import exporting  # noqa: PLC0415 - likewise

        target: str = plain(path)
        require(isinstance(target, str), "An export's name must be text or a path", repr(path))
        check_name("An export's name", target)
        require(isinstance(overwrite, bool), "overwrite must be True or False", repr(overwrite))
        kind = by_ending(target)
        config = replace(self._config, **{kind.flag: target, "tflite_quantize": quantize})  # type: ignore[arg-type]
        require(
            quantize == "none" or kind.flag == "tflite_output_file",
            f"quantize is for TensorFlow Lite files, whose name ends in .tflite, not for {target}",
            quantize,
        )
        labels = f"{os.path.splitext(target)[0]}_labels.txt"
        for place in kind.files(target, labels):
            check_writable_file(kind.flag, place, takes_streams=False)
            require(
                overwrite or not os.path.lexists(place),
                "An export must have a new name, unless overwrite=True",
                f"{place}, which is there",
            )
        if not kind.ending:
            folder = os.path.abspath(kind.target(target, overwrite=overwrite))
            check_writable_folder(kind.flag, os.path.dirname(folder))
        settings = replace(
            part_of(config, exporting.ExportSettings),
            export_places={one.flag: target if one is kind else "" for one in FORMATS},
            output_labels=labels,
            overwrite=overwrite,
        )
        exporting.check(settings)
        found, tell = self.found, Reporters(Log(max_accuracy_drop=config.max_accuracy_drop))
        facts = exporting.facts(
            found.catalog, found.backbone, found.judged, found.calibrated, settings
        )
        with as_a_library(config.logging_verbosity), contextlib.ExitStack() as results:
            (written,) = exporting.export(
                found.calibrated, found.backbone, found.sets, facts, settings, results
            )
            results.close()
            tell(written)
        return written.path

    @property
    def _sets(self) -> Mapping[Split, FeatureSet]:
        """The photos, with the vectors of the module as it was before any fine-tuning."""
        found = self.found
        kept_in = self._config.bottleneck_dir
        return evaluating.without_copies(found.extraction.sets, found.copies, kept_in)


def tables() -> Any:
    """Returns pandas, which takes half a second that a training need not wait for."""
    import pandas as pd  # noqa: PLC0415

    return pd
