"""The door for Python programs: what retrain.py does, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from image_retraining.foundation.command_line import as_a_library
from image_retraining.foundation.python_settings import check_name, given
from image_retraining.foundation.settings import require, settings_of
from image_retraining.reports.comparison_file import comparison_rows
from image_retraining.reports.history import History
from image_retraining.reports.training_bar import TrainingBar
from image_retraining.retraining import run_folder, story
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.run import Run, tables

if TYPE_CHECKING:
    import pandas as pd


Path: TypeAlias = str | os.PathLike[str]
# What the command does instead of training.
_NOT_HERE = ("cache_info", "cache_prune", "compare_only")


def train(
    image_dir: Path, *, module: Path | None = None, output_dir: Path | None = None, **settings: Any
) -> Run:
    """Returns a classifier trained on a folder of photos, with all that was found on the way.

    Args:
        image_dir: folder of photos, one sub-folder a class.
        module: turns photos into feature vectors; as --tfhub_module. Its default is that flag's.
        output_dir: folder for all results; as --output_dir.
        settings: others, called as the flags of retrain.py. Only --logging_verbosity has another
            default: WARN.

    Raises:
        RetrainError: something that the caller can put right, in retrain.py's words.
        VerificationError: an export does not answer as the training did, a defect of this project.
    """
    require(
        module is None or "tfhub_module" not in settings,
        "module and tfhub_module are one setting, to be given once",
        f"{module} and {settings.get('tfhub_module')}",
    )
    named = {"tfhub_module": module, "output_dir": output_dir}
    settings |= {"image_dir": image_dir}
    settings |= {name: value for name, value in named.items() if value is not None}
    config = _config(settings)
    history = History()
    with as_a_library(config.logging_verbosity):
        ended = story.run(config, label_image="label-image", also=(history, TrainingBar()))
    return Run(run_folder.placed(config), ended, history)


def compare(
    image_dir: Path,
    modules: Iterable[Path] | Path,
    *,
    output_dir: Path | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Returns how modules do on a folder of photos, a row each, the best first.

    Columns: those of --compare_file, of which docs/modules.md tells.

    Args:
        image_dir: folder of photos, one sub-folder a class.
        modules: at least two, each as --tfhub_module names one.
        output_dir: folder for the log, and for files that are named; as --output_dir.
        settings: others, as for `train`.

    Raises:
        RetrainError: as for `train`; or none of the modules can be used.
    """
    given_ones = [modules] if isinstance(modules, str | os.PathLike) else list(modules)
    names = [os.fspath(name) for name in given_ones]
    require(len(names) >= 2, "modules must be at least 2", len(names))
    for name in names:
        require("," not in name, "A module's name must hold no comma to be compared", name)
    settings |= {"image_dir": image_dir, "compare_modules": ",".join(names)}
    if output_dir is not None:
        settings["output_dir"] = output_dir
    config = _config(settings)
    with as_a_library(config.logging_verbosity):
        found = story.compare(config)
    return tables().DataFrame(comparison_rows(found))


def _config(settings: Mapping[str, Any]) -> RetrainConfig:
    """Returns the settings of retrain.py that are given here.

    Raises:
        SettingError: there is no such setting, or its value cannot be used.
    """
    # A setting here under its short name alone, which a mistyped one may be near to.
    known = {"module", *(one.name for one in settings_of(RetrainConfig))} - set(_NOT_HERE)
    values = given(settings, known, script="retrain.py")
    for name, value in values.items():
        if isinstance(value, str):
            check_name(name, value)
    return RetrainConfig(**{"logging_verbosity": "WARN", **values}, named=frozenset(values))
