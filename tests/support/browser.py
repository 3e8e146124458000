"""Debian's Chromium, driven by Playwright, for tests and a benchmark of the HTML report. No browser is downloaded."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


def missing() -> list[str]:
    """What is not here."""
    modules = [name for name in ("playwright", "axe_playwright_python") if find_spec(name) is None]
    return modules + [name for name in ("chromium", "pdftotext") if shutil.which(name) is None]


@contextmanager
def browsing(dark: bool = False, *, script: bool = True) -> Iterator[BrowserContext]:
    """A browser that may use the clipboard. Fails where a page logs, errs, or asks for anything but pages."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only where it is here

    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
            java_script_enabled=script,
        )
        context.on("console", lambda message: faults.append(message.text))
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("request", lambda request: None if request.is_navigation_request() else faults.append(request.url))
        yield context
        browser.close()
    assert faults == []


def printed(page: Page, path: Path, height: str = "297mm") -> list[str]:
    """The text of each sheet of A4, or of that width and another height."""
    page.pdf(path=path, width="210mm", height=height, prefer_css_page_size=True)
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")[:-1]


class Opening(NamedTuple):
    """What it took to open a page: seconds to its first paint and until it was all there, and of processor."""

    painted: float
    wall: float
    cpu: float
    elements: int


def opening(page: Page, address: str) -> Opening:
    """Open an address, until the first frame after all of it has been read."""
    browser = page.context.browser
    assert browser is not None
    before = _cpu(browser)
    page.goto(address)
    wall = page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))")
    spent = sum(cpu - before.get(process, 0) for process, cpu in _cpu(browser).items())
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    elements = page.evaluate("document.getElementsByTagName('*').length")
    return Opening(painted / 1000, wall / 1000, spent, elements)


def _cpu(browser: Browser) -> dict[int, float]:
    """Seconds of processor of each process that draws pages. They hardly depend on what else the machine does."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return {each["id"]: each["cpuTime"] for each in found if each["type"] == "renderer"}
