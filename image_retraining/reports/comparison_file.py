"""Compared modules → a file that other programs read: --compare_file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from image_retraining.evaluation.comparison import Comparison, Contender
from image_retraining.foundation.files import replacing
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.settings import require
from image_retraining.foundation.sheets import new_sheet

_SUFFIXES = (".json", ".csv")
# Of each module, in the order of the table in the log.
_FIELDS = (
    *("module", "height", "width", "features", "cross_validated_accuracy", "accuracy_low"),
    *("accuracy_high", "cross_validated_count", "test_accuracy", "test_count"),
    *("photos_per_second", "milliseconds_a_photo", "megabytes", "int8_megabytes"),
    *("p_value", "as_good_as_the_best", "recommended", "problem"),
)


def check_comparison_file(path: str) -> None:
    """Raises SettingError unless a name says which format the file is to be in."""
    require(
        Path(path).suffix.lower() in _SUFFIXES,
        "--compare_file must end in .json or .csv, which says its format",
        path,
    )


class ComparisonFile:
    """Writes the comparison at once: what is compared cost more than what follows."""

    def __init__(self, path: str) -> None:
        """Takes the file, of one of the two endings; nothing is written yet."""
        self._path = path

    def tell(self, finding: object) -> None:
        """Writes the file when modules have been compared.

        Raises:
            OutputError: it cannot be written.
        """
        if isinstance(finding, Comparison):
            write_comparison(self._path, finding)
            notice("Save comparison to : %s", self._path)

    def close(self) -> None:
        """Does nothing: the file is written at once."""


def write_comparison(path: str, found: Comparison) -> None:
    """Writes one row a module, the best first, those that failed last.

    Args:
        path: of a .json or .csv file.
        found: what to write.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = comparison_rows(found)
    with replacing(path) as temporary:
        if Path(path).suffix.lower() == ".json":
            text = json.dumps(rows, ensure_ascii=False, allow_nan=False, indent=1)
            temporary.write_bytes(f"{text}\n".encode(errors="backslashreplace"))
            return
        with new_sheet(temporary) as writer:
            writer.write(_FIELDS)
            for row in rows:
                writer.write(row[name] for name in _FIELDS)


def comparison_rows(found: Comparison) -> list[dict[str, Any]]:
    """Returns the columns of each module, None where there is nothing to tell."""
    rows = [_row(found, place, one) for place, one in enumerate(found.contenders)]
    rows += [_empty() | {"module": one.module, "problem": one.reason} for one in found.failures]
    return rows


def _empty() -> dict[str, Any]:
    return dict.fromkeys(_FIELDS)


def _row(found: Comparison, place: int, one: Contender) -> dict[str, Any]:
    crossed, tested, costs = one.crossed.metrics, one.tested, one.costs
    low, high = crossed.accuracy_interval
    height, width = one.image_size
    return _empty() | {
        "module": one.module,
        "height": height,
        "width": width,
        "features": one.feature_size,
        "cross_validated_accuracy": crossed.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "cross_validated_count": crossed.count,
        "test_accuracy": tested.accuracy if tested else None,
        "test_count": tested.count if tested else 0,
        "photos_per_second": costs.photos_per_second,
        "milliseconds_a_photo": costs.milliseconds,
        "megabytes": costs.megabytes,
        "int8_megabytes": costs.int8_megabytes,
        "p_value": found.p_values[place],
        "as_good_as_the_best": found.is_as_good(place),
        "recommended": one is found.recommended,
    }
