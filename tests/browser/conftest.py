"""Fixtures for tests in a real browser. `apt-get install chromium` brings one; without it they are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from app.web.page import FOLDER
from tests.browser.pages import SessionPage

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no browser: apt-get install chromium, or name one in CHROMIUM")
    if not (FOLDER / "vendor").is_dir():
        pytest.skip("no chart library: make install brings it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., SessionPage]]:
    """Open a page in a context of its own; whatever it logs as an error fails the test."""
    opened: list[SessionPage] = []

    def open_(url: str, **options: object) -> SessionPage:
        options = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"} | options
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        opened.append(SessionPage(context.new_page()))
        opened[-1].page.goto(url)
        return opened[-1]

    yield open_
    for each in opened:
        each.page.context.close()
    assert [line for each in opened for line in each.complaints] == []
