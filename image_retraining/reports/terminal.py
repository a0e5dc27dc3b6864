"""Findings → a person's terminal: in plain words, about a screen of them."""

import shlex
from functools import singledispatchmethod

from image_retraining.evaluation.comparison import Comparison
from image_retraining.evaluation.learning_curve import LearningCurve
from image_retraining.foundation.records import Catalog
from image_retraining.foundation.screen import Screen
from image_retraining.reports import terminal_lines as lines
from image_retraining.reports.advice_lines import sentences
from image_retraining.reports.comparison_lines import comparison_lines
from image_retraining.reports.curve_lines import outlook_line
from image_retraining.reports.findings import (
    Advised,
    CrossValidated,
    Ended,
    Exported,
    Judged,
    LabelNext,
    WrongLabels,
)
from image_retraining.reports.label_next_lines import label_next_lines
from image_retraining.reports.odd_photos import wrong_labels_lines
from image_retraining.reports.reporter import StageEnded
from image_retraining.reports.tuning_findings import Tuned
from image_retraining.reports.tuning_lines import tuned_lines

# What goes on when a stage has ended, where no bar tells it.
_NEXT = {
    "catalog": "Starting TensorFlow",
    "compared": "Loading the module",
    "backbone": "Looking for vectors in the cache",
    "extraction": "Looking for copies",
    "copies": "Beginning the training",
    "tuned": "Judging by photos that it has not learnt from",
    "judged": "Writing the graph, and asking it as it lies on disk",
    "exports": "Making the report",
}
_MOST_ADVICE = 1


class Terminal:
    """Shows findings to a person."""

    def __init__(self, screen: Screen, *, log_path: str, results_only: bool = False) -> None:
        """Takes where to show them.

        Args:
            screen: the terminal.
            log_path: where every line of the run is.
            results_only: show how good it is and where it is, and nothing on the way.
        """
        self._screen, self._log_path, self._results_only = screen, log_path, results_only
        self._catalog: Catalog | None = None
        self._ended: Ended | None = None

    def close(self) -> None:
        """Ends the line of what is going on; says what to do next, below what others warn of."""
        self._screen.now("")
        if self._ended is not None:
            self._say_farewell(self._ended)
            self._ended = None

    def _say(self, *texts: str) -> None:
        for text in texts:
            self._screen.say(text)

    def _say_on_the_way(self, *texts: str) -> None:
        if not self._results_only:
            self._say(*texts)

    @singledispatchmethod
    def tell(self, finding: object) -> None:
        """Shows a finding that a person wants to see."""

    @tell.register
    def _(self, finding: StageEnded) -> None:
        self._say_on_the_way(*lines.stage(finding))
        if not self._results_only:
            self._screen.now(_NEXT.get(finding.stage, ""))

    @tell.register
    def _(self, finding: Catalog) -> None:
        again, self._catalog = self._catalog is not None, finding
        self._say_on_the_way(*lines.photos(finding, self._screen.width, again=again))

    @tell.register
    def _(self, finding: Comparison) -> None:
        self._say(*comparison_lines(finding, width=self._screen.width))

    @tell.register
    def _(self, finding: Tuned) -> None:
        self._say(*tuned_lines(finding))

    @tell.register
    def _(self, finding: CrossValidated) -> None:
        metrics = finding.found.metrics
        self._say(f"Cross-validated: {lines.right(metrics)}")

    @tell.register
    def _(self, finding: LearningCurve) -> None:
        self._say_on_the_way(outlook_line(finding))

    @tell.register
    def _(self, finding: Judged) -> None:
        if finding.metrics is not None:
            self._say(f"Test: {lines.right(finding.metrics)}")
            self._say_on_the_way(*lines.classes(finding.metrics, self._screen.width))

    @tell.register
    def _(self, finding: WrongLabels) -> None:
        found = wrong_labels_lines(finding.issues, finding.labels, photo_count=finding.photo_count)
        self._say_on_the_way(*found)

    @tell.register
    def _(self, finding: LabelNext) -> None:
        self._say(*label_next_lines(finding))

    @tell.register
    def _(self, finding: Exported) -> None:
        self._say(lines.saved(finding))

    @tell.register
    def _(self, finding: Advised) -> None:
        found = sentences(finding.advice, finding.labels)
        if found:
            more = len(found) - _MOST_ADVICE
            rest = f" (and {more} more in the report)" if more > 0 else ""
            self._say_on_the_way(f"What would help most{rest}:")
            self._say_on_the_way(*(f"  - {one}" for one in found[:_MOST_ADVICE]))

    @tell.register
    def _(self, finding: Ended) -> None:
        self._ended = finding

    def _say_farewell(self, ended: Ended) -> None:
        commands = {"Try it": ended.example}
        if not self._results_only:
            seconds = sum(ended.seconds.values())
            self._say(f"Done in {seconds:.0f} s. Every line of it: {self._log_path}")
            curves = ("tensorboard", "--logdir", ended.summaries_dir)
            commands = {"Curves of the training": curves} | commands
        for words, command in commands.items():
            self._screen.say(f"{words}: {shlex.join(command)}", to_copy=True)
