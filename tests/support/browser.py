"""Debian's Chromium, driven by Playwright, for the tests of the HTML report. No browser is downloaded."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


def missing() -> list[str]:
    """What is not here."""
    modules = [name for name in ("playwright", "axe_playwright_python") if find_spec(name) is None]
    return modules + [name for name in ("chromium", "pdftotext") if shutil.which(name) is None]


@contextmanager
def browsing(dark: bool = False) -> Iterator[BrowserContext]:
    """A browser that may use the clipboard. Fails where a page logs, errs, or asks for anything but pages."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only where it is here

    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(
            color_scheme="dark" if dark else "light", permissions=["clipboard-read", "clipboard-write"]
        )
        context.on("console", lambda message: faults.append(message.text))
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("request", lambda request: None if request.is_navigation_request() else faults.append(request.url))
        yield context
        browser.close()
    assert faults == []


def printed(page: Page, path: Path) -> list[str]:
    """The text of each sheet of A4."""
    page.pdf(path=path, format="A4", prefer_css_page_size=True)
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")[:-1]
