"""Who is told what the stages find, and how that is told to them."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from image_retraining.foundation.records import Catalog, Extraction
from image_retraining.reports.comparison_file import ComparisonFile
from image_retraining.reports.comparison_plot import ComparisonPlot
from image_retraining.reports.files import LabelNextFile, MetricsFile, WrongLabelsFile
from image_retraining.reports.findings import Ended
from image_retraining.reports.html.report import HtmlReport
from image_retraining.reports.log import Log
from image_retraining.reports.misclassified_log import MisclassifiedLog
from image_retraining.reports.outcome_board import Asked
from image_retraining.reports.reporter import Reporter, Reporters, StageEnded
from image_retraining.reports.run_log import RunLog
from image_retraining.reports.settings_file import SettingsFile, versions
from image_retraining.reports.tensorboard import TensorBoard
from image_retraining.reports.tuning_log import TuningLog
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.shaping import shaping

_Finding = TypeVar("_Finding")
_FIELDS = {field.name for field in fields(Ended)}


def reporters(
    config: RetrainConfig, results: contextlib.ExitStack, also: Sequence[Reporter]
) -> Iterator[Reporter]:
    """Yields who is to be told, in the order in which each finding is told.

    Args:
        config: the settings.
        results: takes the files that reporters write.
        also: others, who are told before the log is.
    """
    named = _named(config)
    if config.report_file:
        yield HtmlReport(config.report_file, named, versions())
    yield from also
    yield Log(expects_metrics=bool(config.metrics_file), max_accuracy_drop=config.max_accuracy_drop)
    if config.fine_tune:
        yield TuningLog()
    name = config.output_dir or config.summaries_dir
    asked = Asked(name=name, named=named, shaping=shaping(config))
    yield TensorBoard(config.summaries_dir, asked)
    if config.metrics_file:
        yield MetricsFile(config.metrics_file, results)
    if config.compare_file:
        yield ComparisonFile(config.compare_file)
    if config.compare_plot_file:
        yield ComparisonPlot(config.compare_plot_file)
    if config.print_misclassified_test_images:
        yield MisclassifiedLog()
    if config.label_issues_file:
        yield WrongLabelsFile(config.label_issues_file, results)
    if config.label_next_file:
        yield LabelNextFile(config.label_next_file, results)
    # Last, for it says that all else is done.
    if config.output_dir:
        yield SettingsFile(
            run_folder.settings_path(config),
            config.settings,
            config.named,
            replaces_finished=run_folder.holds_finished_run(config),
        )


def log_of(config: RetrainConfig) -> RunLog:
    """Returns what keeps all lines of the run, with what was asked for at their beginning."""
    named = [f"--{name}={value}" for name, value in _named(config).items()]
    return RunLog(run_folder.log_path(config), named)


def _named(config: RetrainConfig) -> dict[str, Any]:
    """Returns the settings that somebody gave."""
    return {name: value for name, value in config.settings.items() if name in config.named}


class Stages:
    """Has told what each stage found, and takes its time."""

    def __init__(self, tell: Reporters) -> None:
        self.tell = tell
        self._found: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def done(self, stage: str, finding: _Finding) -> _Finding:
        """Returns what a stage found, which began when the one before it was done."""
        now = time.monotonic()
        self._seconds[stage], self._last = now - self._last, now
        self._found[stage] = finding
        self.tell(finding)
        self.tell(StageEnded(stage, finding, self._seconds[stage]))
        return finding

    def change(self, **found: Any) -> None:
        """Takes what stages found as it has become since."""
        self._found |= found

    def mend(self, *, catalog: Catalog, extraction: Extraction) -> None:
        """Takes what the first stages found as it is known now, and has the photos told again."""
        self._found |= {"catalog": catalog, "extraction": extraction}
        self.tell(catalog)

    def told(self, **more: Any) -> Ended:
        """Returns all of it: the stages are called as the fields of Ended."""
        found = {name: value for name, value in self._found.items() if name in _FIELDS}
        return Ended(**found, seconds=self._seconds, **more)
