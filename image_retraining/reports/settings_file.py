"""settings.json: with which settings and versions a run was made, and whether it has finished."""

import json
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from image_retraining import __version__
from image_retraining.evaluation.comparison import Comparison
from image_retraining.foundation.files import replacing
from image_retraining.reports.findings import Ended, Proven, TrainingStarted

_PACKAGES = ("tensorflow", "tensorflow-hub", "keras", "numpy", "scipy", "scikit-learn", "openvino")


class SettingsFile:
    """Keeps the settings of a run in its folder: when its training starts, and when it has ended.

    A finished run that is replaced stays one until its graph is, which is after the training.
    """

    def __init__(
        self,
        path: str,
        settings: Mapping[str, Any],
        named: frozenset[str],
        *,
        replaces_finished: bool,
    ) -> None:
        """Takes what to write; nothing is written yet.

        Args:
            path: of the file.
            settings: all settings, by their names.
            named: those that the person gave.
            replaces_finished: whether a finished run lies where this one goes.
        """
        self._path = path
        self._begins_with = Proven if replaces_finished else TrainingStarted
        self._content: dict[str, Any] = {
            "started": _now(),
            "finished": None,
            "named": sorted(named),
            "settings": dict(settings),
            "versions": versions(),
        }

    def tell(self, finding: object) -> None:
        """Writes that the run has begun, and when it has ended what came of it."""
        if isinstance(finding, Comparison):
            self._content["settings"]["tfhub_module"] = finding.recommended.module
        if isinstance(finding, self._begins_with):
            self._write()
        elif isinstance(finding, Ended):
            self._write_end(finding)

    def close(self) -> None:
        """Does nothing: the file is written at once."""

    def _write_end(self, finding: Ended) -> None:
        metrics = finding.judged.metrics
        self._content |= {
            "finished": _now(),
            "labels": finding.catalog.labels,
            "test_accuracy": metrics.accuracy if metrics else None,
            "test_count": metrics.count if metrics else 0,
            "seconds": {stage: round(taken, 3) for stage, taken in finding.seconds.items()},
        }
        self._write()

    def _write(self) -> None:
        text = json.dumps(self._content, indent=2, ensure_ascii=False) + "\n"
        with replacing(self._path) as temporary:
            temporary.write_bytes(text.encode(errors="backslashreplace"))


def versions() -> dict[str, str]:
    """Returns what has a part in a run's figures, with its version."""
    versions = {"image-retraining": __version__, "python": platform.python_version()}
    versions["platform"] = platform.platform()
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
