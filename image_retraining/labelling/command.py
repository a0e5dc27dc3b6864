"""The command that labels photos: settings from the command line, answers on the screen."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from absl import logging

from image_retraining.foundation.command_line import run_script
from image_retraining.foundation.errors import PhotoError, unwritable
from image_retraining.foundation.files import growing
from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.lists import listed
from image_retraining.foundation.places import Kind, kind_of, open_stream
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Prediction
from image_retraining.foundation.screen import now, on_screen, tell
from image_retraining.foundation.streams import TextOutput
from image_retraining.foundation.text import shown
from image_retraining.labelling.answers import Answer, formatter
from image_retraining.labelling.config import LabelConfig, check_files, check_photos
from image_retraining.labelling.outputs import check_are_no_photos, check_outputs

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
    check_outputs(config)
    with on_screen(whole_log=True):
        return _labelled(config)


def _labelled(config: LabelConfig) -> int:
    """Returns the exit status after labelling what the settings say."""
    now("Starting TensorFlow")
    import_tensorflow()
    from image_retraining.labelling.album import Album  # noqa: PLC0415
    from image_retraining.labelling.labeller import Labeller, photo_paths  # noqa: PLC0415
    from image_retraining.labelling.plates import Plates  # noqa: PLC0415

    now("Loading the graph")
    labeller = Labeller(config)
    plates, album = Plates(labeller, config.heatmap_dir), Album(labeller, config)
    paths = photo_paths(config.image, _names())
    check_are_no_photos(config, paths)
    start, text = formatter(config.format, top_k=config.top_k, with_paths=len(paths) > 1)
    failures = 0
    # On the screen the answers themselves show how far it is.
    progress = Progress("Labelling", len(paths)) if config.output else contextlib.nullcontext()
    # The answers may go to the same terminal.
    now("")
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
            if config.report:
                album.add(prediction, answer)
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
    if config.report:
        album.write()
    return 2 if failures else 0


def _all_went_well(plates: "Plates", prediction: Prediction, answer: Answer) -> bool:
    """Draws the evidence for an answer, if asked to; says what was wrong with its photo."""
    errors = [f"{answer.path}: {answer.error}"] if answer.error else []
    try:
        plates.draw(prediction)
    except PhotoError as error:
        errors.append(str(error))
    if answer.damage:
        tell(f"WARNING: {shown(answer.path)}: {answer.damage}")
    for line in errors:
        tell(f"ERROR: {shown(line)}")
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
