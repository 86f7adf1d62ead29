"""A file of candles on the sessions page: dropped or chosen, looked at, stored, and made a session of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.candles.sources.synthetic import candles as made_up
from tests.browser.pages import SessionPage, fits
from tests.browser.site import Site
from tests.support.running_engine import MINUTE, START_MS

Open = Callable[..., SessionPage]
DROP = """async ([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""


def text_of(symbol: str, count: int = 300, without: range = range(0)) -> str:
    candles = made_up(symbol, "1m", START_MS, START_MS + count * MINUTE)
    rows = [f"{c.open_time_ms},{','.join(map(str, c[4:9]))}" for n, c in enumerate(candles) if n not in without]
    return "\n".join(["time,open,high,low,close,volume", *rows]) + "\n"


def coverage(page: Page) -> list[dict[str, object]]:
    return page.evaluate("fetch('/api/market/coverage').then((answer) => answer.json())")["coverage"]


def symbols(page: Page) -> set[object]:
    return {series["symbol"] for series in coverage(page)}


def test_a_dropped_file_is_recognised_stored_and_used_for_a_session(site: Site, open_page: Open) -> None:
    page = open_page(site.url).page
    page.evaluate(DROP, ["DROPUSDT-1m.csv", text_of("DROPUSDT", without=range(40, 45))])
    expect(page.locator("#importing")).to_be_visible()
    expect(page.locator("#import-status")).to_have_text("Ready to store 295 candles.")
    assert page.input_value("#import-symbol") == "DROPUSDT"
    assert page.input_value("#import-timeframe") == "1m"
    assert page.evaluate("document.getElementById('import-file').files[0].name") == "DROPUSDT-1m.csv"
    facts = page.inner_text("#import-facts")
    assert re.search(r"Missing\s+5 in 1 gap: 2024-01-01 00:40 to 2024-01-01 00:45", facts)
    expect(page.locator("#import-bar .missing")).to_have_count(1)
    assert page.locator("#import-rows tbody tr").count() == 6
    assert "DROPUSDT" not in symbols(page)
    page.fill("#import-venue", "demo")
    page.locator("#import-venue").blur()
    page.click("#import-session:enabled")
    expect(page.locator("#creation")).to_be_visible()
    expect(page.locator("#cached option:checked")).to_have_text(re.compile("^DROPUSDT · 1m · demo"))
    page.select_option("#gap-policy", "skip")
    page.click("button[value=start]")
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#what")).to_contain_text("DROPUSDT")


def test_a_chosen_file_is_stored_by_keyboard_and_reported(site: Site, open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "anything.csv"
    path.write_text(text_of("KEYUSDT"))
    page = open_page(site.url).page
    page.focus("#import")
    page.keyboard.press("Enter")
    page.set_input_files("#import-file", path)
    expect(page.locator("#import-question")).to_contain_text("“Symbol”")
    expect(page.locator("#import-store")).to_be_disabled()
    page.focus("#import-symbol")
    page.keyboard.type("Key/Usdt")
    page.keyboard.press("Tab")
    expect(page.locator("#import-store")).to_be_enabled()
    page.locator("#import-venue").fill("demo")
    page.keyboard.press("Tab")
    expect(page.locator("#import-store")).to_be_enabled()
    page.focus("#import-store")
    page.keyboard.press("Enter")
    expect(page.locator("#import-status")).to_have_text(
        "Stored: 300 new candles of KEYUSDT 1m at demo, 0 changed, 0 as before."
    )
    expect(page.locator("#announcement")).to_contain_text("Stored: 300 new candles")
    expect(page.locator("#import-session")).to_be_focused()
    (series,) = [row for row in coverage(page) if row["symbol"] == "KEYUSDT"]
    assert (series["rows"], series["spelling"]) == (300, "Key/Usdt")
    page.keyboard.press("Enter")
    expect(page.locator("#cached option:checked")).to_have_text(re.compile("^Key/Usdt · 1m · demo"))


def test_a_doubt_is_shown_both_ways_and_answered_by_a_click(site: Site, open_page: Open) -> None:
    lines = [f"01/02/2024 00:{minute:02},1,2,1,2,5" for minute in range(5)]
    page = open_page(site.url).page
    page.evaluate(DROP, ["DOUBT-1m.csv", "\n".join(["Date,Open,High,Low,Close,Volume", *lines])])
    expect(page.locator("#import-question")).to_contain_text("“Dates”")
    expect(page.locator("#import-rows table")).to_have_count(2)
    page.click("text=Read it so: month, day, year")
    expect(page.locator("#import-status")).to_have_text("Ready to store 5 candles.")
    assert page.input_value("#import-dates") == "mdy"
    assert "2024-01-02 00:00" in page.inner_text("#import-facts")


def test_what_is_no_file_of_candles_is_said_and_another_can_be_dropped(site: Site, open_page: Open) -> None:
    page = open_page(site.url).page
    page.evaluate(DROP, ["<img src=x onerror=alert(1)>.png", "\x89PNG" + "\0" * 200])
    expect(page.locator("#import-question")).to_be_visible()
    expect(page.locator("#import-store")).to_be_disabled()
    page.evaluate(DROP, ["NEXT-1m.csv", text_of("NEXT", 10)])
    expect(page.locator("#import-status")).to_have_text("Ready to store 10 candles.")
    expect(page.locator("#import-question")).to_be_hidden()
    page.click("#import-close")
    expect(page.locator("#importing")).to_be_hidden()


def test_a_file_of_which_most_is_refused_needs_a_tick(site: Site, open_page: Open) -> None:
    bad = "".join(f"{START_MS + n * MINUTE},1,0.5,1,1,5\n" for n in range(10, 40))
    page = open_page(site.url).page
    page.evaluate(DROP, ["TICK-1m.csv", text_of("TICK", 10) + bad])
    expect(page.locator("#import-question")).to_contain_text("“Keep going”")
    page.fill("#import-venue", "demo")  # Other tests take the first series of the cache, which this must not become.
    page.check("#import-keepGoing")
    page.click("#import-store:enabled")
    expect(page.locator("#import-status")).to_contain_text("Stored: 10 new candles of TICK 1m")


def test_a_file_that_does_not_arrive_is_reported(site: Site, open_page: Open) -> None:
    shown = open_page(site.url)
    page = shown.page
    page.route("**/api/market/import?*", lambda route: route.abort())
    page.evaluate(DROP, ["LOST-1m.csv", text_of("LOST", 10)])
    expect(page.locator("#import-question")).to_contain_text("did not get through")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_import_fits_and_can_be_read_by_all(site: Site, open_page: Open, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(site.url, viewport={"width": width, "height": 800}, color_scheme=scheme).page
    page.evaluate(DROP, ["EURUSD=X-1m.csv", text_of("LOOK", 100, without=range(10, 20))])
    expect(page.locator("#import-status")).to_contain_text("Ready to store")
    page.click("#import-reading summary")
    assert fits(page)
    result = axe.Axe().run(page).response
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in result["violations"]] == []


def test_a_session_at_the_end_of_the_cache_says_so_in_list_and_page(site: Site, open_page: Open) -> None:
    url = site.start(endMs=None, startMs=START_MS + 1990 * MINUTE, profileSlug="none", config={}, replayMsPerCandle=0)
    shown = open_page(url)
    text = "It waits for BTCUSDT 1m from 2024-01-02 09:20:00Z on, which venue demo does not have in the cache yet."
    expect(shown.page.locator("#waiting")).to_contain_text(text)
    shown.page.goto(site.url)
    row = shown.page.locator("#rows tr", has=shown.page.locator(f"a[href='/sessions/{url.rpartition('/')[2]}']"))
    expect(row.locator("td.progress")).to_contain_text("waits for 2024-01-02 09:20")
    assert json.dumps(text)[1:-1] in json.dumps(row.locator("td.progress .hint").get_attribute("title"))
    site.post(f"/{url.rpartition('/')[2]}/stop")
