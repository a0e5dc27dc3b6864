"""A photo beside its evidence: both are there, and what is written says what they are."""

from pathlib import Path

import numpy as np
import pytest
from conftest import encoded
from fonts_made_here import write_font
from PIL import Image

from image_retraining.evidence import heatmap, plate
from image_retraining.evidence.plate import Caption, drawn
from image_retraining.foundation import fonts
from image_retraining.photos.folder import photos_below

# Pixels around, between photo and evidence, and below them.
MARGIN, GAP, LEGEND = 16, 12, 50
CAPTION = Caption("daisy", 1, 0.944386)
RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, [300, 400, 3]).astype(np.uint8)
SPOT = np.zeros([3, 4], np.float32)
SPOT[2, 3] = 1


def parts(picture: Image.Image, height: int, width: int) -> tuple[Image.Image, ...]:
    """Returns the photo, its evidence, what stands above them and below."""
    top = picture.height - LEGEND - height
    left, right = MARGIN, MARGIN + width + GAP
    photo, evidence = (picture.crop((x, top, x + width, top + height)) for x in (left, right))
    above = picture.crop((0, 0, picture.width, top))
    return photo, evidence, above, picture.crop((0, top + height, *picture.size))


def test_the_photo_stands_beside_its_evidence() -> None:
    photo, evidence, _, _ = parts(drawn(PHOTO, SPOT, CAPTION), 300, 400)
    np.testing.assert_array_equal(np.asarray(photo), PHOTO)
    assert evidence == heatmap.blended(PHOTO, SPOT)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((2000, 4000), (400, 800)),
        ((8, 8), (320, 320)),
        ((320, 100), (320, 100)),
        ((800, 3), (800, 3)),
        ((9000, 1), (800, 1)),
    ],
)
def test_photos_are_of_a_size_that_is_seen(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    picture = drawn(np.zeros([*size, 3], np.uint8), SPOT, CAPTION)
    assert picture.width == max(2 * wanted[1] + GAP, 460) + 2 * MARGIN
    lines = picture.height - drawn(np.zeros([320, 320, 3], np.uint8), SPOT, CAPTION).height
    assert lines == wanted[0] - 320


def test_what_is_written_differs_as_the_answer_does() -> None:
    plain = parts(drawn(PHOTO, SPOT, CAPTION), 300, 400)[2]
    for other in (
        Caption("roses", 1, 0.944386),
        Caption("daisy", 1, 0.944387),
        Caption("daisy", 1, 0.944386, is_unknown=True),
    ):
        assert parts(drawn(PHOTO, SPOT, other), 300, 400)[2] != plain
    # No number of a class where its name can be written.
    assert parts(drawn(PHOTO, SPOT, Caption("daisy", 7, 0.944386)), 300, 400)[2] == plain
    assert CAPTION.words == "score 0.944386"


def test_the_legend_goes_from_little_to_much() -> None:
    legend = np.asarray(parts(drawn(PHOTO, SPOT, CAPTION), 300, 400)[3], np.float32)
    # Of grey ink on white paper only the bar has colours.
    colour = legend.max(axis=2) - legend.min(axis=2) > 30
    columns = np.flatnonzero(colour.any(axis=0))
    assert 80 < np.ptp(columns) < 160
    shades = legend[colour.any(axis=1)][:, columns].mean(axis=0)
    assert shades[0].mean() + 50 < shades[-1].mean()
    nothing = parts(drawn(PHOTO, SPOT * 0, CAPTION), 300, 400)[3]
    assert np.ptp(np.asarray(nothing, np.int32), axis=2).max() <= 30


def test_a_long_label_stays_on_the_picture() -> None:
    # All but the ink of the last letters is as of a label that ends there.
    long, longer = (drawn(PHOTO, SPOT, Caption("wide " * n, 1, 0.5)) for n in (200, 300))
    assert long == longer
    above = np.asarray(parts(long, 300, 400)[2])
    assert above[:, -MARGIN:].min() == 255
    assert above[:, -3 * MARGIN : -MARGIN].min() < 128


def test_a_label_that_no_font_has_is_told_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rose = Caption("玫瑰", 7, 0.5)

    def with_fonts_in(folder: Path) -> Image.Image:
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr(
            plate, "font_for", lambda text, size: fonts.font_for(text, size, folders=(str(folder),))
        )
        return drawn(PHOTO, SPOT, rose)

    without = with_fonts_in(tmp_path / "none")
    assert not plate.is_written(rose.label)
    assert plate.is_written("daisy")
    # A line more, and the same for all labels that cannot be written.
    assert without.height > drawn(PHOTO, SPOT, CAPTION).height
    assert drawn(PHOTO, SPOT, Caption("红", 7, 0.5)) == without
    assert drawn(PHOTO, SPOT, Caption("玫瑰", 8, 0.5)) != without
    write_font(tmp_path / "some" / "a.ttf", "玫瑰.")
    found = with_fonts_in(tmp_path / "some")
    assert plate.is_written(rose.label)
    assert found.height == drawn(PHOTO, SPOT, CAPTION).height


def test_the_file_says_what_it_is_and_is_never_taken_for_a_photo(tmp_path: Path) -> None:
    photo = tmp_path / "rose.png"
    photo.write_bytes(encoded(PHOTO))
    label = "玫瑰 <b>\n\udcff" + "长" * 300
    picture = drawn(PHOTO, SPOT, CAPTION)
    path = heatmap.write(tmp_path, str(photo), picture, title=label, description="score 0.5")
    with Image.open(path) as written:
        assert written.info["Title"] == "玫瑰 <b>\\n\\udcff" + "长" * 300
        assert written.info["Description"] == "score 0.5"
    assert photos_below(str(tmp_path)) == [str(photo)]
