"""A real browser, for tests of pages."""

import contextlib
import shutil
import warnings
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Chrome]:
    """Gives Chromium, without a window and without a network; skips the test where there is none.

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
