"""Photos in TensorBoard: the projector's files, by its own reader, and the wrong answers."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from image_retraining.foundation.errors import OutputError
from image_retraining.photos.thumbnails import as_jpeg
from image_retraining.reports import photos_board
from image_retraining.reports.event_files import remove_earlier
from image_retraining.reports.html.choice import Answer, Choice, Illustrated
from image_retraining.reports.outcome_board import Asked
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.reports.tensorboard import TensorBoard

LABELS = ("玫瑰", "<script>alert(1)</script>", "a\tb\nc|")
SHOWN = ("玫瑰", "<script>alert(1)</script>", "a\\tb\\nc|")
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
NOT_UTF_8 = "\udcff"


def jpeg(colour: tuple[int, int, int], width: int = 16, height: int = 8) -> bytes:
    return as_jpeg(Image.new("RGB", (width, height), colour))


def points(vectors: Any) -> PhotoPoints:
    """Returns seven photos, of which the fourth cannot be read any more."""
    label_ids = np.array([0, 0, 0, 1, 1, 2, 2], np.int32)
    pictures = [jpeg(COLOURS[label_id]) for label_id in label_ids]
    pictures[3] = b""
    return PhotoPoints(
        labels=LABELS,
        paths=tuple(f"/photos/{number}{NOT_UTF_8}.jpg" for number in range(7)),
        label_ids=label_ids,
        splits=("training",) * 5 + ("testing", "validation"),
        vectors=np.asarray(vectors, np.float32),
        pictures=tuple(pictures),
        side=16,
        count=700,
    )


def illustrated(vectors: Any, wrong: int = 0) -> Illustrated:
    answers = tuple(
        Answer(f"/photos/{number}_*.jpg", number % 3, (number + 1) % 3, 0.99 - number / 100)
        for number in range(wrong)
    )
    return Illustrated(
        choice=Choice((), answers, wrong, (), ()),
        photos={answer.path: jpeg((9, 9, 9), 30, 20) for answer in answers[1:]},
        heatmaps={},
        points=points(vectors),
    )


def projector(folder: Path) -> Client:
    """Returns TensorBoard's projector, of one run; it answers as its pages ask."""
    plugin = ProjectorPlugin(TBContext(logdir=str(folder)))
    apps = plugin.get_plugin_apps()
    return Client(lambda environ, start: apps[environ["PATH_INFO"]](environ, start))


ASKED = "?run=.&name=feature vectors"


@pytest.mark.parametrize("kind", ["random", "zeros", "text"])
def test_the_projector_reads_vectors_and_names(tmp_path: Path, kind: str) -> None:
    vectors: Any = {
        "random": np.random.default_rng(3).normal(size=[7, 5]),
        "zeros": np.zeros([7, 5]),
        # As bytes these are digits and ends of lines.
        "text": np.frombuffer(b"1\n2\n" * 35, np.float32).reshape(7, 5),
    }[kind]
    photos_board.write_to_tensorboard(str(tmp_path), illustrated(vectors), step=3)
    client = projector(tmp_path / "photos")
    (embedding,) = client.get("/info?run=.").get_json()["embeddings"]
    assert embedding["tensorShape"] == [7, 5]
    read = np.frombuffer(client.get(f"/tensor{ASKED}").data, np.float32).reshape(7, 5)
    np.testing.assert_allclose(read, vectors.astype(np.float32), rtol=4e-5, atol=1e-40)
    lines = client.get(f"/metadata{ASKED}").text.splitlines()
    assert lines[0].split("\t") == ["label", "set", "photo"]
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows] == [SHOWN[number] for number in (0, 0, 0, 1, 1, 2, 2)]
    assert [row[1] for row in rows] == ["training"] * 5 + ["testing", "validation"]
    assert rows[2][2] == "2\\udcff.jpg"


def test_each_point_has_its_picture(tmp_path: Path) -> None:
    photos_board.write_to_tensorboard(str(tmp_path), illustrated(np.eye(7)), step=3)
    client = projector(tmp_path / "photos")
    (embedding,) = client.get("/info?run=.").get_json()["embeddings"]
    width, height = embedding["sprite"]["singleImageDim"]
    answer = client.get(f"/sprite_image{ASKED}")
    with Image.open(io.BytesIO(answer.data)) as sheet:
        assert answer.mimetype == "image/jpeg"
        assert sheet.width == 3 * width
        middles: Any = [
            sheet.getpixel((width * (row % 3) + width // 2, height * (row // 3) + height // 2))
            for row in range(9)
        ]
    white = (255, 255, 255)
    red, green, blue = COLOURS
    expected = [red, red, red, white, green, blue, blue, white, white]
    np.testing.assert_allclose(middles, expected, atol=12)


def tags(folder: Path) -> Any:
    found = EventAccumulator(str(folder / "photos"), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_wrong_answers_are_shown_the_surest_first(tmp_path: Path) -> None:
    photos_board.write_to_tensorboard(str(tmp_path), illustrated(np.eye(7), wrong=30), step=3)
    found = tags(tmp_path)
    pictures = sorted(
        tag
        for tag in found.Tags()["tensors"]
        if found.SummaryMetadata(tag).plugin_data.plugin_name == "images"
    )
    # Of the first there is no picture any more.
    assert len(pictures) == photos_board.MOST_WRONG - 1
    assert pictures[:2] == [
        f"wrong answers/02 {SHOWN[1]} answered as {SHOWN[2]} (98%)",
        f"wrong answers/03 {SHOWN[2]} answered as {SHOWN[0]} (97%)",
    ]
    width, height, picture = found.Tensors(pictures[0])[0].tensor_proto.string_val
    assert (width, height) == (b"30", b"20")
    assert picture.startswith(b"\xff\xd8")
    about = found.SummaryMetadata(pictures[0]).summary_description
    assert about == "/photos/1&#95;&#42;&#46;jpg"
    (text,) = found.Tensors("photos")[0].tensor_proto.string_val
    assert "7 of 700 photos" in text.decode()
    assert "30 test photos were answered wrongly" in text.decode()
    assert "<script" not in text.decode()
    assert text.decode().count("answered as") == photos_board.MOST_WRONG


def test_the_files_of_an_earlier_run_are_replaced_and_no_others(tmp_path: Path) -> None:
    logs = str(tmp_path)
    photos_board.write_to_tensorboard(logs, illustrated(np.eye(7), wrong=2), step=3)
    foreign = [tmp_path / "photos" / name for name in ("vectors.bytes", "notes.tsv")]
    for path in foreign:
        path.write_bytes(b"mine")
    names = {path.name for path in (tmp_path / "photos").iterdir()}
    photos_board.write_to_tensorboard(logs, illustrated(2 * np.eye(7)), step=3)
    now = {path.name for path in (tmp_path / "photos").iterdir()}
    assert len(now) == len(names)
    assert len(tags(tmp_path).Tags()["tensors"]) == 1
    remove_earlier(logs, ["photos"])
    assert sorted((tmp_path / "photos").iterdir()) == sorted(foreign)


def test_a_config_of_others_stays(tmp_path: Path) -> None:
    config = tmp_path / "photos" / "projector_config.pbtxt"
    config.parent.mkdir()
    config.write_text("# mine\n")
    with pytest.raises(OutputError, match=r"projector_config\.pbtxt must not be another program's"):
        photos_board.write_to_tensorboard(str(tmp_path), illustrated(np.eye(7)), step=3)
    remove_earlier(str(tmp_path), ["photos"])
    assert config.read_text() == "# mine\n"


def test_what_cannot_be_written_by_then_is_a_warning(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # A file where the folder should be.
    (tmp_path / "photos").write_text("no folder")
    asked = Asked(name="runs/a", named={}, shaping={})
    TensorBoard(str(tmp_path), asked).tell(illustrated(np.eye(7)))
    (line,) = logged.messages
    assert line.startswith("WARNING: TensorBoard shows less: ")
    assert str(tmp_path / "photos") in line
