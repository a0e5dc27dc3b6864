"""The picture of a confusion matrix: what stands in its pixels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fonts_made_here import write_font
from PIL import Image

from image_retraining.foundation.text import shown
from image_retraining.reports import confusion_picture

NOT_UTF_8 = b"caf\xe9".decode(errors="surrogateescape")


def pixels(
    confusion: Any, labels: tuple[str, ...], *, normalized: bool = False, fonts: Path = Path("none")
) -> Any:
    """Returns uint8 [height, width, 3] of a confusion matrix's picture."""
    counts, folders = np.array(confusion, np.int64), (str(fonts),)
    picture = confusion_picture.draw(counts, labels, normalized=normalized, font_folders=folders)
    with Image.open(io.BytesIO(picture.png)) as image:
        assert image.size == (picture.width, picture.height)
        return np.asarray(image.convert("RGB"))


def cells(drawn: Any, count: int) -> Any:
    """Returns int [count, count], the light in the corners of a matrix's cells, 0 to 765."""
    side = 38
    corner = drawn[-count * side - 1 :, -count * side - 1 :].astype(int).sum(axis=2)
    return corner[4::side, 4::side][:count, :count]


def test_the_darker_a_cell_the_more_photos_or_the_larger_their_share() -> None:
    confusion = [[60, 1, 0], [0, 3, 1], [0, 0, 0]]
    labels = ("a label", "b", "c")
    plain = cells(pixels(confusion, labels), 3)
    shares = cells(pixels(confusion, labels, normalized=True), 3)
    white = 3 * 255
    for lights in (plain, shares):
        assert ((lights < white) == (np.array(confusion) > 0)).all()
        # One mistake among many photos is to be seen all the same.
        assert lights[0, 1] < white - 30
    assert plain[0, 0] < plain[1, 1]
    assert shares[1, 1] - shares[0, 0] < plain[1, 1] - plain[0, 0]
    assert shares[1, 2] < plain[1, 2]


def test_few_classes_have_their_names_at_the_sides() -> None:
    confusion = [[3, 1], [0, 0]]
    named = pixels(confusion, ("rose", "tulip"))
    assert (named != 255).any()
    other = pixels(confusion, ("rose", "tulle"))
    assert named.shape != other.shape or (named != other).any()


@pytest.mark.parametrize("label", ["玫瑰", "👍"])
def test_only_labels_that_cannot_be_drawn_are_numbers(label: str) -> None:
    confusion = [[3, 1, 0], [0, 0, 0], [0, 12345678, 5]]
    drawn = pixels(confusion, ("rose", label, "tulip"))
    # The others keep their names, and a line says what the sign means.
    assert drawn.tolist() == pixels(confusion, ("rose", "玫", "tulip")).tolist()
    written = pixels(confusion, ("rose", "#1", "tulip"))
    assert drawn.shape[0] == written.shape[0] + 20
    assert drawn.tolist() != pixels(confusion, ("rosy", label, "tulip")).tolist()


def test_a_font_of_the_system_draws_other_scripts(tmp_path: Path) -> None:
    confusion = [[3, 1], [0, 2]]
    write_font(tmp_path / "some.ttf", "玫瑰")
    drawn = pixels(confusion, ("rose", "玫瑰"), fonts=tmp_path)
    numbered = pixels(confusion, ("rose", "#1"))
    # In that font a square stands for each letter, and no line says that something is missing.
    assert drawn.tolist() != numbered.tolist()
    assert drawn.shape[0] < pixels(confusion, ("rose", "玫瑰")).shape[0]


def test_what_is_no_visible_character_is_written_as_an_escape() -> None:
    confusion = [[3, 1], [0, 2]]
    for label, told in (("\n", "\\n"), (NOT_UTF_8, shown(NOT_UTF_8))):
        assert pixels(confusion, ("a", label)).tolist() == pixels(confusion, ("a", told)).tolist()


def test_of_many_classes_the_pairs_are_drawn_that_are_confused_most() -> None:
    confusion = np.diag(np.full([40], 50))
    labels = tuple(f"label {number}" for number in range(40))
    nothing = pixels(confusion, labels)
    confusion[3, 5], confusion[7, 3] = 50, 5
    drawn = pixels(confusion, labels)
    # Two lines of 20 pixels more than where no answer is wrong.
    assert drawn.shape[0] == nothing.shape[0] + 40
    lengths = []
    for row in (45, 65):
        line = drawn[row].astype(int).sum(axis=1)
        shade = int(np.bincount(line[line < 3 * 255]).argmax())
        lengths.append(int((line == shade).sum()))
    # 50 of 100 photos of label 3, and 5 of 55 of label 7, of 240 pixels.
    assert lengths == [pytest.approx(121, abs=2), pytest.approx(23, abs=2)]
    # Of a thousand classes no more are drawn.
    many = np.ones([1000, 1000], np.int64)
    assert pixels(many, tuple(map(str, range(1000)))).shape[0] == nothing.shape[0] + 30 * 20


def test_the_longest_names_leave_room_for_the_matrix() -> None:
    drawn = pixels(np.eye(30), tuple(str(number) * 120 for number in range(10, 40)))
    assert max(drawn.shape) < 1400
