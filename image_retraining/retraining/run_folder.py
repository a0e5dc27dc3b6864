"""A run is one folder, if one likes: which result lies where in --output_dir."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, NoReturn

from absl import logging

from image_retraining.exports import run_folder
from image_retraining.exports.facts import facts_path
from image_retraining.exports.unknown_file import unknown_path
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.files import clear_left
from image_retraining.foundation.lock import lock
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.settings import check_writable_folder, require
from image_retraining.retraining.config import FINE_TUNE_ENDING, RetrainConfig

# Setting of a result → its name in the folder; '' of what is written only if it is named.
NAMES = {
    "output_graph": run_folder.GRAPH,
    "output_labels": run_folder.LABELS,
    "summaries_dir": "logs",
    "checkpoint_path": "checkpoint",
    "intermediate_output_graphs_dir": "intermediate_graphs",
    "saved_model_dir": "",
    "tflite_output_file": "",
    "onnx_output_file": "",
    "metrics_file": "",
    "label_issues_file": "",
    "label_next_file": "",
    "compare_file": "",
    "compare_plot_file": "",
    "report_file": "report.html",
}
_LOG, _LOCK = "run.log", ".lock"
# Results that an earlier run may have left where this one writes none; the others are no results.
_KEPT = ("summaries_dir", "checkpoint_path", "intermediate_output_graphs_dir")


def placed(config: RetrainConfig) -> RetrainConfig:
    """Returns the settings with all results in --output_dir, if that is given.

    Without it only the report is placed, beside the graph.

    A result that is named keeps its name, which is taken from the folder on unless it is absolute.
    """
    defaults = {field.name: field.default for field in fields(config)}
    if not config.output_dir:
        if "report_file" in config.named or config.report_file != defaults["report_file"]:
            return config
        beside = os.path.join(os.path.dirname(config.output_graph), NAMES["report_file"])
        return replace(config, report_file=beside)
    places: dict[str, Any] = {}
    for name, usual in NAMES.items():
        value = getattr(config, name)
        is_named = name in config.named or value != defaults[name]
        if is_named or usual:
            path = value if is_named else usual
            # An empty name stays one, for whoever checks it.
            places[name] = os.path.join(config.output_dir, path) if path else path
    return replace(config, **places)


def check(config: RetrainConfig) -> None:
    """Checks that no finished run is overwritten unless that is wanted.

    Args:
        config: the settings, `placed`.

    Raises:
        SettingError: one would be, or the folder cannot be made.
    """
    require(
        bool(config.output_dir) or not config.overwrite,
        "--overwrite is for the folder of a run: it needs --output_dir",
        "none",
    )
    if not config.output_dir:
        return
    folder = os.path.realpath(config.output_dir)
    for photos in _photo_folders(config.image_dir):
        require(
            os.path.commonpath([photos, folder]) != photos,
            "--output_dir must not lie in --image_dir, whose folders are classes",
            config.output_dir,
        )
    check_writable_folder("output_dir", config.output_dir)
    if os.path.lexists(settings_path(config)) and run_folder.said_by(config.output_dir) is None:
        raise SettingError(
            f"--output_dir must not hold a {run_folder.SETTINGS} of another program, or a damaged "
            f"one. Got {config.output_dir}, which does. Name another folder, or remove the file."
        )
    if holds_finished_run(config) and not config.overwrite:
        raise SettingError(
            f"--output_dir must not hold a finished run. Got {config.output_dir}, which does. Name "
            "another folder, or give --overwrite to replace what is in it."
        )


@contextlib.contextmanager
def held(config: RetrainConfig) -> Iterator[None]:
    """Checks the folder, and keeps other runs from writing into it meanwhile.

    What runs that were killed have left half-written in it is removed.

    Args:
        config: the settings, `placed`.

    Raises:
        SettingError: as for `check`; or another run is writing into it.
    """

    def refuse(holder: str) -> NoReturn:
        raise SettingError(
            f"--output_dir must not be one that another run writes into. Got {config.output_dir}, "
            f"where {holder}, does. Wait until it has ended, or name another folder."
        )

    check(config)
    is_ours = False
    with contextlib.ExitStack() as undo:
        if config.output_dir:
            # Where nothing can be locked, as on some network folders, runs go on without.
            with contextlib.suppress(OSError, NotImplementedError):
                undo.callback(lock(os.path.join(config.output_dir, _LOCK), refuse))
                is_ours = True
            # A run that has just ended has finished meanwhile.
            check(config)
            if is_ours:
                _clear(config)
        yield


def holds_finished_run(config: RetrainConfig) -> bool:
    """Whether there is a run in --output_dir, and it has finished."""
    return bool(config.output_dir) and run_folder.holds_finished_run(config.output_dir)


def warn_of_unfinished(config: RetrainConfig) -> None:
    """Warns if a training that was interrupted would be started anew, unasked.

    Args:
        config: the settings, `placed`.
    """
    run = run_folder.said_by(config.output_dir) if config.output_dir else None
    is_unfinished = run is not None and not run["finished"]
    if is_unfinished and not config.resume and os.path.isfile(config.checkpoint_path):
        logging.warning(
            "WARNING: %s holds an interrupted training, which this run starts anew. To go on with "
            "it, stop now and give the same command with --resume.",
            config.output_dir,
        )


def going_on(config: RetrainConfig) -> RetrainConfig:
    """Returns the settings with the module that was chosen, if that training is to be resumed.

    Args:
        config: the settings, `placed`.

    Raises:
        SettingError: nobody can tell which module it was.
    """
    if not (config.compare_modules and config.resume):
        return config
    run = run_folder.said_by(config.output_dir) if config.output_dir else None
    before = str(run["settings"].get("tfhub_module")) if run and not run["finished"] else ""
    if before not in config.modules_to_compare:
        raise SettingError(
            "--resume goes on with the module that --compare_modules has chosen, which is told by "
            f"an interrupted training in --output_dir. Got {config.output_dir or 'none'}, where "
            "there is none. Name that module with --tfhub_module instead."
        )
    notice("Going on with %s, which was chosen before", before)
    return config.with_module(before)


def may_replace(config: RetrainConfig) -> bool:
    """Whether a SavedModel of ours may be replaced: asked for, or left by the run that is resumed.

    Args:
        config: the settings, `placed`.
    """
    run = run_folder.said_by(config.output_dir) if config.output_dir else None
    if config.overwrite or run is None or run["finished"] or not config.resume:
        return config.overwrite
    before = str(run["settings"].get("saved_model_dir") or "")
    return bool(before) and os.path.abspath(before) == os.path.abspath(config.saved_model_dir)


def left_over(config: RetrainConfig) -> tuple[str, ...]:
    """Returns the results of the run in --output_dir that this one will not replace.

    Args:
        config: the settings, `placed`.
    """
    run = run_folder.said_by(config.output_dir) if config.output_dir else None
    if run is None:
        return ()
    results = [name for name in NAMES if name not in _KEPT]
    now = {os.path.abspath(getattr(config, name)) for name in results if getattr(config, name)}
    before = [str(run["settings"].get(name) or "") for name in results]
    return tuple(
        path
        for path in before
        if path and os.path.exists(path) and os.path.abspath(path) not in now
    )


def _clear(config: RetrainConfig) -> None:
    """Removes what was left half-written in --output_dir, which is locked."""
    for path in (*(getattr(config, name) for name in NAMES), *derived(config).values()):
        if path and os.path.realpath(os.path.dirname(path)) == os.path.realpath(config.output_dir):
            clear_left(path)


def _photo_folders(image_dir: str) -> list[str]:
    """Returns where photos really lie: --image_dir, and what links in it lead to."""
    if not image_dir:
        return []
    links: list[str] = []
    with contextlib.suppress(OSError), os.scandir(image_dir) as entries:
        links = [entry.path for entry in entries if entry.is_symlink()]
    return [os.path.realpath(path) for path in (image_dir, *links)]


def settings_path(config: RetrainConfig) -> str:
    """Returns where the settings of the run are kept; --output_dir is given."""
    return os.path.join(config.output_dir, run_folder.SETTINGS)


def derived(config: RetrainConfig) -> dict[str, str]:
    """Returns what is written besides the results that settings name → where.

    Args:
        config: the settings, `placed`.
    """
    places = {
        "what is written beside --output_graph": facts_path(config.output_graph),
        "what tells unknown photos": unknown_path(config.output_graph),
        "the log of the run": log_path(config),
    }
    if config.fine_tune:
        places["the state of the fine-tuning"] = f"{config.checkpoint_path}{FINE_TUNE_ENDING}"
    if config.output_dir:
        places["the settings file of the run"] = settings_path(config)
        places["the lock of the run"] = os.path.join(config.output_dir, _LOCK)
    return places


def log_path(config: RetrainConfig) -> str:
    """Returns where all lines of the run are kept."""
    return os.path.join(config.output_dir or config.summaries_dir, _LOG)


def graph_to_name(config: RetrainConfig) -> tuple[str, ...]:
    """Returns the flags by which label_image.py finds what the run has written.

    Args:
        config: the settings, `placed`.
    """
    place = to_open(config)
    labels = () if place == config.output_dir else (f"--labels={config.output_labels}",)
    return (f"--graph={place}", *labels)


def to_open(config: RetrainConfig) -> str:
    """Returns what a reader opens: the folder of the run, or the graph where it is elsewhere.

    Args:
        config: the settings, `placed`.
    """
    folder = config.output_dir
    usual = [os.path.join(folder, name) for name in (run_folder.GRAPH, run_folder.LABELS)]
    is_usual = usual == [config.output_graph, config.output_labels]
    return folder if folder and is_usual else config.output_graph
