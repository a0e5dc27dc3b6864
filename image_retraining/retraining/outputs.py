"""Where the results of a training go: checked before the work, so that it is not done in vain."""

import os

from image_retraining.exports.versions import version_folder
from image_retraining.foundation.places import Kind, is_null, kind_of
from image_retraining.foundation.settings import (
    check_writable_file,
    check_writable_folder,
    require,
)
from image_retraining.foundation.text import shown
from image_retraining.photos.file_kinds import has_photo_ending
from image_retraining.reports.event_files import RUNS
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig

# Results that are read again, to write what stands beside them or to go on.
_READ_AGAIN = ("output_graph", "checkpoint_path")
# What the settings may name besides folders and results.
_FILES_THAT_ARE_READ = ("class_weight", "tfhub_module")


def check_outputs(config: RetrainConfig) -> None:
    """Checks that every output can be written, so that a long run does not end in vain.

    Raises:
        SettingError: a folder is missing and cannot be made, or a path is of the wrong kind.
    """
    _check_folders(config)
    files = ["output_graph", "output_labels", "checkpoint_path"]
    files += [
        name
        for name in ("metrics_file", "label_issues_file", "tflite_output_file", "onnx_output_file")
        if getattr(config, name)
    ]
    for name in files:
        _check_file(name, getattr(config, name))
    # What is written into may be named twice, as /dev/null.
    replaced = [name for name in files if kind_of(getattr(config, name)) is not Kind.STREAM]
    require(
        len({os.path.realpath(getattr(config, name)) for name in replaced}) == len(replaced),
        f"{', '.join(f'--{name}' for name in files)} must be different files",
        ", ".join(getattr(config, name) for name in files),
    )
    derived = run_folder.derived(config)
    for what, path in derived.items():
        require(
            not os.path.isdir(path),
            f"There must be no folder where {what} goes",
            f"{path}, which is one",
        )
        require(
            kind_of(path) in (Kind.FILE, Kind.NOTHING) or is_null(path),
            f"There must be a regular file, or none, where {what} goes",
            path,
        )
    read = {f"--{name}": getattr(config, name) for name in _FILES_THAT_ARE_READ}
    others = derived | {what: path for what, path in read.items() if os.path.isfile(path)}
    for what, path in others.items():
        for name in replaced:
            require(
                os.path.realpath(getattr(config, name)) != os.path.realpath(path),
                f"--{name} must be another file than {what}",
                path,
            )


def _check_file(name: str, path: str) -> None:
    """Checks a result: a device or a pipe may take those that are not read again."""
    if name == "checkpoint_path" and is_null(path):
        return
    check_writable_file(name, path, takes_streams=name not in _READ_AGAIN)
    is_photo = has_photo_ending(path) and os.path.lexists(path)
    require(not is_photo, f"--{name} must not be a photo", f"{path}, which has the name of one")


def _check_folders(config: RetrainConfig) -> None:
    """Makes them, so that a file of the same name is noticed as well."""
    require(
        config.summaries_dir.encode(errors="ignore").decode() == config.summaries_dir,
        "--summaries_dir must be a name in UTF-8, for TensorBoard takes no other",
        shown(config.summaries_dir),
    )
    check_writable_folder("summaries_dir", config.summaries_dir)
    for run in RUNS:
        check_writable_folder("summaries_dir", os.path.join(config.summaries_dir, run))
    if config.intermediate_store_frequency:
        name = "intermediate_output_graphs_dir"
        check_writable_folder(name, config.intermediate_output_graphs_dir)
    if config.saved_model_dir:
        folder = os.path.abspath(
            version_folder(config.saved_model_dir, overwrite=run_folder.may_replace(config))
        )
        # Servers take up what has a number, even while it is empty.
        is_numbered = os.path.basename(folder).isdecimal()
        check_writable_folder("saved_model_dir", os.path.dirname(folder) if is_numbered else folder)
