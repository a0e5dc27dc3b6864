"""Photos → TensorBoard: the test photos answered wrongly, and the projector's points."""

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb

from image_retraining.foundation.text import shown
from image_retraining.reports import projector_files
from image_retraining.reports.event_files import (
    PHOTOS_RUN,
    image_value,
    remove_earlier,
    write_summaries,
)
from image_retraining.reports.html.choice import Illustrated
from image_retraining.reports.markdown import escaped

MOST_WRONG = 20


def write_to_tensorboard(summaries_dir: str, found: Illustrated, *, step: int) -> None:
    """Writes photos/, in place of what an earlier run of this tool wrote there.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        found: the pictures.
        step: the training step whose head answered, from 0.

    Raises:
        OutputError: it cannot be written.
    """
    remove_earlier(summaries_dir, [PHOTOS_RUN])
    write_summaries(summaries_dir, PHOTOS_RUN, _summaries(found), step=step)
    projector_files.write(Path(summaries_dir, PHOTOS_RUN), found.points)


def _summaries(found: Illustrated) -> Iterator[Summary]:
    points, choice = found.points, found.choice
    lines = [
        f"The projector has {len(points.paths)} of {points.count} photos, evenly over the classes.",
        f"{choice.wrong_count} test photos were answered wrongly. The surest answers of them:",
    ]
    for place, answer in enumerate(choice.wrong[:MOST_WRONG], start=1):
        given, answered = (points.labels[one] for one in (answer.label_id, answer.answer_id))
        what = f"{shown(given)} answered as {shown(answered)} ({answer.probability * 100:.0f}%)"
        lines.append(f"{place}. {escaped(what)}: {escaped(answer.path)}")
        if answer.path in found.photos:
            jpeg = found.photos[answer.path]
            with Image.open(io.BytesIO(jpeg)) as picture:
                size = picture.size
            tag = f"wrong answers/{place:02} {what}"
            yield Summary(value=[image_value(tag, jpeg, size, about=escaped(answer.path))])
    yield text_pb("photos", "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]))
