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
from tests.browser.site import Site
from tests.support.cli import Cli

Open = Callable[..., SessionPage]


def test_curl_psql_and_python_snippets_show_the_end_of_the_log(site: Site, open_page: Open) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl")
    shown = open_page(site.start(replayMsPerCandle=0))
    page = shown.page
    shown.until_state("ended")
    shown.until_caught_up()
    page.click("#copy")
    expect(page.locator("#snippet-list pre")).to_have_count(3)
    curl, psql, python = page.locator("#snippet-list pre").all_inner_texts()
    last = shown.number("seq")
    assert f"id: {last}\n" in _shell(site, curl)
    assert f" {last} | " in _shell(site, psql)
    assert _run(site, sys.executable, "-c", python).splitlines()[-2].startswith(f"{last} status ")


def test_a_snippet_is_copied_by_its_button(site: Site, open_page: Open) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown.until_state("ended")
    shown.page.click("#copy")
    shown.page.click("[aria-label='Copy the curl snippet']")
    shown.page.wait_for_function(
        "async text => await navigator.clipboard.readText() === text",
        arg=shown.page.locator("#snippet-list pre").first.inner_text(),
    )


def _shell(site: Site, text: str) -> str:
    return _run(site, "sh", "-c", text)


def _run(site: Site, *command: str) -> str:
    """Run what was pasted, with this project's `zeon` first on the path."""
    env = Cli(site.database).env
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout
