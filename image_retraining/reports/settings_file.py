"""settings.json: with which settings and versions a run was made, and whether it has finished."""

import json
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from image_retraining import __version__
from image_retraining.foundation.files import replacing
from image_retraining.reports.findings import Ended

_PACKAGES = ("tensorflow", "tensorflow-hub", "keras", "numpy", "scipy", "scikit-learn", "openvino")


class SettingsFile:
    """Keeps the settings of a run in its folder: from its beginning, and anew at its end."""

    def __init__(self, path: str, settings: Mapping[str, Any], named: frozenset[str]) -> None:
        """Takes what to write.

        Args:
            path: of the file.
            settings: all settings, by their names.
            named: those that the person gave.
        """
        self._path = path
        self._content: dict[str, Any] = {
            "started": _now(),
            "finished": None,
            "named": sorted(named),
            "settings": dict(settings),
            "versions": _versions(),
        }
        self._write()

    def tell(self, finding: object) -> None:
        """Writes how long the run took and what came of it, when it has ended."""
        if not isinstance(finding, Ended):
            return
        metrics = finding.judged.metrics
        self._content |= {
            "finished": _now(),
            "labels": finding.catalog.labels,
            "test_accuracy": metrics.accuracy if metrics else None,
            "test_count": metrics.count if metrics else 0,
            "seconds": {stage: round(taken, 3) for stage, taken in finding.seconds.items()},
        }
        self._write()

    def close(self) -> None:
        """Does nothing: the file is written at once."""

    def _write(self) -> None:
        text = json.dumps(self._content, indent=2, ensure_ascii=False) + "\n"
        with replacing(self._path) as temporary:
            temporary.write_bytes(text.encode(errors="backslashreplace"))


def tells_of_a_finished_run(path: str) -> bool:
    """Whether the file is there and says that its run has finished."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and bool(content.get("finished"))


def _versions() -> dict[str, str]:
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
