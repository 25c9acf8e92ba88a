"""A headless Chromium for tests: Debian's, driven by Selenium, with nothing but this machine in reach."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--force-color-profile=srgb", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
END, HOME, LEFT = "\ue010", "\ue011", "\ue012"  # as the WebDriver protocol writes keys
WEBGL_FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@contextmanager
def chromium(profile: Path, *flags: str, size_px: tuple[int, int] = (1200, 900)) -> Iterator[Any]:
    """A Selenium driver; skips where Chromium is not installed."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("chromium is not installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="chromium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.page_load_strategy = "none"  # a page that computes long must not block the driver
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={size_px[0]},{size_px[1]}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def until(browser: Any, condition: Callable[[], Any], what: str, timeout_s: float = 30.0, period_s: float = 0.2) -> Any:
    """Wait for something to be true of the page."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(_too_busy()):
            if value := condition():
                return value
        time.sleep(period_s)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}; the page says: {errors(browser)}")


def _too_busy() -> type[Exception]:
    """Error that Selenium raises for a page that computes longer than it waits."""
    from selenium.common.exceptions import TimeoutException

    return TimeoutException


def loaded(browser: Any, url: str) -> None:
    browser.get(url)
    until(browser, lambda: browser.execute_script("return document.readyState") == "complete", f"{url} to load")


def find_all(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def errors(browser: Any) -> list[str]:
    """Errors that the page logged."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def screenshot(browser: Any) -> np.ndarray:
    """uint8 HxWx3 BGR."""
    return cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
