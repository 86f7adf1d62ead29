"""The dialog "Connect a bot": its programs are copied and run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution

from playwright.sync_api import expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site
from tests.browser.test_access import serious_violations, unnamed_controls

Open = Callable[..., SessionPage]


def installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def test_the_programs_of_the_dialog_run_until_the_key_is_revoked(site: Site, open_page: Open) -> None:
    session_id = site.create(profileSlug="manual", config={})
    site.post(f"/{session_id}/control", {"action": "step", "candles": 30, "wait": True})
    price = site.call("GET", f"/{session_id}/events?types=candle&tail=1")["events"][0]["payload"]["candle"]["close"]
    shown = open_page(f"{site.url}/sessions/{session_id}")
    page = shown.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#bot")
    page.click("#bot-create")
    expect(page.locator("#bot-new section")).to_have_count(4)
    assert serious_violations(page) == []
    assert unnamed_controls(page) == []
    programs = {}
    for section in page.locator("#bot-new section").all():
        section.locator("button").click()
        expect(section.locator("button")).to_have_text("Copied")
        programs[section.locator("h3").inner_text()] = page.evaluate("navigator.clipboard.readText()")
    exchange = json.loads(f"{{{programs.pop('freqtrade')}}}")["exchange"]
    assert exchange["name"] == "binance"
    assert f"{site.url}/x/binance/" in json.dumps(exchange)
    for name, program in programs.items():
        assert "api.binance.com" not in program
        if not installed(name):
            continue
        command = [sys.executable, "-W", "ignore", "-c", program]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        assert f"{price:g}" in run.stdout or str(price) in run.stdout, run.stdout
        assert "USDT" in run.stdout
    page.click("#bot-keys button")
    expect(page.locator("#bot-keys li")).to_have_count(0)
