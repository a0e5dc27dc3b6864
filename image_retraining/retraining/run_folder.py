"""A run is one folder, if one likes: which result lies where in --output_dir."""

import os
from dataclasses import fields, replace
from typing import Any

from image_retraining.exports import run_folder
from image_retraining.exports.facts import facts_path
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.settings import check_writable_folder, require
from image_retraining.reports.settings_file import tells_of_a_finished_run
from image_retraining.retraining.config import RetrainConfig

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
}
_LOG = "run.log"


def placed(config: RetrainConfig) -> RetrainConfig:
    """Returns the settings with all results in --output_dir, if that is given.

    A result that is named keeps its name, which is taken from the folder on unless it is absolute.
    """
    if not config.output_dir:
        return config
    defaults = {field.name: field.default for field in fields(config)}
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
    photos, folder = (os.path.realpath(path) for path in (config.image_dir, config.output_dir))
    require(
        not config.image_dir or os.path.commonpath([photos, folder]) != photos,
        "--output_dir must not lie in --image_dir, whose folders are classes",
        config.output_dir,
    )
    check_writable_folder("output_dir", config.output_dir)
    graph = os.path.join(config.output_dir, run_folder.GRAPH)
    has_run = os.path.lexists(graph) or tells_of_a_finished_run(settings_path(config))
    if has_run and not config.overwrite:
        raise SettingError(
            f"--output_dir must not hold a finished run. Got {config.output_dir}, which does. Name "
            "another folder, or give --overwrite to replace what is in it."
        )


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
        "the log of the run": log_path(config),
    }
    return places | ({"its settings": settings_path(config)} if config.output_dir else {})


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
