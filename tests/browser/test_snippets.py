"""The commands that the page offers for copying work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site, store_candles
from tests.clients import npm
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

Open = Callable[..., SessionPage]


def test_every_snippet_shows_the_end_of_the_log_as_it_is_copied(site: Site, open_page: Open, tmp_path: Path) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.until_state("ended")
    shown.until_caught_up()
    _run_all(site, shown, tmp_path)


def test_snippets_of_a_server_with_tokens_take_one_from_the_environment(
    database: Database, start_server: StartServer, open_page: Open, tmp_path: Path
) -> None:
    store_candles(database, 100)
    token = Cli(database).json("token", "create")["token"]
    site = Site(start_server(database, ZEON_AUTH="token"), database, token)
    shown = open_page(site.start(replayMsPerCandle=0, endMs=START_MS + 100 * MINUTE))
    shown.page.fill("#token", token)
    shown.page.keyboard.press("Enter")
    shown.until_state("ended")
    shown.until_caught_up()
    _run_all(site, shown, tmp_path)


def _run_all(site: Site, shown: SessionPage, folder: Path) -> None:
    node, page = npm.node(), shown.page
    if not shutil.which("curl"):
        pytest.skip("no curl")
    page.click("#copy")
    expect(page.locator("#snippet-list pre")).to_have_count(4)
    python, javascript, curl, psql = page.locator("#snippet-list pre").all_inner_texts()
    last = shown.number("seq")
    assert _run(site, sys.executable, "-c", python).splitlines()[-1].startswith(f"{last} status ")
    assert f" {last} | " in _shell(site, psql)
    assert f"id: {last}\n" in _shell(site, curl)
    (folder / "copied.mjs").write_text(javascript)
    assert f"\n{last} status {{" in _run(site, node, str(folder / "copied.mjs"))


def test_a_snippet_is_copied_by_its_button(site: Site, open_page: Open) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown.until_state("ended")
    shown.page.click("#copy")
    button = shown.page.locator("[aria-label='Copy the curl snippet']")
    button.click()
    expect(button).to_have_text("Copied")
    text = shown.page.locator("[aria-label='curl snippet']").inner_text()
    assert text.startswith("curl -N")
    assert shown.page.evaluate("navigator.clipboard.readText()") == text


def _shell(site: Site, text: str) -> str:
    return _run(site, "sh", "-c", text)


def _run(site: Site, *command: str) -> str:
    """Run what was pasted, with this project's `zeon` first on the path."""
    env = {**Cli(site.database).env, "TOKEN": site.token}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout
