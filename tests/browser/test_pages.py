"""Work with the pages: create sessions, follow links, fork, stop; on small screens too."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.browser.pages import LATE_FRAMES, SessionPage, fits
from tests.browser.site import GAP, HOLES, Site
from tests.support.running_engine import MINUTE, START_MS

Open = Callable[..., SessionPage]
NAME = "<img src=x onerror=alert(1)> & Söhne"


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


def test_a_session_is_created_watched_and_deleted_by_keyboard_alone(site: Site, open_page: Open) -> None:
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


POINTED = "([ts, ms]) => Math.abs(Date.parse(document.querySelector('#legend time')?.dateTime) - ts) < ms"
"""Whether the candle in the legend is at most so many ms from a time."""


@pytest.mark.parametrize("frames", ["in time", "late"])
def test_a_link_to_an_event_shows_it_however_far_back(site: Site, open_page: Open, frames: str) -> None:
    url = site.start(replayMsPerCandle=0)
    shown = open_page(url)
    page = shown.page
    shown.until_state("ended")
    if frames == "late":
        page.add_init_script(f"({LATE_FRAMES})()")
    later: list[Route] = []
    page.route("**/events?fromSeq=3001&limit=4000", lambda route: later.append(route))
    page.goto(f"{url}?seq=700")
    expect(page.locator("#payload-title")).to_contain_text(" 700")
    expect(page.locator("#looking-back")).to_be_visible()
    page.wait_for_url("**?seq=700")
    later[0].continue_()  # Later events are read too; they must not move the visible range.
    shown.until_candles(900)
    page.locator("#prices").hover()
    ts = site.database.query("SELECT ts FROM sim_events WHERE session_id = %s AND seq = 700", url.rpartition("/")[2])[
        0
    ][0]
    page.wait_for_function(POINTED, arg=[ts, 30 * MINUTE])
    page.keyboard.press("End")
    expect(page.locator("#looking-back")).to_be_hidden()
    shown.until_state("ended")
    shown.lost_nothing()
    assert "seq" not in page.url
    page.keyboard.press("Home")
    if frames == "in time":  # Late frames may find the beginning already read, so that the page need not look back.
        expect(page.locator("#looking-back")).to_be_visible()
    page.wait_for_timeout(0 if frames == "in time" else 3000)
    box = page.locator("#prices").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    page.wait_for_function(POINTED, arg=[START_MS, 130 * MINUTE])


def test_a_session_with_gaps_says_what_to_do_and_an_unknown_one_leads_back(site: Site, open_page: Open) -> None:
    shown = open_page(f"{site.url}/sessions/{site.create(symbols=['ETHUSDT'])}")
    shown.page.click("#play")
    expect(shown.page.locator("#problem")).to_contain_text(f"{len(GAP)} missing")
    expect(shown.page.locator("#problem")).to_contain_text("gap policy")
    shown.page.goto(f"{site.url}/sessions/{'0' * 8}-0000-0000-0000-{'0' * 12}")
    expect(shown.page.locator("#title")).to_have_text("Session not found")
    shown.page.click("#what a")
    expect(shown.page.locator("#rows tr").first).to_be_visible()


def test_a_fork_and_a_stop_are_asked_for_with_buttons(site: Site, open_page: Open) -> None:
    session_id = site.create()
    site.post(f"/{session_id}/control", {"action": "step", "candles": 30})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_candles(30)
    shown.until_status("paused")
    shown.page.click("#fork")
    shown.page.get_by_label("Slow").fill("30")
    shown.page.click("button[value=fork]")
    shown.page.wait_for_url(lambda url: session_id not in url)
    assert site.call("GET", f"/{shown.page.url.rpartition('/')[2]}")["config"]["slow"] == 30
    shown.until_candles(30)
    shown.page.click("#stop")
    shown.page.click("#question-yes")
    shown.until_status("stopped")
    expect(shown.page.locator("#step")).to_be_disabled()


def test_a_trade_chosen_in_the_table_is_shown_on_the_candles_however_far_back(site: Site, open_page: Open) -> None:
    url = site.start(replayMsPerCandle=0)
    site.finished(url.rpartition("/")[2])  # A page that is opened earlier may show the log from its beginning.
    shown = open_page(url)
    page = shown.page
    shown.until_state("ended")
    page.reload()
    shown.until_state("ended")
    page.select_option("#type", "trade")
    seq = site.database.query(
        "SELECT min(seq) FROM sim_events WHERE session_id = %s AND type = 'trade'", url.rpartition("/")[2]
    )[0][0]
    page.locator(f"#rows tr[data-seq='{seq}'] a").click()
    expect(page.locator("#looking-back")).to_be_visible()
    expect(page.locator("#rows tr.selected")).to_have_attribute("data-seq", str(seq))
    expect(page.locator("#payload-title")).to_have_text(f"trade {seq}")
    assert page.url.endswith(f"?seq={seq}")


def test_the_range_picker_counts_every_gap_before_anything_starts(site: Site, open_page: Open) -> None:
    page = open_page(site.url).page
    page.click("#new")
    page.locator("#cached option", has_text="SCATTERED").wait_for(state="attached")
    page.select_option("#cached", label=page.locator("#cached option", has_text="SCATTERED").inner_text())
    gaps = len(HOLES)
    expect(page.locator("#coverage-text")).to_contain_text(f"{gaps} missing in {gaps} gaps")
    assert page.locator("#coverage .missing").count() == gaps


def test_the_candle_under_the_pointer_is_shown_with_its_volume(site: Site, open_page: Open) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.until_state("ended")
    shown.page.locator("#prices").hover()
    expect(shown.page.locator("#legend")).to_contain_text(re.compile(r"V [\d.,]+ .*%"))


def test_small_prices_keep_their_decimals(site: Site, open_page: Open) -> None:
    page = open_page(site.url).page
    script = """async () => {
      const { decimalsOf, learnDecimals, priceText } = await import("/static/common/prices.js");
      return [0.00001234, 1.5, 42000, 1e-8, 0.1234].map((price, index) => {
        learnDecimals(`S${index}`, [price]);
        return [decimalsOf(`S${index}`), priceText(`S${index}`, price)];
      });
    }"""
    assert page.evaluate(script) == [
        [8, "0.00001234"],
        [2, "1.50"],
        [2, "42,000.00"],
        [8, "0.00000001"],
        [4, "0.1234"],
    ]


def test_a_session_runs_to_a_time_or_to_the_next_trade_and_waits_there(site: Site, open_page: Open) -> None:
    shown = open_page(f"{site.url}/sessions/{site.create(replayMsPerCandle=0)}")
    page = shown.page
    shown.until_state("live")
    page.fill("#until-time", "2024-01-01T02:00")
    page.click("#jump")
    shown.until_candles(120)
    shown.until_status("paused")
    assert shown.number("candles") == 120
    page.select_option("#until-what", "trade")
    expect(page.locator("#until-time")).to_be_hidden()
    page.select_option("#type", "trade")
    before = page.locator("#rows tr[data-type=trade]").count()
    page.click("#until-go")
    expect(page.locator("#rows tr[data-type=trade]")).to_have_count(before + 1)
    shown.until_status("paused")


HELD_FRAMES = """() => {
  const [held, given] = [[], window.requestAnimationFrame];
  window.requestAnimationFrame = (draw) => held.push(draw);
  window.held = held;
  window.release = () => {
    window.requestAnimationFrame = given;
    held.forEach(given);
  };
}"""


def test_seq_and_lag_count_events_drawn_not_events_received(site: Site, open_page: Open) -> None:
    session_id = site.create()
    site.post(f"/{session_id}/control", {"action": "step", "candles": 200})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    page = shown.page
    shown.until_state("live")
    shown.until_caught_up()
    before = shown.number("seq")
    page.evaluate(HELD_FRAMES)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => held.length", polling=20)
    page.keyboard.press("2")
    expect(page.locator("#paces input[value='250']")).to_be_checked()
    expect(page.locator("#stream-lag")).not_to_have_text("0 events")
    assert (shown.number("seq"), shown.number("candles")) == (before, 200)
    page.evaluate("release()")
    expect(page.locator("#stream-candles")).to_have_text("201")
    shown.until_caught_up()
    assert shown.number("seq") > before
