"""Findings → report.html, which holds all that it shows."""

from collections.abc import Mapping
from typing import Any

from absl import logging

from image_retraining.foundation.errors import OutputError
from image_retraining.foundation.files import replacing
from image_retraining.foundation.log_lines import notice
from image_retraining.reports.findings import Ended
from image_retraining.reports.history import History
from image_retraining.reports.html.choice import Illustrated
from image_retraining.reports.html.content import Story, content
from image_retraining.reports.html.page import render


class HtmlReport:
    """Writes the report when a run has ended."""

    def __init__(self, path: str, settings: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Takes what the report says besides findings.

        Args:
            path: of the file; nothing is written yet.
            settings: those that the person gave.
            versions: package → version.
        """
        self._path, self._settings, self._versions = path, settings, versions
        self._history = History()
        self._illustrated: Illustrated | None = None

    def tell(self, finding: object) -> None:
        """Keeps what the page shows, and writes it when all else is done."""
        self._history.tell(finding)
        if isinstance(finding, Illustrated):
            self._illustrated = finding
        elif isinstance(finding, Ended) and self._illustrated is not None:
            story = Story(
                ended=finding,
                rows=self._history.rows,
                illustrated=self._illustrated,
                settings=self._settings,
                versions=self._versions,
            )
            self._write(page(story))

    def _write(self, text: str) -> None:
        try:
            with replacing(self._path) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OutputError as error:
            # The exports are there, which are what a run is for.
            logging.warning("WARNING: there is no report: %s", error)
            return
        notice("Report: %s", self._path)

    def close(self) -> None:
        """Does nothing: the page is written at once."""


def page(story: Story) -> str:
    """Returns the page of a run."""
    return render("report", content(story))
