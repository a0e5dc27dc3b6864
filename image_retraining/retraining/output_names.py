"""Whether the results of a training have places of their own, told by their names alone.

Nothing is made for it: a folder of a name that was mistyped would be in the way of the right one.
"""

import os
from collections.abc import Iterator
from itertools import combinations, product

from image_retraining.cache.vectors import FILE_NAME
from image_retraining.foundation.places import Kind, kind_of
from image_retraining.foundation.settings import check_file_name, require
from image_retraining.foundation.text import shown
from image_retraining.reports.event_files import RUNS
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig

_FILES = ("output_graph", "output_labels", "checkpoint_path")
_FILES_IF_NAMED = (
    *("metrics_file", "label_issues_file", "label_next_file", "compare_file", "compare_plot_file"),
    "report_file",
    *("tflite_output_file", "onnx_output_file"),
)
# What the settings may name besides folders and results.
_FILES_THAT_ARE_READ = ("class_weight", "tfhub_module")


def check_output_names(config: RetrainConfig) -> None:
    """Checks that no result takes the place of another, or of what is written and read besides.

    Args:
        config: the settings, `placed`.

    Raises:
        SettingError: one does, or has a name that no such thing can have.
    """
    _check_encoding(config)
    for name in result_files(config):
        check_file_name(name, getattr(config, name))
    # What is written into may be named twice, as /dev/null.
    files = [(what, path) for what, path in _files(config) if kind_of(path) is not Kind.STREAM]
    read = [(f"--{name}", getattr(config, name)) for name in _FILES_THAT_ARE_READ]
    read = [(what, path) for what, path in read if os.path.isfile(path)]
    for (first, path), (second, other) in (*combinations(files, 2), *product(files, read)):
        _require(not _same(path, other), f"{first} must be another file than {second}", path)
    folders = list(_folders(config))
    for file, path in files:
        for what, other in folders:
            _require(not _same(path, other), f"{what} must be another place than {file}", other)
        for what, other in folders + files:
            rule = f"{what} must not lie in {file}, which is a file"
            _require(not _lies_in(path, other), rule, other)
    if config.saved_model_dir:
        _check_alone(config.saved_model_dir, folders + files)


def result_files(config: RetrainConfig) -> tuple[str, ...]:
    """Returns the settings that name a file to be written."""
    return (*_FILES, *(name for name in _FILES_IF_NAMED if getattr(config, name)))


def _files(config: RetrainConfig) -> Iterator[tuple[str, str]]:
    """Yields what is written to a file, and where."""
    for name in result_files(config):
        yield f"--{name}", getattr(config, name)
    yield from run_folder.derived(config).items()
    yield "the file of --bottleneck_dir", os.path.join(config.bottleneck_dir, FILE_NAME)


def _folders(config: RetrainConfig) -> Iterator[tuple[str, str]]:
    """Yields what is a folder, and where; the SavedModel's last, which is a folder of its own."""
    names = ["output_dir", "summaries_dir", "bottleneck_dir", "tfhub_cache_dir"]
    if config.intermediate_store_frequency:
        names.append("intermediate_output_graphs_dir")
    for name in (*names, "saved_model_dir"):
        if getattr(config, name):
            yield f"--{name}", getattr(config, name)
        if name == "summaries_dir" and config.summaries_dir:
            for run in RUNS:
                yield f"the folder {run} of --{name}", os.path.join(config.summaries_dir, run)


def _check_encoding(config: RetrainConfig) -> None:
    """Checks the folder of TensorBoard's logs, by the flag that a person has given for it."""
    for name in ("output_dir", "summaries_dir"):
        folder = getattr(config, name)
        decides = folder == config.summaries_dir or config.summaries_dir.startswith(
            os.path.join(folder, "")
        )
        require(
            not folder or not decides or _is_utf_8(folder),
            f"--{name} must be a name in UTF-8, for TensorBoard takes no other",
            shown(folder),
        )


def _check_alone(saved_model_dir: str, others: list[tuple[str, str]]) -> None:
    for what, path in others:
        is_itself = what == "--saved_model_dir"
        require(
            is_itself or not (_same(path, saved_model_dir) or _lies_in(saved_model_dir, path)),
            "--saved_model_dir must be a folder for a SavedModel, or its versions, alone",
            f"{saved_model_dir}, where {what} goes",
        )


def _is_utf_8(name: str) -> bool:
    return name.encode(errors="ignore").decode() == name


def _same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _lies_in(folder: str, path: str) -> bool:
    """Whether a path leads below another one; both need not be there."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


def _require(holds: bool, rule: str, got: str) -> None:  # noqa: FBT001 - as in `require`
    require(holds, rule[0].upper() + rule[1:], got)
