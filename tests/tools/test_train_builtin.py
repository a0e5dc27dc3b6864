"""How the built-in module is trained, with few and small pictures."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import builtin_student
import builtin_teacher
import numpy as np
import pytest
import tensorflow as tf
import train_builtin
from builtin_teacher import Crops, pictures, random_crops, thumbnails, whole
from conftest import encoded

SIDE = 128
RNG = np.random.default_rng(11)
PLAIN = np.eye(3, 4, dtype=np.float32)[np.newaxis]


def photos(count: int) -> Any:
    """Returns uint8 [count, 128, 128, 3], soft blobs of colour."""
    coarse = RNG.uniform(0, 255, [count, 5, 5, 3]).astype(np.float32)
    smooth = tf.image.resize(coarse, [SIDE, SIDE], method="bicubic").numpy()
    return smooth.clip(0, 255).astype(np.uint8)


def test_the_tool_starts_from_anywhere(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, train_builtin.__file__, "--help"]
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert b"--photos_dir" in told.stdout


def test_thumbnails_are_read_from_tar_files_in_order(tmp_path: Path) -> None:
    shown = photos(3)
    for number, name in enumerate(("b.tar", "a.tar")):
        with tarfile.open(tmp_path / name, "w") as archive:
            data = encoded(shown[number], "JPEG")
            for member in (tarfile.TarInfo("x/1.jpg"), tarfile.TarInfo("x/notes.txt")):
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    found = thumbnails(tmp_path)
    assert found.shape == (2, SIDE, SIDE, 3)
    assert found.dtype == np.uint8
    # JPEG changes the pixels a little.
    assert np.abs(found.astype(int) - shown[[1, 0]].astype(int)).mean() < 3


def test_a_whole_thumbnail_stays_as_it_is() -> None:
    shown = photos(2)
    crops = whole(2)
    same = pictures(shown, crops.boxes, crops.colours, SIDE)
    np.testing.assert_allclose(same, shown / 255, atol=1e-6)


def test_a_box_is_cropped_and_mirrored() -> None:
    shown = photos(1)
    # The corners are centres of pixels: 0 and 1 are the first and the last.
    top, left, bottom, right = 32 / 127, 16 / 127, 95 / 127, 79 / 127
    for box, wanted in (
        ([top, left, bottom, right], shown[:, 32:96, 16:80]),
        ([top, right, bottom, left], shown[:, 32:96, 16:80][:, :, ::-1]),
    ):
        crop = pictures(shown, np.array([box], np.float32), PLAIN, 64)
        np.testing.assert_allclose(crop, wanted / 255, atol=1e-5)


def test_colours_are_multiplied_shifted_and_clipped() -> None:
    shown = np.full([1, SIDE, SIDE, 3], (51, 102, 204), np.uint8)
    colours = np.array([[[0, 1, 0, 0], [1, 0, 0, 0.1], [0, 0, 2, 0]]], np.float32)
    seen = pictures(shown, whole(1).boxes, colours, 4)
    np.testing.assert_allclose(seen[0, 0, 0], [0.4, 0.3, 1.0], atol=1e-6)


def crops_of(number: int, least_area: float = 0.25) -> Crops:
    return random_crops(500, number, least_area=least_area)


@pytest.mark.parametrize("least", [0.25, 0.6])
def test_crops_have_some_area(least: float) -> None:
    top, left, bottom, right = crops_of(2, least).boxes.T
    area = (bottom - top) * np.abs(right - left)
    # Where a crop of an aspect would be larger than the thumbnail, it is cut.
    assert 0.7 * least < area.min() < 1.1 * least
    assert area.max() > 0.9


def test_a_set_of_crops_follows_from_its_number() -> None:
    one, same, other = (crops_of(number) for number in (3, 3, 4))
    np.testing.assert_array_equal(one.boxes, same.boxes)
    np.testing.assert_array_equal(one.colours, same.colours)
    assert np.abs(one.boxes - other.boxes).max() > 0.1
    top, left, bottom, right = one.boxes.T
    assert one.boxes.min() >= 0
    assert one.boxes.max() <= 1 + 1e-6
    assert (bottom > top).all()
    assert 0.4 < (right < left).mean() < 0.6


def test_jitter_leaves_greys_grey() -> None:
    """Hue and saturation do not touch them; brightness and contrast do alike to all channels."""
    colours = crops_of(0).colours
    grey = colours[:, :, :3].sum(axis=2) * 0.5 + colours[:, :, 3]
    assert np.ptp(grey, axis=1).max() < 1e-5
    assert 0.15 < (np.abs(colours - PLAIN).max(axis=(1, 2)) == 0).mean() < 0.25
    # One in twenty of the others has no colour left: its channels are the same.
    is_grey = np.ptp(colours, axis=1).max(axis=1) < 1e-5
    assert 0.01 < is_grey.mean() < 0.08


class _NearTeacher(builtin_teacher.Teacher):
    """Gives mean colours of the quarters of a crop, and what follows from them."""

    def _computed(self, photos: Any, crops: Crops, name: str) -> Any:  # noqa: ARG002
        seen = pictures(photos, crops.boxes, crops.colours, 16)
        vectors = tf.reshape(tf.nn.avg_pool2d(seen, 8, 8, "VALID"), [len(photos), 12])
        return vectors.numpy().astype(np.float16)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(train_builtin, "Teacher", _NearTeacher)
    # One stage of each kind is enough, and traced in a third of the time.
    monkeypatch.setattr(builtin_student, "STAGES", builtin_student.STAGES[::4][:2])
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for number, shown in enumerate(photos(60)):
            data = encoded(shown, "JPEG")
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return [
        f"--photos_dir={tmp_path}",
        "--teacher=none",
        "--crop_sets=2",
        "--held_back=20",
        "--batch_size=8",
        "--schedule=32:2",
        "--side=32",
    ]


def test_a_training_that_is_stopped_goes_on_as_if_it_were_not(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> Any:
        folder = tmp_path / name
        train_builtin.main([*arguments, f"--work_dir={folder}", f"--output_dir={folder}/module"])
        return tf.saved_model.load(str(folder / "module"))

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    shown = photos(4)[:, ::4, ::4].astype(np.float32) / 255
    tf.keras.utils.set_random_seed(1)
    wanted = run("at once")(shown).numpy()

    class StopsOnce(train_builtin.Stopping):
        looks = 0

        @property
        def asked(self) -> bool:
            type(self).looks += 1
            # It looks twice a step, so this is after the third of five.
            return type(self).looks in (5, 6)

        @asked.setter
        def asked(self, _: bool) -> None:
            pass

    monkeypatch.setattr(train_builtin, "Stopping", StopsOnce)
    tf.keras.utils.set_random_seed(1)
    with pytest.raises(SystemExit, match="goes on from here"):
        run("stopped")
    assert not (tmp_path / "stopped" / "module").exists()
    tf.keras.utils.set_random_seed(2)
    got = run("stopped")(shown).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-3 * float(np.abs(wanted).max()))
    curve = (tmp_path / "stopped" / "curve.csv").read_text().splitlines()
    assert curve[0] == "epoch,side,loss,explained,cosine,seconds"
    assert [line.split(",")[:2] for line in curve[1:]] == [["0", "32"], ["1", "32"]]
