"""The pages under hard conditions: servers that go away, small screens, keyboards only, names that look like markup."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.pages import SessionPage, fits
from tests.browser.site import GAP, Site
from tests.support.cli import Cli
from tests.support.process import Zeon
from tests.support.servers import Database

Open = Callable[..., SessionPage]
NAME = "<img src=x onerror=alert(1)> & Söhne"


def serious(shown: SessionPage) -> list[str]:
    """What axe-core finds that keeps people out."""
    found = Axe().run(shown.page).response["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html'][:160]}" for each in grave for node in each["nodes"]]


def test_a_server_killed_and_started_again_under_an_open_page_goes_on(site: Site, open_page: Open) -> None:
    shown = open_page(site.start())
    shown.until_candles(50)
    site.zeon.kill()
    shown.until_state("reconnecting")
    before = shown.number("candles")
    site.zeon.start()
    shown.until_state("live")
    shown.until_status("paused", 25)
    shown.page.keyboard.press("Space")
    shown.until_candles(before + 30)
    shown.lost_nothing()


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_everything_without_scrolling_sideways(site: Site, open_page: Open, width: int) -> None:
    url = site.start(symbols=["BTCUSDT", "ETHUSDT"], gapPolicy="skip", replayMsPerCandle=0)
    size = {"width": width, "height": 844}
    shown = open_page(url, viewport=size, has_touch=True, is_mobile=True)
    shown.until_state("ended")
    assert fits(shown.page)
    shown.page.select_option("#series", "ETHUSDT 1m")
    expect(shown.page.locator("#prices")).to_have_attribute("aria-label", re.compile("ETHUSDT"))
    shown.page.goto(site.url)
    expect(shown.page.locator("#rows tr").first).to_be_visible()
    assert fits(shown.page)
    shown.page.tap("#new")
    expect(shown.page.locator("#creation")).to_be_visible()
    assert fits(shown.page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site: Site, open_page: Open, scheme: str) -> None:
    shown = open_page(site.start(replayMsPerCandle=0), color_scheme=scheme)
    shown.until_state("ended")
    assert shown.page.get_attribute("#tv-attr-logo", "href") == "https://www.tradingview.com/"
    shown.page.locator("#rows a").first.click()
    assert serious(shown) == []
    shown.page.keyboard.press("?")
    expect(shown.page.locator("#help")).to_be_visible()
    assert serious(shown) == []
    shown.page.goto(site.url)
    expect(shown.page.locator("#rows tr").first).to_be_visible()
    assert serious(shown) == []
    shown.page.click("#new")
    expect(shown.page.locator("#creation")).to_be_visible()
    assert serious(shown) == []


def test_a_session_is_made_watched_and_deleted_by_keyboard_alone(site: Site, open_page: Open) -> None:
    shown = open_page(site.url)
    page = shown.page
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
    page.goto(site.url)
    row = page.locator("#rows tr", has_text=NAME)
    row.locator("button", has_text="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.locator("button[value=keep]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row).to_have_count(0)


def test_a_link_to_an_event_shows_it_however_far_back(site: Site, open_page: Open) -> None:
    url = site.start(replayMsPerCandle=0)
    shown = open_page(url)
    page = shown.page
    shown.until_state("ended")
    page.goto(f"{url}?seq=700")
    expect(page.locator("#payload-title")).to_contain_text(" 700")
    expect(page.locator("#still")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#still")).to_be_hidden()
    shown.until_state("ended")
    shown.lost_nothing()
    assert "seq" not in page.url
    page.keyboard.press("Home")
    expect(page.locator("#still")).to_be_visible()


def test_a_session_with_gaps_says_what_to_do_and_an_unknown_one_leads_back(site: Site, open_page: Open) -> None:
    shown = open_page(f"{site.url}/sessions/{site.create(symbols=['ETHUSDT'])}")
    shown.page.click("#play")
    expect(shown.page.locator("#problem")).to_contain_text(f"{len(GAP)} missing")
    expect(shown.page.locator("#problem")).to_contain_text("gap policy")
    shown.page.goto(f"{site.url}/sessions/{'0' * 8}-0000-0000-0000-{'0' * 12}")
    expect(shown.page.locator("#title")).to_have_text("This session is not there")
    shown.page.click("#what a")
    expect(shown.page.locator("#rows tr").first).to_be_visible()


def test_a_fork_and_a_stop_are_asked_for_with_buttons(site: Site, open_page: Open) -> None:
    session_id = site.create()
    site.post(f"/{session_id}/control", {"action": "step", "candles": 30})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_candles(30)
    shown.until_status("paused")
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
    expect(shown.page.locator("dialog[aria-labelledby=login-title] .problem")).to_have_text("This token is not valid.")
    shown.page.fill("#token", secret)
    shown.page.keyboard.press("Enter")
    expect(shown.page.locator("#empty")).to_be_visible()
    cookie = next(each for each in shown.page.context.cookies() if each["name"] == "zeon")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
