"""Fonts for labels in any script, found among fonts that are made here."""

from pathlib import Path

import pytest
from fonts_made_here import write_font
from PIL import Image, ImageDraw, ImageFont, features

from image_retraining.foundation.fonts import Font, font_for

ROSE, ARABIC = "玫瑰", "وردة"


def inked(font: Font, text: str) -> int:
    """Returns how many pixels a text darkens."""
    image = Image.new("L", (300, 60))
    ImageDraw.Draw(image).text((5, 5), text, fill=255, font=font)
    return sum(count for value, count in enumerate(image.histogram()) if value)


def test_plain_labels_need_no_font_of_the_system(tmp_path: Path) -> None:
    font = font_for("daisy 0.944386 (90%)", 24, folders=(str(tmp_path),))
    assert font is not None
    assert font.getname() == ImageFont.load_default(24).getname()  # type: ignore[union-attr]
    assert font.size == 24


def test_a_font_that_has_all_letters_is_found(tmp_path: Path) -> None:
    first = write_font(tmp_path / "a.ttf", "玫")
    second = write_font(tmp_path / "deep" / "b.OTF", ROSE)
    font = font_for(ROSE, 30, folders=(str(tmp_path / "none"), str(tmp_path)))
    assert font is not None
    assert (font.path, font.size) == (str(second), 30)
    # Two squares of half of 30 pixels.
    assert inked(font, ROSE) == pytest.approx(2 * 15 * 15, rel=0.15)
    alone = font_for("玫", 30, folders=(str(tmp_path),))
    assert alone is not None
    assert alone.path == str(first)


@pytest.mark.parametrize("text", [ROSE + "红", "玫瑰 rose", "🌹"])
def test_no_font_has_boxes_for_letters(tmp_path: Path, text: str) -> None:
    write_font(tmp_path / "a.ttf", ROSE)
    assert font_for(text, 20, folders=(str(tmp_path),)) is None


def test_what_has_no_shape_is_not_missed(tmp_path: Path) -> None:
    write_font(tmp_path / "a.ttf", ROSE)
    for text in ("玫 瑰", "玫\u3000瑰", "玫\u200d瑰", "玫瑰\ufe0f"):
        assert font_for(text, 20, folders=(str(tmp_path),)) is not None


def test_letters_in_parts_are_looked_for_whole(tmp_path: Path) -> None:
    if not features.check("raqm"):
        pytest.skip("needs libraqm, which joins parts of letters")
    path = write_font(tmp_path / "a.ttf", "é")
    font = font_for("e\u0301", 20, folders=(str(tmp_path),))
    assert font is not None
    assert font.path == str(path)


def test_fonts_for_reading_come_before_others(tmp_path: Path) -> None:
    names = ["A-BoldItalic.ttf", "B-Bold.ttf", "LastResort.otf", "Serif.ttf", "Y.ttf", "ZSans.ttf"]
    for name in names:
        write_font(tmp_path / name, ROSE)
    for wanted in ("ZSans.ttf", "Y.ttf", "B-Bold.ttf", "Serif.ttf", "A-BoldItalic.ttf"):
        folder = tmp_path.with_name(f"{tmp_path.name}{wanted}")
        folder.mkdir()
        for path in tmp_path.iterdir():
            path.rename(folder / path.name)
        font = font_for(ROSE, 20, folders=(str(folder),))
        assert font is not None
        assert Path(str(font.path)).name == wanted
        (folder / wanted).unlink()
        for path in folder.iterdir():
            path.rename(tmp_path / path.name)
    # One that draws boxes for all letters is none.
    assert font_for(ROSE, 20, folders=(str(tmp_path),)) is None


def test_files_that_are_no_fonts_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_text("no font")
    (tmp_path / "b.ttf").write_bytes(write_font(tmp_path / "x.bin", ROSE).read_bytes()[:300])
    (tmp_path / "c.ttf").mkdir()
    whole = write_font(tmp_path / "d.ttf", ROSE)
    font = font_for(ROSE, 20, folders=(str(tmp_path),))
    assert font is not None
    assert font.path == str(whole)


def test_without_a_shaper_what_must_be_joined_has_no_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Letters one by one from left to right are no Arabic.
    write_font(tmp_path / "a.ttf", ROSE + ARABIC)
    monkeypatch.setattr(features, "check", lambda name: name != "raqm")
    assert font_for(ARABIC, 20, folders=(str(tmp_path),)) is None
    assert font_for(ROSE, 20, folders=(str(tmp_path),)) is not None
