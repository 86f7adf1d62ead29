"""The pages with the keyboard and with a screen reader, and names that look like markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.pages import LATE_FRAMES, SessionPage
from tests.browser.site import Site

Open = Callable[..., SessionPage]
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
NAMED = {"button", "link", "textbox", "searchbox", "combobox", "radio", "checkbox", "progressbar", "dialog", "table"}
COUNT_ANNOUNCEMENTS = """
new MutationObserver(() => { window.announcements = (window.announcements ?? 0) + 1; })
  .observe(document.getElementById("announcement"), { childList: true, characterData: true, subtree: true })
"""


def serious_violations(page: Page) -> list[str]:
    """Serious violations that axe-core reports: all rules in the light theme, contrast in the dark one too."""
    page.emulate_media(reduced_motion="reduce")  # Colors in transition have no contrast of their own.
    violations = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    violations += Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
    page.emulate_media(color_scheme="light")
    serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    return [f"{violation['id']}: {node['html'][:160]}" for violation in serious for node in violation["nodes"]]


def unnamed_controls(page: Page) -> list[str]:
    """Controls of the accessibility tree that have a role but no name for a screen reader."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen: list[dict[str, Any]] = [node for node in nodes if not node["ignored"]]
    return [
        node["role"]["value"] for node in seen if node["role"]["value"] in NAMED and not node["name"]["value"].strip()
    ]


def test_axe_finds_nothing_serious(site: Site, open_page: Open) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.until_state("ended")
    assert shown.page.get_attribute("#tv-attr-logo", "href") == "https://www.tradingview.com/"
    shown.page.locator("#rows a").first.click()
    assert serious_violations(shown.page) == []
    shown.page.keyboard.press("?")
    expect(shown.page.locator("#help")).to_be_visible()
    assert serious_violations(shown.page) == []
    shown.page.keyboard.press("Escape")
    shown.page.click("#copy")
    expect(shown.page.locator("#snippets")).to_be_visible()
    assert serious_violations(shown.page) == []
    assert unnamed_controls(shown.page) == []
    shown.page.goto(site.url)
    expect(shown.page.locator("#rows tr").first).to_be_visible()
    assert serious_violations(shown.page) == []
    shown.page.click("#new")
    expect(shown.page.locator("button[value=start]")).to_be_enabled()
    assert serious_violations(shown.page) == []
    assert unnamed_controls(shown.page) == []


def test_axe_finds_nothing_serious_where_something_is_wrong_or_missing(site: Site, open_page: Open) -> None:
    shown = open_page(f"{site.url}/sessions/{site.create(symbols=['ETHUSDT'])}")
    expect(shown.page.locator("#prices-empty")).to_be_visible()
    assert serious_violations(shown.page) == []
    shown.page.click("#play")
    shown.until_status("failed")
    expect(shown.page.locator("#problem")).to_be_visible()
    assert serious_violations(shown.page) == []
    shown.page.goto(f"{site.url}/sessions/{'0' * 8}-0000-0000-0000-{'0' * 12}")
    expect(shown.page.locator("#title")).to_have_text("Session not found")
    assert serious_violations(shown.page) == []
    shown.page.goto(site.url)
    shown.page.select_option("#status", "stopped")
    expect(shown.page.locator("#empty")).to_be_visible()
    assert serious_violations(shown.page) == []


def test_every_key_does_what_the_list_of_keys_says(site: Site, open_page: Open) -> None:
    session_id = site.create()
    site.post(f"/{session_id}/control", {"action": "step", "candles": 200})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    page = shown.page
    shown.until_candles(200)
    shown.until_status("paused")
    page.keyboard.press("ArrowRight")
    shown.until_candles(201)
    shown.until_status("paused")
    for key, pace in (("1", 1000), ("2", 250), ("3", 50), ("4", 10), ("5", 0)):
        page.keyboard.press(key)
        expect(page.locator(f"#paces input[value='{pace}']")).to_be_checked()
        assert site.call("GET", f"/{session_id}")["replayMsPerCandle"] == pace
    page.locator("#paces input[value='0']").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#paces input[value='1000']")).to_be_checked()
    assert shown.number("candles") == 201
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    expect(page.locator("#latest")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#latest")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("1 5")
    expect(page.locator("#search")).to_have_value("1 5")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.locator("#help")).to_be_hidden()
    shown.until_status("paused")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    shown.until_status("running")


def test_end_leads_to_the_newest_candle_however_late_frames_come(site: Site, open_page: Open) -> None:
    session_id = site.create()
    site.post(f"/{session_id}/control", {"action": "step", "candles": 200})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_candles(200)
    shown.until_status("paused")
    shown.page.keyboard.press("Home")
    expect(shown.page.locator("#latest")).to_be_visible()
    shown.page.evaluate(LATE_FRAMES)
    shown.page.keyboard.press("End")
    expect(shown.page.locator("#latest")).to_be_hidden()


def test_a_fast_session_makes_few_announcements_to_screen_readers(site: Site, open_page: Open) -> None:
    session_id = site.create(config={"fast": 2, "slow": 3}, replayMsPerCandle=2)
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_state("live")
    shown.page.evaluate(COUNT_ANNOUNCEMENTS)
    shown.page.keyboard.press("Space")
    shown.until_status("finished")
    shown.until_state("ended")
    trades = site.database.query("SELECT count(*) FROM sim_events WHERE session_id = %s AND type = 'trade'", session_id)
    assert trades[0][0] > 100
    assert 0 < shown.page.evaluate("announcements") < 20


def test_what_users_and_strategies_wrote_is_never_markup(site: Site, open_page: Open) -> None:
    session_id = site.create(name=MARKUP, tags=[MARKUP], profileSlug="none", config={}, replayMsPerCandle=0)
    site.post(f"/{session_id}/control", {"action": "step", "candles": 3})
    fill = {"orderId": 1, "symbol": MARKUP, "side": "BUY", "qty": 1, "price": 1, "fee": 0}
    trade = {
        "symbol": MARKUP,
        "side": MARKUP,
        "entryPrice": 1,
        "exitPrice": 1,
        "netPnl": 1,
        "holdBars": 1,
        "reason": MARKUP,
    }
    events = [
        ("log", {"message": MARKUP}),
        ("plot", {"name": MARKUP, "value": 1}),
        ("signal", {"symbol": "BTCUSDT", "direction": "LONG", "reason": MARKUP}),
        ("note", {MARKUP: MARKUP}),
        ("fill", fill),
        ("trade", {**trade, "entryTs": 1, "exitTs": 1}),
    ]
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_status("paused")
    site.write(session_id, events)
    page = shown.page
    page.reload()
    expect(page.locator("#title")).to_have_text(MARKUP)
    for type_, _ in events:
        row = page.locator(f"#rows tr[data-type={type_}]").first
        expect(row).to_contain_text("onerror=alert(1)")
        row.locator("a").click()
        expect(page.locator("#payload-text")).to_contain_text("onerror=alert(1)")
    assert page.locator("body img").count() == 1
    page.goto(site.url)
    expect(page.locator("#rows .name", has_text="onerror=alert(1)").first).to_have_text(MARKUP)
    expect(page.locator("#rows .tag").first).to_have_text(MARKUP)
    assert page.locator("body img, body script").count() == 1
