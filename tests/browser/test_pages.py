"""The pages under hard conditions: servers that go away, small screens, keyboards only, names that look like markup."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.candles import synthetic
from tests.browser.pages import SessionPage, fits
from tests.support.cli import Cli
from tests.support.engine import MINUTE, START_MS
from tests.support.process import Zeon
from tests.support.servers import Database

Open = Callable[..., SessionPage]
NAME = "<img src=x onerror=alert(1)> & Söhne"


@pytest.fixture
def server(database: Database, zeon: Callable[..., Zeon], tmp_path: Path) -> Zeon:
    """A server with two symbols in its cache, one of which has a gap."""
    for symbol, lost in (("BTCUSDT", range(0)), ("ETHUSDT", range(40, 53))):
        rows = [
            f"{each.open_time_ms},{each.open},{each.high},{each.low},{each.close},{each.volume}"
            for place, each in enumerate(synthetic.candles(symbol, "1m", START_MS, START_MS + 3000 * MINUTE))
            if place not in lost
        ]
        file = tmp_path / f"{symbol}.csv"
        file.write_text("open_time,open,high,low,close,volume\n" + "\n".join(rows))
        Cli(database)("candles", "import", file, "--symbol", symbol, "--timeframe", "1m", "--venue", "demo")
    return zeon(database, ZEON_POLL_MS=200)


def create(server: Zeon, **changes: Any) -> str:
    """Create a session over HTTP; gives its id."""
    body = {
        "profileSlug": "sma_cross",
        "config": {"fast": 5, "slow": 20, "lines": True},
        "venue": "demo",
        "symbols": ["BTCUSDT"],
        "timeframe": "1m",
        "startMs": START_MS,
        "endMs": START_MS + 3000 * MINUTE,
        "replayMsPerCandle": 20,
        "name": NAME,
        **changes,
    }
    return str(post(server, "", body)["id"])


def post(server: Zeon, path: str, body: Any = None) -> Any:
    url = f"{server.url}/api/sim/sessions{path}"
    asked = urllib.request.Request(url, json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)["data"]


def serious(shown: SessionPage) -> list[str]:
    """What axe-core finds that keeps people out."""
    found = Axe().run(shown.page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_a_server_killed_and_started_again_under_an_open_page_goes_on(server: Zeon, open_page: Open) -> None:
    session_id = create(server)
    post(server, f"/{session_id}/start")
    shown = open_page(f"{server.url}/sessions/{session_id}")
    shown.until_candles(50)
    server.kill()
    shown.until_state("reconnecting")
    before = shown.number("candles")
    server.start()
    shown.until_state("live")
    shown.until_status("paused", 25)
    shown.page.keyboard.press("Space")
    shown.until_candles(before + 30)
    shown.lost_nothing()


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_everything_without_scrolling_sideways(server: Zeon, open_page: Open, width: int) -> None:
    session_id = create(server, symbols=["BTCUSDT", "ETHUSDT"], gapPolicy="skip", replayMsPerCandle=0)
    post(server, f"/{session_id}/start")
    size = {"width": width, "height": 844}
    shown = open_page(f"{server.url}/sessions/{session_id}", viewport=size, has_touch=True, is_mobile=True)
    shown.until_status("finished")
    shown.until_state("ended")
    assert fits(shown.page)
    shown.page.select_option("#series", "ETHUSDT 1m")
    expect(shown.page.locator("#prices")).to_have_attribute("aria-label", re_of("ETHUSDT"))
    shown.page.goto(server.url)
    expect(shown.page.locator("#rows tr")).to_have_count(1)
    assert fits(shown.page)
    shown.page.tap("#new")
    expect(shown.page.locator("#creation")).to_be_visible()
    assert fits(shown.page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(server: Zeon, open_page: Open, scheme: str) -> None:
    session_id = create(server, replayMsPerCandle=0)
    post(server, f"/{session_id}/start")
    create(server)
    shown = open_page(f"{server.url}/sessions/{session_id}", color_scheme=scheme)
    shown.until_state("ended")
    shown.page.locator("#rows a").first.click()
    assert serious(shown) == []
    shown.page.keyboard.press("?")
    expect(shown.page.locator("#help")).to_be_visible()
    assert serious(shown) == []
    shown.page.goto(server.url)
    expect(shown.page.locator("#rows tr")).to_have_count(2)
    assert serious(shown) == []
    shown.page.click("#new")
    expect(shown.page.locator("#creation")).to_be_visible()
    assert serious(shown) == []


def test_a_session_is_made_watched_and_deleted_by_keyboard_alone(server: Zeon, open_page: Open) -> None:
    shown = open_page(server.url)
    page = shown.page
    expect(page.locator("#empty")).to_be_visible()
    page.focus("#new")
    page.keyboard.press("Enter")
    expect(page.locator("#creation")).to_be_visible()
    if page.locator("#symbols").is_visible():
        page.fill("#symbols", "BTCUSDT")
        page.fill("#from", "2024-01-01T00:00")
        page.fill("#to", "2024-01-02T00:00")
    page.select_option("#profile", "rsi_revert")
    page.fill("#name", NAME)
    page.locator("button[value=start]").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#title")).to_have_text(NAME)
    shown.until_status("running")
    page.keyboard.press("Space")
    shown.until_status("paused")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.goto(server.url)
    expect(page.locator("#rows .name")).to_have_text(NAME)
    page.locator("#rows button", has_text="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.locator("button[value=keep]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#empty")).to_be_visible()


def test_a_link_to_an_event_shows_it_however_far_back(server: Zeon, open_page: Open) -> None:
    session_id = create(server, replayMsPerCandle=0)
    post(server, f"/{session_id}/start")
    shown = open_page(f"{server.url}/sessions/{session_id}?seq=700")
    page = shown.page
    expect(page.locator("#payload-title")).to_contain_text(" 700")
    shown.until_status("finished")
    page.goto(f"{server.url}/sessions/{session_id}?seq=700")
    expect(page.locator("#payload-title")).to_contain_text(" 700")
    expect(page.locator("#still")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#still")).to_be_hidden()
    shown.until_state("ended")
    shown.lost_nothing()
    assert "seq" not in page.url
    page.keyboard.press("Home")
    expect(page.locator("#still")).to_be_visible()


def test_a_session_with_gaps_says_what_to_do_and_an_unknown_one_leads_back(server: Zeon, open_page: Open) -> None:
    session_id = create(server, symbols=["ETHUSDT"])
    shown = open_page(f"{server.url}/sessions/{session_id}")
    shown.page.click("#play")
    expect(shown.page.locator("#problem")).to_contain_text("13 missing")
    expect(shown.page.locator("#problem")).to_contain_text("gap policy")
    shown.page.goto(f"{server.url}/sessions/{'0' * 8}-0000-0000-0000-{'0' * 12}")
    expect(shown.page.locator("#title")).to_have_text("This session is not there")
    shown.page.click("#what a")
    expect(shown.page.locator("#rows tr")).to_have_count(1)


def test_a_fork_and_a_stop_are_asked_for_with_buttons(server: Zeon, open_page: Open) -> None:
    session_id = create(server)
    post(server, f"/{session_id}/control", {"action": "step", "candles": 30})
    shown = open_page(f"{server.url}/sessions/{session_id}")
    shown.until_candles(30)
    shown.page.click("#fork")
    shown.page.wait_for_url(lambda url: session_id not in url)
    shown.until_candles(30)
    shown.page.click("#stop")
    shown.page.click("#question-yes")
    shown.until_status("stopped")
    expect(shown.page.locator("#step")).to_be_disabled()


def test_a_server_with_tokens_asks_for_one(database: Database, zeon: Callable[..., Zeon], open_page: Open) -> None:
    secret = Cli(database).json("token", "create")["token"]
    shown = open_page(zeon(database, ZEON_AUTH="token").url)
    shown.page.fill("#token", "wrong")
    shown.page.keyboard.press("Enter")
    expect(shown.page.locator("dialog .problem")).to_have_text("This token is not valid.")
    shown.page.fill("#token", secret)
    shown.page.keyboard.press("Enter")
    expect(shown.page.locator("#empty")).to_be_visible()
    cookie = next(each for each in shown.page.context.cookies() if each["name"] == "zeon")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


def re_of(text: str) -> Any:
    import re

    return re.compile(re.escape(text))
