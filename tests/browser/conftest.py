"""Fixtures for tests in a real browser. `apt-get install chromium` brings one; without it they are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from app.web.website import FOLDER
from tests.browser.pages import SessionPage
from tests.browser.site import Site, store_candles
from tests.conftest import MAIN
from tests.support.postgres import Postgres
from tests.support.server_process import ServerProcess

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
    executable = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip("no browser: apt-get install chromium, or name one in CHROMIUM")
    if not (FOLDER / "vendor").is_dir():
        pytest.skip("no chart library: make install brings it")
    expect.set_options(timeout=30_000)  # A slow machine needs time.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., SessionPage]]:
    """Open a page in its own browser context; an error that the page logs fails the test."""
    opened: list[SessionPage] = []

    def open_(url: str, **options: object) -> SessionPage:
        options = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"} | options
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        opened.append(SessionPage(context.new_page()))
        opened[-1].page.goto(url)
        return opened[-1]

    yield open_
    for shown in opened:
        shown.page.context.close()
    assert [error for shown in opened for error in shown.errors] == []


@pytest.fixture(scope="package")
def site(postgres_servers: Callable[[str], Postgres], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests of the pages, with candles of two symbols in its cache, one of which has a gap."""
    postgres = postgres_servers(MAIN)
    database = postgres.new_database()
    store_candles(database)
    server = ServerProcess(
        database, tmp_path_factory.mktemp("site") / "zeon.log", ZEON_POLL_MS=200, ZEON_RUNNER_TTL_MS=6000
    )
    yield Site(server.start(), database)
    server.kill()
    postgres.drop(database)
