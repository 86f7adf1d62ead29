"""Time on the page of a session: look back, marks, jumps, a second timeframe, indicators, zones, blind mode."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from playwright.sync_api import Page, expect
from talipp.indicators import EMA, RSI, SMA

from tests.browser.pages import SessionPage
from tests.browser.site import GAP, Site
from tests.browser.test_access import serious_violations, unnamed_controls
from tests.support.running_engine import MINUTE, START_MS

Open = Callable[..., SessionPage]
LEGEND_MS = "() => Date.parse(document.querySelector('#legend time').dateTime)"
HEADER_MS = "() => Date.parse(document.querySelector('#at time').dateTime)"
SAME_CANDLE = """() => new Promise((resolve) => {
  const apart = [];
  let frames = 0;
  const look = () => {
    const [at, legend] = ["#at time", "#legend time"].map((name) => document.querySelector(name)?.dateTime);
    if (at !== legend) apart.push([at, legend]);
    frames += 1;
    if (frames < 40) requestAnimationFrame(look);
    else resolve(apart);
  };
  requestAnimationFrame(look);
})"""
INDICATORS = """async (bars) => {
  const { sma, ema, rsi, vwap, volumeProfile } = await import("/static/chart/indicators.js");
  const closes = bars.map(({ close }) => close);
  const averages = { sma: sma(closes, 20), ema: ema(closes, 20), rsi: rsi(closes, 14) };
  return { ...averages, vwap: vwap(bars), profile: volumeProfile(bars, 10) };
}"""


def candles(site: Site, session_id: str) -> list[dict[str, Any]]:
    events = site.call("GET", f"/{session_id}/events?types=candle&limit=10000")["events"]
    return [event["payload"]["candle"] for event in events]


def text(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def blur(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")


def test_a_look_back_jumps_marks_and_a_second_timeframe_show_one_time(site: Site, open_page: Open) -> None:
    session_id = site.create(replayMsPerCandle=60_000)
    site.post(f"/{session_id}/control", {"action": "step", "candles": 200, "wait": True})
    shown = open_page(f"{site.url}/sessions/{session_id}", timezone_id="America/New_York")
    page = shown.page
    shown.until_candles(200)
    last = START_MS + 199 * MINUTE

    # A look back is only a view: heading, chart and second timeframe end at the same candle; the log stays.
    page.select_option("#second-timeframe", "15m")
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowLeft"):
        blur(page)
        page.keyboard.press(key)
    back = last - 12 * MINUTE
    expect(page.locator("#looking-back-text")).to_contain_text(f"Looking back at {text(back)}")
    assert (page.evaluate(HEADER_MS), page.evaluate(LEGEND_MS)) == (back, back)
    first = START_MS + 180 * MINUTE
    known = [candle for candle in candles(site, session_id) if first <= candle["openTimeMs"] <= back]
    expect(page.locator("#second-legend")).to_contain_text(text(first))
    expect(page.locator("#second-legend")).to_contain_text(f"H {max(candle['high'] for candle in known):,.2f}")
    expect(page.locator("#second-legend")).to_contain_text(f"C {known[-1]['close']:,.2f} forming")
    site.post(f"/{session_id}/control", {"action": "step", "candles": 1, "wait": True})
    shown.until_candles(201)
    assert page.evaluate(HEADER_MS) == back
    page.keyboard.press("ArrowRight")
    expect(page.locator("#at time")).to_have_text(text(back + MINUTE))
    assert site.call("GET", f"/{session_id}")["cursorMs"] == last + MINUTE
    page.locator("#scrub").fill("50")
    expect(page.locator("#at time")).to_have_text(text(START_MS + 50 * MINUTE))
    assert page.get_attribute("#scrub", "aria-valuetext") == text(START_MS + 50 * MINUTE)
    assert serious_violations(page) == []
    blur(page)
    page.keyboard.press("End")
    expect(page.locator("#looking-back")).to_be_hidden()
    assert (page.evaluate(HEADER_MS), page.evaluate(LEGEND_MS)) == (last + MINUTE, last + MINUTE)

    # Marks: the last trade, the one before it, and back to it.
    trades = site.call("GET", f"/{session_id}/events?types=trade&limit=1000")["events"]
    for key, trade in (("p", trades[-1]), ("p", trades[-2]), ("n", trades[-1])):
        page.keyboard.press(key)
        expect(page.locator("#payload-title")).to_have_text(f"trade {trade['seq']}")

    # A jump of a paused session ignores its pace of a minute a candle, and pauses there.
    page.fill("#until-time", "2024-01-01T05:00")
    blur(page)
    page.keyboard.press("j")
    shown.until_candles(300)
    shown.until_status("paused")
    expect(page.locator("#at time")).to_have_text("2024-01-01 04:59")

    # At any pace the heading shows the candle of the chart.
    page.keyboard.press("3")
    page.keyboard.press("Space")
    shown.until_candles(310)
    assert page.evaluate(SAME_CANDLE) == []
    page.keyboard.press("1")
    page.select_option("#until-what", label="a day on")
    page.click("#jump")  # While running.
    shown.until_candles(1500)
    page.keyboard.press("Space")

    # Local times, in the fields too.
    page.select_option("#zone", "local")
    expect(page.locator("#what")).to_contain_text("2023-12-31 19:00")
    expect(page.locator("#rows time").first).to_have_text(page.inner_text("#rows time >> nth=0"))
    expect(page.locator("#log thead")).to_contain_text("Time (local)")
    page.reload()
    expect(page.locator("#zone")).to_have_value("local")
    expect(page.locator("#what")).to_contain_text("2023-12-31 19:00")
    shown.lost_nothing()


def test_far_back_the_chart_is_read_again_and_gaps_are_found(site: Site, open_page: Open) -> None:
    url = site.start(symbols=["ETHUSDT"], gapPolicy="skip", replayMsPerCandle=0)
    session_id = url.rpartition("/")[2]
    site.finished(session_id)
    shown = open_page(url)
    page = shown.page
    shown.until_state("ended")
    page.reload()
    shown.until_state("ended")
    page.locator("#scrub").fill("100")
    expect(page.locator("#at time")).to_have_text(text(START_MS + 100 * MINUTE))
    expect(page.locator("#looking-back")).to_be_visible()
    page.locator("#scrub").fill("1500")
    expect(page.locator("#at time")).to_have_text(text(START_MS + 1500 * MINUTE))
    page.click("#live")
    expect(page.locator("#at time")).to_have_text(text(START_MS + 1999 * MINUTE))
    page.select_option("#mark-kind", "gap")
    page.click("#mark-last")
    expect(page.locator("#payload-text")).to_contain_text(f'"missing": {len(GAP)}')
    shown.lost_nothing()


def test_indicators_equal_those_of_talipp(site: Site, open_page: Open) -> None:
    session_id = site.create(profileSlug="none", config={})
    site.post(f"/{session_id}/control", {"action": "step", "candles": 120, "wait": True})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    page = shown.page
    shown.until_candles(120)
    known = candles(site, session_id)
    closes = [candle["close"] for candle in known]
    page.click("#indicators summary")
    for kind, length in (("SMA", "9"), ("EMA", "21"), ("RSI", "14"), ("VWAP", ""), ("Volume profile", "")):
        page.select_option("#indicator-kind", kind)
        if length:
            page.fill("#indicator-length", length)
        page.click("#indicator-form button")
    for value in (f"SMA 9 {SMA(9, closes)[-1]:,.2f}", f"EMA 21 {EMA(21, closes)[-1]:,.2f}"):
        expect(page.locator("#legend")).to_contain_text(value)
    assert serious_violations(page) == []
    assert unnamed_controls(page) == []
    page.click("#indicators summary")
    page.keyboard.press("ArrowRight")
    shown.until_candles(121)
    closes.append(candles(site, session_id)[-1]["close"])
    expect(page.locator("#legend")).to_contain_text(f"SMA 9 {SMA(9, closes)[-1]:,.2f}")
    expect(page.locator("#legend")).to_contain_text(f"RSI 14 {RSI(14, closes)[-1]:.4f}")
    page.reload()
    expect(page.locator("#legend")).to_contain_text(f"EMA 21 {EMA(21, closes)[-1]:,.2f}")

    bars = [{**candle, "time": candle["openTimeMs"] / 1000} for candle in known]
    computed = page.evaluate(INDICATORS, bars)
    closes = closes[:-1]
    for name, values in (("sma", SMA(20, closes)), ("ema", EMA(20, closes)), ("rsi", RSI(14, closes))):
        pairs = zip(computed[name], values, strict=True)
        assert all((ours is None) == (theirs is None) and close(ours, theirs) for ours, theirs in pairs), name
    assert all(close(ours, theirs) for ours, theirs in zip(computed["vwap"], daily_vwap(bars), strict=True))
    volume = sum(bar["volume"] for bar in bars)
    assert close(sum(step["volume"] for step in computed["profile"]), volume)


def close(ours: float | None, theirs: float | None) -> bool:
    return ours == theirs or (ours is not None and theirs is not None and abs(ours - theirs) <= 1e-9 * abs(theirs))


def daily_vwap(bars: list[dict[str, Any]]) -> list[float]:
    """The volume-weighted mean price of each day, computed in another way."""
    values = []
    for _, day in groupby(bars, lambda bar: bar["time"] // 86_400):
        money = volume = 0.0
        for bar in day:
            money += bar["volume"] * (bar["high"] + bar["low"] + bar["close"]) / 3
            volume += bar["volume"]
            values.append(money / volume)
    return values


LEAKS = """() => {
  const hidden = ["BTCUSDT", "ETHUSDT", "2024", "demo", "1704"];
  const texts = [document.title, document.documentElement.outerHTML];
  for (const field of document.querySelectorAll("input, select, textarea")) texts.push(field.value);
  return hidden.filter((word) => texts.some((text) => text.includes(word)));
}"""


def test_a_blind_session_shows_neither_symbol_nor_dates(site: Site, open_page: Open) -> None:
    session_id = site.create(
        name="BTCUSDT in 2024", tags=["blind", "demo of BTC"], symbols=["BTCUSDT", "ETHUSDT"], gapPolicy="skip"
    )
    site.post(f"/{session_id}/control", {"action": "step", "candles": 200, "wait": True})
    site.write(session_id, [("log", {"message": "BTCUSDT fell on 2024-01-01"}), ("note", {"about": "ETHUSDT"})])
    shown = open_page(f"{site.url}/sessions/{session_id}", timezone_id="Asia/Tokyo")
    page = shown.page
    shown.until_state("live")
    shown.until_caught_up()
    expect(page.locator("#at")).to_contain_text("day 1 03:19")
    page.select_option("#second-timeframe", "15m")
    for kind in ("log", "note", "candle", "fill", "trade", "gap"):
        page.select_option("#type", kind)
        page.locator(f"#rows tr[data-type={kind}] a").first.click()
        expect(page.locator("#payload-title")).to_contain_text(kind)
    page.click("#tab-orders")
    page.locator("#orders-rows button").first.click()
    expect(page.locator("#why-body")).to_contain_text("candle: open")
    page.keyboard.press("Escape")
    page.click("#tab-trades")
    blur(page)
    for key in ("ArrowLeft", "End", "p"):
        page.keyboard.press(key)
    page.locator("#prices").hover()
    page.click("#fork")
    page.click("button[value=fork]")
    page.wait_for_url(lambda url: session_id not in url)
    expect(page.locator("#at")).to_contain_text("day 1")
    assert page.evaluate(LEAKS) == []
    page.goto(f"{site.url}/sessions/{session_id}")
    site.post(f"/{session_id}/stop")
    shown.until_status("stopped")
    assert page.evaluate(LEAKS) == []
    assert page.title() == "Blind session · ZEON sim"
    page.click("#blind")
    expect(page.locator("#title")).to_have_text("BTCUSDT in 2024")
    assert "demo" in page.evaluate(LEAKS)

    # The form makes one of a random range, which is not shown there, on its page, or in the list.
    page.goto(site.url)
    page.click("#new")
    page.locator("#cached option", has_text="BTCUSDT").wait_for(state="attached")
    page.select_option("#cached", label=page.locator("#cached option", has_text="BTCUSDT").inner_text())
    page.select_option("#blind", "1")
    expect(page.locator("#from")).to_be_hidden()
    page.click("button[value=create]")
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#title")).to_have_text("Blind session")
    assert page.evaluate(LEAKS) == []
    made = site.call("GET", f"/{page.url.rpartition('/')[2]}")
    assert (made["tags"], made["gapPolicy"], made["endMs"] - made["startMs"]) == (["blind"], "skip", 86_400_000)
    page.goto(site.url)
    expect(page.locator("#rows tr").first).to_contain_text("Blind session")
    assert "BTCUSDT" not in page.locator("#rows tr").first.inner_text()
