"""A real browser, and what every page must hold of it."""

import contextlib
import re
import shutil
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait


class Page(HTMLParser):
    """What a browser would make of a page, as far as it is looked at here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in {"style", "script"} and data.strip():
            self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def parts(self) -> list[str]:
        found = [one.get("id") for one in (*self.all("section"), *self.all("details"))]
        order = [one.get("id") for _, one in self.tags if one.get("id") in found]
        return [one for one in order if one]


@contextlib.contextmanager
def started(*flags: str) -> Iterator[Chrome]:
    """Gives Chromium, without a window and a network; where there is none, the test is skipped.

    Args:
        flags: more for its command line, without their dashes.
    """
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("needs Chromium and its driver: apt install chromium chromium-driver")
    options = Options()
    options.binary_location = str(programs[0])
    for flag in ("headless", "no-sandbox", "disable-dev-shm-usage", *flags):
        options.add_argument(f"--{flag}")
    for flag in ("background-networking", "component-update", "sync"):
        options.add_argument(f"--disable-{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with warnings.catch_warnings():
        driver = Chrome(options, Service(str(programs[1])))
    try:
        yield driver
    finally:
        driver.quit()


def seen(browser: Chrome, selector: str) -> list[WebElement]:
    """Returns what a selector finds that is to be seen."""
    return [one for one in browser.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]


def press(browser: Chrome, selector: str, place: int = 0) -> None:
    """Clicks on one of what is seen, or soon will be: a browser that is busy draws later."""
    WebDriverWait(browser, 10).until(lambda _: len(seen(browser, selector)) > max(0, place))
    browser.execute_script("arguments[0].click()", seen(browser, selector)[place])


def copied(browser: Chrome, selector: str) -> str:
    """Returns what a button copies."""
    # It is asked for where a page may not copy, as one from a disk.
    browser.execute_script("window.prompt = (_, words) => { window.copied = words; }")
    press(browser, selector)
    done = (
        "return window.copied !== undefined"
        " || document.querySelector(arguments[0]).textContent === 'Copied'"
    )
    WebDriverWait(browser, 10).until(lambda page: page.execute_script(done, selector))
    return str(browser.execute_script("return window.copied || navigator.clipboard.readText()"))


def check_readable(browser: Chrome, *, width: int, scheme: str) -> None:
    """Checks that a page that is open fits a screen, in light or dark, and keeps nobody out."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for part in browser.find_elements(By.CSS_SELECTOR, "details"):
            browser.execute_script("arguments[0].open = true", part)
        ink, paper = browser.execute_script(
            "const style = getComputedStyle(document.body);"
            "return [style.color, style.backgroundColor]"
        )
        light = [sum(map(int, re.findall(r"\d+", colour))) for colour in (ink, paper)]
        assert (light[0] < light[1]) == (scheme == "light")
        # Wide tables scroll in themselves, the page does not.
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        found = Axe().run(browser)["violations"]
        assert [
            (one["id"], one["nodes"][0]["html"][:200])
            for one in found
            if one["impact"] in {"serious", "critical"}
        ] == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def check_quiet(browser: Chrome) -> None:
    """Checks that a page that is open asked for nothing, complains of nothing, and has pictures."""
    resources = browser.execute_script(
        "return performance.getEntriesByType('resource').map(one => one.name)"
    )
    assert [one for one in resources if not one.startswith("data:")] == []
    said: Any = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert said == []
    broken = browser.execute_script(
        "return [...document.images].filter(one => one.src && one.loading !== 'lazy'"
        " && !one.naturalWidth).length"
    )
    assert broken == 0
