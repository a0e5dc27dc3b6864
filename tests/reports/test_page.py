"""Words of pages: names from right to left turn nothing around, whatever stands beside them."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from image_retraining.reports.html.page import isolated, marked


@pytest.mark.parametrize(
    ("words", "page", "option"),
    [
        ("daisy & <b>, 96%", "daisy &amp; &lt;b&gt;, 96%", "daisy & <b>, 96%"),
        ("玫瑰 🌹", "玫瑰 🌹", "玫瑰 🌹"),
        ("مرحبا 96%", "<bdi>مرحبا</bdi> 96%", "\u2068مرحبا\u2069 96%"),
        (
            "ph/وردة حمراء/وردة_1.jpg",
            "ph/<bdi>وردة حمراء</bdi>/<bdi>وردة</bdi>_1.jpg",
            "ph/\u2068وردة حمراء\u2069/\u2068وردة\u2069_1.jpg",
        ),
        (
            "17 of 200 שלום taken for עולם, 14",
            "17 of 200 <bdi>שלום</bdi> taken for <bdi>עולם</bdi>, 14",
            "17 of 200 \u2068שלום\u2069 taken for \u2068עולם\u2069, 14",
        ),
    ],
)
def test_names_from_right_to_left_are_apart(words: str, page: str, option: str) -> None:
    assert marked(words) == page
    assert isolated(words) == option


def test_figures_stand_where_they_are_written(browser: Chrome, tmp_path: Path) -> None:
    def is_left_of(name: str) -> bool:
        page = f"<meta charset=utf-8><p><b>{name}</b> <i>96</i>%</p>"
        (tmp_path / "page.html").write_text(page, "utf-8")
        browser.get((tmp_path / "page.html").as_uri())
        left = "return document.querySelector(arguments[0]).getBoundingClientRect().left"
        name_at, figure_at = (browser.execute_script(left, tag) for tag in ("b", "i"))
        return bool(name_at < figure_at)

    # What it is for: a figure is drawn before the name that it follows.
    assert not is_left_of("مرحبا")
    assert is_left_of(marked("مرحبا"))
    assert is_left_of(isolated("مرحبا"))
