"""Turned and transparent photos, from the folder to the answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import encoded, save_module
from PIL import ExifTags, Image

import image_retraining
from image_retraining.exports.facts import facts_path
from image_retraining.retraining.run import Run

# Dark above and light below, or the other way round: turned by 180 degrees one looks like the
# other.
RANDOM = np.random.default_rng(4)


def halves(*, dark_first: bool) -> Image.Image:
    dark, light = (RANDOM.integers(low, low + 60, [8, 16, 3]) for low in (10, 180))
    parts = [dark, light] if dark_first else [light, dark]
    return Image.fromarray(np.uint8(np.concatenate(parts)))


def with_orientation(photo: Image.Image, orientation: int) -> bytes:
    """Returns the JPEG of a photo that a camera held in some way: upright it looks like it."""
    lying = photo.rotate(180) if orientation == 3 else photo
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(lying, "JPEG", quality=95, exif=exif)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes; of each half of the photos were taken upside down."""
    folder = tmp_path / "photos"
    for label, dark_first in [("sky", False), ("sea", True)]:
        (folder / label).mkdir(parents=True)
        for number in range(40):
            contents = with_orientation(halves(dark_first=dark_first), 3 if number % 2 else 1)
            (folder / label / f"{label}_{number}.jpg").write_bytes(contents)
    return folder


@pytest.fixture(scope="module")
def halves_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module whose two features are how light the upper and the lower half are."""

    def means(pictures: Any) -> Any:
        return tf.stack([tf.reduce_mean(half, [1, 2, 3]) for half in tf.split(pictures, 2, 1)], 1)

    return save_module(tmp_path_factory.mktemp("modules") / "halves", means)


@pytest.fixture
def trained(photos: Path, halves_module: Path, tmp_path: Path) -> Any:
    def train(name: str, **settings: Any) -> Run:
        return image_retraining.train(
            photos,
            module=halves_module,
            output_dir=tmp_path / name,
            bottleneck_dir=tmp_path / "cache",
            optimizer="lbfgs",
            cross_validate=-1,
            report_file="",
            **settings,
        )

    return train


def test_upright_photos_can_be_told_apart(trained: Any, photos: Path, tmp_path: Path) -> None:
    run = trained("run", tflite_output_file="m.tflite", saved_model_dir="saved")
    assert run.accuracy == 1.0
    assert run.found.extraction.turned_count == 40
    log = (tmp_path / "run/run.log").read_text()
    assert log.count("turned upright, as EXIF says (--exif_orientation): 40") == 1
    files = sorted(map(str, photos.rglob("*.jpg")))
    for name in ("", "m.tflite", "saved"):
        answers = image_retraining.load(tmp_path / "run" / name).predict(files)
        assert [a.label for a in answers] == [Path(a.path).parent.name for a in answers]
    classifier = image_retraining.load(run.path)
    for file in files[:4]:
        with Image.open(file) as picture:
            (answer,) = classifier.predict(picture)
        assert answer.label == Path(file).parent.name
    facts = json.loads(Path(facts_path(str(tmp_path / "run/model.pb"))).read_text())
    assert facts["exif_orientation"] == "apply"


def test_as_they_lie_they_cannot(trained: Any, photos: Path, tmp_path: Path) -> None:
    run = trained("ignoring", exif_orientation="ignore")
    assert run.accuracy < 0.8
    assert run.found.extraction.turned_count == 0
    # Whoever labels does as the training did, unless told otherwise.
    file = str(photos / "sky/sky_1.jpg")
    contents = Path(file).read_bytes()
    start = contents.index(b"\xff\xe1")
    size = int.from_bytes(contents[start + 2 : start + 4], "big") + 2
    (tmp_path / "lying.jpg").write_bytes(contents[:start] + contents[start + size :])
    ways = [
        (image_retraining.load(run.path), True),
        (image_retraining.load(run.path, exif_orientation="apply"), False),
    ]
    for classifier, is_equal in ways:
        one, other = classifier.predict([file, str(tmp_path / "lying.jpg")])
        assert np.allclose(one.scores, other.scores, atol=1e-6) == is_equal


def test_facts_from_before_tell_of_what_was_done_then(trained: Any, tmp_path: Path) -> None:
    trained("run")
    path = Path(facts_path(str(tmp_path / "run/model.pb")))
    facts = json.loads(path.read_text())
    del facts["exif_orientation"]
    path.write_text(json.dumps(facts))
    (tmp_path / "turned.jpg").write_bytes(with_orientation(halves(dark_first=True), 3))
    known, unknown = (image_retraining.load(tmp_path / "run") for _ in range(2))
    assert known.predict(tmp_path / "turned.jpg")[0].label == "sky"
    path.unlink()
    (tmp_path / "run/labels.txt").write_text("sea\nsky\n")
    unknown = image_retraining.load(tmp_path / "run")
    assert unknown.predict(tmp_path / "turned.jpg")[0].label == "sea"


def test_only_turned_photos_are_computed_anew(trained: Any, tmp_path: Path) -> None:
    trained("ignoring", exif_orientation="ignore")
    for name, settings, computed in [
        ("first", {}, 40),
        ("again", {}, 0),
        ("back", {"exif_orientation": "ignore"}, 0),
    ]:
        trained(name, **settings)
        log = (tmp_path / name / "run.log").read_text()
        assert f"Bottlenecks of 80 photos: {computed} computed" in log
