import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from image_retraining.evaluation.calibration import Calibration, Reliability
from image_retraining.foundation.records import Evaluation
from image_retraining.reports import reliability_picture
from image_retraining.reports.calibration_board import write_to_tensorboard
from image_retraining.reports.calibration_lines import calibration_line
from image_retraining.reports.training_board import TensorBoardWriter

SOME = Calibration(
    temperature=1.25, threshold=0.4142, error_before=0.0708, error_after=0.03125, photo_count=113
)
EVALUATION = Evaluation(
    logits=np.array([[2, 0], [0, 3], [1, 0]], np.float32),
    label_ids=np.array([0, 1, 1], np.int32),
    accuracy=2 / 3,
    cross_entropy=0.5,
    weighted_cross_entropy=0.5,
)


def test_the_line() -> None:
    assert calibration_line(SOME) == (
        "Calibration on 113 validation photos: temperature 1.25, expected calibration error 7.1% "
        "before and 3.1% after; answers below 0.414 are unknown"
    )


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            Calibration(20.0, 0.0, 1.0, 0.5, 50),
            (
                "Calibration on 50 validation photos: temperature 20, expected calibration error "
                "100.0% before and 50.0% after; no answer is unknown, for that takes 20 right "
                "answers"
            ),
        ),
        (
            Calibration(1.0, 0.25, 0.102, 0.102, 60),
            (
                "Calibration on 60 validation photos: temperature 1, for the one that fits best "
                "does not lower the expected calibration error of 10.2%; answers below 0.250 are "
                "unknown"
            ),
        ),
        (
            Calibration(1.0, 0.25, 0.102, 0.102, 49),
            (
                "No calibration: of 49 validation photos a temperature would be chance, it takes "
                "50; expected calibration error 10.2%; answers below 0.250 are unknown"
            ),
        ),
        (
            Calibration(1.0, 0.0, 1.0, 1.0, 1),
            (
                "No calibration: of 1 validation photo a temperature would be chance, it takes 50; "
                "expected calibration error 100.0%; no answer is unknown, for that takes 20 right "
                "answers"
            ),
        ),
    ],
)
def test_the_line_of_what_nobody_can_tell(found: Calibration, line: str) -> None:
    assert calibration_line(found) == line


def test_tensorboard_shows_it_beside_the_validation(tmp_path: Path) -> None:
    with TensorBoardWriter(str(tmp_path), step_count=11, keep_earlier=False):
        pass
    write_to_tensorboard(str(tmp_path), SOME, EVALUATION, step=7)
    found: Any = EventAccumulator(str(tmp_path / "validation")).Reload()
    values = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert values == {
        "calibration/error_before": np.float32(0.0708),
        "calibration/error_after": 0.03125,
        "calibration/temperature": 1.25,
    }
    (picture,) = found.Images("calibration/reliability")
    assert picture.step == 7
    with Image.open(io.BytesIO(picture.encoded_image_string)) as image:
        assert (image.format, image.size) == ("PNG", (picture.width, picture.height))
    # A later run's curves come without it.
    with TensorBoardWriter(str(tmp_path), step_count=11, keep_earlier=False):
        pass
    later: Any = EventAccumulator(str(tmp_path / "validation")).Reload()
    assert later.Tags()["scalars"] == []


def test_without_a_temperature_there_is_nothing_to_compare(tmp_path: Path) -> None:
    sizes = []
    for number, temperature in enumerate((1.25, 1.0)):
        folder = tmp_path / str(number)
        found = Calibration(temperature, 0.5, 0.1, 0.1, 60)
        write_to_tensorboard(str(folder), found, EVALUATION)
        events: Any = EventAccumulator(str(folder / "validation")).Reload()
        (picture,) = events.Images("calibration/reliability")
        sizes.append(picture.width)
        assert events.Scalars("calibration/error_after")[0].value == np.float32(0.1)
    # Two diagrams of 300 pixels, and one.
    assert sizes[0] > 600
    assert sizes[1] < 600


def bars(accuracy: list[float], counts: list[float]) -> list[float]:
    """Returns the heights, 0 to 1, of a drawn diagram's bars."""
    found = Reliability(np.array(counts), np.full(len(counts), 0.99), np.array(accuracy))
    picture = reliability_picture.draw({"": found})
    with Image.open(io.BytesIO(picture.png)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    is_bar = (pixels == [107, 174, 214]).all(axis=2)
    # The diagram is 300 pixels wide, 30 from the left.
    centres = [30 + int(300 * (place + 0.4) / len(counts)) for place in range(len(counts))]
    return [is_bar[:, centre].sum() / 300 for centre in centres]


@pytest.mark.parametrize("accuracy", [[0.25, 0.5, 0.75, 1.0], [0.0, 1.0, 0.1, 0.6]])
def test_bars_are_as_high_as_the_share_of_right_answers(accuracy: list[float]) -> None:
    # The frames and the line take some pixels of them.
    assert bars(accuracy, [1, 2, 3, 4]) == pytest.approx(accuracy, abs=0.015)
    assert bars(accuracy, [0, 0, 3, 4])[:2] == [0, 0]
