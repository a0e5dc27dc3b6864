"""Where the results of a training go: checked before the work, so that it is not done in vain."""

import os

from image_retraining.exports.versions import version_folder
from image_retraining.foundation.places import Kind, is_null, kind_of
from image_retraining.foundation.settings import (
    check_writable_file,
    check_writable_folder,
    require,
    settings_of,
)
from image_retraining.photos.file_kinds import has_photo_ending
from image_retraining.reports.event_files import RUNS
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.output_names import result_files

# Results that are read again, to write what stands beside them or to go on.
_READ_AGAIN = ("output_graph", "checkpoint_path")


def check_outputs(config: RetrainConfig) -> None:
    """Checks that every output can be written, so that a long run does not end in vain.

    Args:
        config: the settings, `placed`, whose `output_names` are checked.

    Raises:
        SettingError: a folder is missing and cannot be made, or a path is of the wrong kind.
    """
    _check_folders(config)
    for name in result_files(config):
        _check_file(name, getattr(config, name))
    for what, path in run_folder.derived(config).items():
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


def _check_file(name: str, path: str) -> None:
    """Checks a result: a device or a pipe may take those that are not read again."""
    if name == "checkpoint_path" and is_null(path):
        return
    check_writable_file(name, path, takes_streams=name not in _READ_AGAIN)
    is_photo = has_photo_ending(path) and os.path.lexists(path)
    require(not is_photo, f"--{name} must not be a photo", f"{path}, which has the name of one")


def _check_folders(config: RetrainConfig) -> None:
    """Makes them, so that a file of the same name is noticed as well."""
    # Without a name of one's own they are where anybody can look them up and be first.
    is_usual = {one.name: getattr(config, one.name) == one.default for one in settings_of(config)}
    name = "summaries_dir"
    if config.compare_only and config.output_dir:
        return
    check_writable_folder(name, config.summaries_dir, is_own=is_usual[name])
    if config.compare_only:
        # The log of the run goes there, and nothing else.
        return
    for run in RUNS:
        check_writable_folder("summaries_dir", os.path.join(config.summaries_dir, run))
    if config.intermediate_store_frequency:
        name = "intermediate_output_graphs_dir"
        folder = config.intermediate_output_graphs_dir
        check_writable_folder(name, folder, is_own=is_usual[name])
    if config.saved_model_dir:
        folder = os.path.abspath(
            version_folder(config.saved_model_dir, overwrite=run_folder.may_replace(config))
        )
        # Servers take up what has a number, even while it is empty.
        is_numbered = os.path.basename(folder).isdecimal()
        check_writable_folder("saved_model_dir", os.path.dirname(folder) if is_numbered else folder)
