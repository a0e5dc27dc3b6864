"""What label_image.py may write, and where: checked before any photo is labelled."""

import contextlib
import os
from collections.abc import Mapping, Sequence

from image_retraining.foundation.files import partial_path
from image_retraining.foundation.places import Kind, followed, kind_of
from image_retraining.foundation.settings import check_writable_file, check_writable_folder, require
from image_retraining.labelling.config import LabelConfig


def check_outputs(config: LabelConfig) -> None:
    """Checks that what is to be written can be, and replaces nothing that is read.

    Raises:
        SettingError: it cannot be, or it would.
    """
    for name, path in _files(config).items():
        check_writable_file(name, path, takes_streams=name == "output")
        _check_are_none_of(name, path, _read_files(config))
        _check_is_no_folder(name, path, config.heatmap_dir)
    if config.output and config.report:
        places = {os.path.realpath(place) for place in _places(config.output)}
        is_one = os.path.realpath(followed(config.report)) in places
        require(not is_one, "--report must be another file than --output", config.report)
    if config.heatmap_dir:
        # It is made for the first picture, if there is one.
        check_writable_folder("heatmap_dir", _nearest(config.heatmap_dir))


def _nearest(folder: str) -> str:
    """Returns the folder, or the first above it that exists."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(os.path.abspath(folder))
    return folder


def check_are_no_photos(config: LabelConfig, paths: Sequence[str]) -> None:
    """Raises SettingError if what is to be written is a photo that is to be labelled."""
    for name, path in _files(config).items():
        _check_are_none_of(name, path, {photo: photo for photo in paths})


def _files(config: LabelConfig) -> dict[str, str]:
    """Returns the files that are asked for, by the name of their setting."""
    named = {"output": config.output, "report": config.report}
    return {name: path for name, path in named.items() if path}


def _read_files(config: LabelConfig) -> dict[str, str]:
    """Returns what is read of a classifier, besides photos: what it is called → the file."""
    # Half a second that --help need not wait for.
    from image_retraining.exports.facts import facts_path  # noqa: PLC0415
    from image_retraining.exports.run_folder import GRAPH, LABELS, SETTINGS  # noqa: PLC0415

    read = {"--graph": config.graph, "--labels": config.labels}
    read |= {
        f"{name} of the run": os.path.join(config.graph, name)
        for name in (GRAPH, LABELS, SETTINGS, facts_path(GRAPH))
    }
    return read | {"what is beside --graph": facts_path(config.graph)}


def _places(path: str) -> tuple[str, str]:
    """Returns where a file is written: its own place, and where it may grow."""
    return path, str(partial_path(path))


def _check_are_none_of(name: str, output: str, read: Mapping[str, str]) -> None:
    """Raises SettingError if a file, or what grows beside it, is one that is read."""
    for place in _places(output):
        if kind_of(place) is not Kind.FILE:
            continue
        for what, path in read.items():
            with contextlib.suppress(OSError):
                is_one = os.path.samefile(place, path)
                require(not is_one, f"--{name} must be another file than {what}", place)


def _check_is_no_folder(name: str, output: str, heatmap_dir: str) -> None:
    """Raises SettingError if the folder of pictures is, or is below, the file of the answers."""
    if heatmap_dir and kind_of(output) is not Kind.STREAM:
        pictures = os.path.join(os.path.realpath(heatmap_dir), "")
        require(
            not pictures.startswith(os.path.join(os.path.realpath(output), "")),
            f"--{name} must be another place than --heatmap_dir, and than the folders it lies in",
            output,
        )
