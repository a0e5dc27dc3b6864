import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, solid
from PIL import Image

from image_retraining.evidence import heatmap
from image_retraining.foundation.errors import OutputError
from image_retraining.photos.folder import photos_below

RNG = np.random.default_rng(2)
PHOTO = RNG.integers(0, 256, [30, 50, 3]).astype(np.uint8)
NOTHING = np.zeros([3, 4], np.float32)


def opened(png: bytes) -> Any:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image, np.float64)


def drawn(picture: Image.Image) -> Any:
    assert picture.mode == "RGB"
    return np.asarray(picture, np.float64)


def lightness(colours: Any) -> Any:
    """Returns CIE L* of sRGB colours, 0 to 255, by the formulas of IEC 61966-2-1 and CIE 15."""
    shares = np.float64(colours) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_equal_steps_of_evidence_look_equal() -> None:
    steps = np.diff(lightness(heatmap.glow(np.linspace(0, 1, 41, dtype=np.float32))))
    assert steps.sum() > 60
    assert steps.min() > 0.8 * steps.mean()
    assert steps.max() < 1.2 * steps.mean()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (2, 0), (2, 3), (1, 2)])
def test_the_glow_is_where_the_evidence_is(row: int, column: int) -> None:
    evidence = NOTHING.copy()
    evidence[row, column] = 0.01
    glow = drawn(heatmap.blended(PHOTO, evidence)) - drawn(heatmap.blended(PHOTO, NOTHING))
    change = np.abs(glow).sum(axis=2)
    assert change.shape == (30, 50)
    # Cells of 10 x 12.5 pixels: far from the place nothing changes, within it all does.
    places = np.argwhere(change > 0.3 * change.max()) + 0.5
    middle = places.mean(axis=0) / [10, 12.5]
    assert middle == pytest.approx([row + 0.5, column + 0.5], abs=0.3)
    far = NOTHING.copy()
    far[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 1
    assert change[np.kron(far, np.ones([10, 13]))[:, :50] == 0].max(initial=0) == 0


def test_the_photo_stays_visible() -> None:
    """Under the strongest glow, too, light parts of the photo are lighter than dark ones."""
    photo = np.zeros([20, 20, 3], np.uint8)
    photo[:, 10:] = 255
    for evidence in (NOTHING, NOTHING + 1):
        picture = lightness(drawn(heatmap.blended(photo, evidence)))
        assert picture[:, 10:].min() - picture[:, :10].max() > 15


def test_evidence_counts_relative_to_its_maximum_and_above_0() -> None:
    evidence = RNG.normal(size=(7, 7)).astype(np.float32)
    assert heatmap.blended(PHOTO, evidence) == heatmap.blended(PHOTO, evidence * 1024)
    for none in (NOTHING - 5, -np.abs(evidence)):
        assert heatmap.blended(PHOTO, none) == heatmap.blended(PHOTO, NOTHING)
    assert heatmap.blended(PHOTO, evidence) != heatmap.blended(PHOTO, NOTHING)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1000, 4000), (400, 1600)),
        ((3200, 1600), (1600, 800)),
        ((1600, 9), (1600, 9)),
        ((1, 1),) * 2,
    ],
)
def test_large_photos_are_reduced(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    picture = drawn(heatmap.blended(np.zeros([*size, 3], np.uint8), NOTHING + 1))
    assert picture.shape == (*wanted, 3)


def test_file_names_are_stable() -> None:
    # printf '/photos/daisy/a.jpg' | sha256sum
    assert heatmap.file_name("/photos/daisy/a.jpg") == "a_aa406a3f0b88.png"
    assert heatmap.file_name("/photos/x/../daisy/a.jpg") == "a_aa406a3f0b88.png"


def test_odd_names_can_be_written_and_stay_apart(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        "a.png",
        "玫瑰 红.jpg",
        "花" * 80 + "1.jpg",
        "花" * 80 + "2.jpg",
        "not utf-8 \udcff.jpg",
        "not utf-8 \udcfe.jpg",
        'line\nend\t<>:"|?*\\.jpg',
        ".hidden.jpg",
        "CON.jpg",
        "..jpg",
    ]
    photos = [str(tmp_path / folder / name) for folder in "xy" for name in names]
    for photo in photos:
        Path(photo).parent.mkdir(exist_ok=True)
        Path(photo).write_bytes(encoded(solid((9, 9, 9))))
    written = [
        heatmap.write(tmp_path / "heat", photo, heatmap.blended(PHOTO, NOTHING)) for photo in photos
    ]
    assert sorted((tmp_path / "heat").iterdir()) == sorted(set(written))
    assert len(set(written)) == len(photos)
    for path in written:
        assert path.name.isprintable()
        assert not set(path.name) & set('<>:"/\\|?*')
        assert not path.name.startswith(".")
    assert written[2].name.startswith("玫瑰 红_")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(PHOTO))
    picture = heatmap.blended(PHOTO, NOTHING)
    with pytest.raises(OutputError, match="cannot be written"):
        heatmap.write(tmp_path / "photo.png" / "heat", str(tmp_path / "photo.png"), picture)


def test_its_pictures_are_never_taken_for_photos(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: written into the folder that is labelled, they were labelled the next time.
    photo = tmp_path / "rose.png"
    photo.write_bytes(encoded(PHOTO))
    for folder in (tmp_path, tmp_path / "heat"):
        heatmap.write(folder, str(photo), heatmap.blended(PHOTO, NOTHING))
    assert photos_below(str(tmp_path)) == [str(photo)]
    (line,) = [line for line in logged.messages if "evidence" in line]
    assert "2 picture(s)" in line
