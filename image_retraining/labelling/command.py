"""The command that labels photos: settings from the command line, answers on the screen."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from absl import logging

from image_retraining.foundation.command_line import import_tensorflow, run_script
from image_retraining.foundation.errors import PhotoError, unwritable
from image_retraining.foundation.files import growing, partial_path
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.lists import listed
from image_retraining.foundation.places import Kind, kind_of, open_stream
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Prediction
from image_retraining.foundation.settings import check_writable_file, check_writable_folder, require
from image_retraining.foundation.streams import TextOutput
from image_retraining.foundation.text import shown
from image_retraining.labelling.answers import Answer, formatter
from image_retraining.labelling.config import LabelConfig, check_files, check_photos

if TYPE_CHECKING:
    from image_retraining.labelling.plates import Plates

ABOUT = """
Labels photos with a graph that retrain.py has written: the five best labels of each photo.

  {label_image} --graph=/tmp/output_graph.pb --labels=/tmp/output_labels.txt --image=X.jpg

Several photos and folders can be given, with --image or without; --image=- reads their names from
standard input, a name a line, or as find -print0 writes them.
"""


def main(*, label_image: str = "label-image") -> None:
    """Runs the command; does not return.

    Args:
        label_image: what this command is called where it runs.
    """
    about = ABOUT.format(label_image=label_image)
    run_script(run, LabelConfig, about=about, positional="image")


def run(config: LabelConfig) -> int:
    """Returns the exit status after labelling: 0, or 2 if a photo could not be read."""
    check_photos(config)
    check_files(config)
    if config.output:
        check_writable_file("output", config.output)
        _check_are_none_of(config.output, _read_files(config))
        _check_is_no_folder(config.output, config.heatmap_dir)
    if config.heatmap_dir and os.path.lexists(config.heatmap_dir):
        check_writable_folder("heatmap_dir", config.heatmap_dir)
    import_tensorflow()
    from image_retraining.labelling.labeller import Labeller, photo_paths  # noqa: PLC0415
    from image_retraining.labelling.plates import Plates  # noqa: PLC0415

    labeller = Labeller(config)
    plates = Plates(labeller, config.heatmap_dir)
    paths = photo_paths(config.image, _names())
    if config.output:
        _check_are_none_of(config.output, {path: path for path in paths})
    start, text = formatter(config.format, top_k=config.top_k, with_paths=len(paths) > 1)
    failures = 0
    # On the screen the answers themselves show how far it is.
    progress = Progress("Labelling", len(paths)) if config.output else contextlib.nullcontext()
    with (
        _output(config.output) as output,
        contextlib.closing(labeller.predictions(paths)) as predictions,
        progress as bar,
    ):
        output.write(start)
        for prediction in predictions:
            answer = labeller.answer(prediction)
            output.write(text(answer))
            output.flush()
            failures += not _all_went_well(plates, prediction, answer)
            if bar:
                bar.advance()
            raise_if_interrupted()
    if config.output:
        logging.info(
            "Labelled %d photos into %s; %d could not be read",
            len(paths) - failures,
            config.output,
            failures,
        )
    return 2 if failures else 0


def _all_went_well(plates: "Plates", prediction: Prediction, answer: Answer) -> bool:
    """Draws the evidence for an answer, if asked to; says what was wrong with its photo."""
    errors = [f"{answer.path}: {answer.error}"] if answer.error else []
    try:
        plates.draw(prediction)
    except PhotoError as error:
        errors.append(str(error))
    if answer.damage:
        sys.stderr.write(f"WARNING: {shown(answer.path)}: {answer.damage}\n")
    for line in errors:
        sys.stderr.write(f"ERROR: {shown(line)}\n")
    return not errors


@contextlib.contextmanager
def _output(path: str) -> Iterator[TextIO]:
    """Gives where to write: a file that has its name when all is written, a device, the screen."""
    if not path:
        yield sys.stdout
        return
    if kind_of(path) is Kind.STREAM:
        with _opened(path) as stream:
            yield stream
        return
    with growing(path) as file:
        yield file


def _opened(path: str) -> TextOutput:
    """Returns a device or a pipe to write to.

    Raises:
        OutputError: it cannot be opened.
    """
    try:
        return TextOutput(open_stream(path), name=path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise unwritable(path, error) from error


def _names() -> Iterator[str]:
    """Yields the names on standard input, which is read when the first is asked for.

    Raises:
        PhotoError: they are no text.
    """
    try:
        yield from listed(sys.stdin.buffer.read())
    except UnicodeError as error:
        raise PhotoError(
            f"--image=- must be given names in UTF-8 or UTF-16. Got other: {error}."
        ) from error


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


def _check_are_none_of(output: str, read: Mapping[str, str]) -> None:
    """Raises SettingError if the answers, or what grows beside them, are a file that is read."""
    for place in (output, str(partial_path(output))):
        if kind_of(place) is not Kind.FILE:
            continue
        for what, path in read.items():
            with contextlib.suppress(OSError):
                is_one = os.path.samefile(place, path)
                require(not is_one, f"--output must be another file than {what}", place)


def _check_is_no_folder(output: str, heatmap_dir: str) -> None:
    """Raises SettingError if the folder of pictures is, or is below, the file of the answers."""
    if heatmap_dir and kind_of(output) is not Kind.STREAM:
        pictures = os.path.join(os.path.realpath(heatmap_dir), "")
        require(
            not pictures.startswith(os.path.join(os.path.realpath(output), "")),
            "--output must be another place than --heatmap_dir, and than the folders it lies in",
            output,
        )
