"""The demo in a browser, from its start to its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.pages import SessionPage, demo
from tests.support.postgres import Database

Open = Callable[..., SessionPage]


def test_the_demo_is_watched_controlled_and_runs_to_its_end(
    database: Database, open_page: Open, tmp_path: Path
) -> None:
    with demo(database) as url:
        shown = open_page(url)
        page = shown.page
        shown.until_candles(400)
        shown.until_state("live")
        expect(page.locator("#curve-panel")).to_be_visible()
        expect(page.locator("#prices")).to_have_attribute("aria-label", re.compile("with [1-9][0-9]* fills"))
        page.keyboard.press("Space")
        shown.until_status("paused")
        shown.until_caught_up()
        before = shown.number("candles")
        page.keyboard.press("ArrowRight")
        shown.until_candles(before + 1)
        shown.until_status("paused")
        assert shown.number("candles") == before + 1
        page.screenshot(path=tmp_path / "demo.png")

        page.keyboard.press("Space")
        shown.until_status("running")
        page.keyboard.press("5")
        shown.until_status("finished")
        shown.until_state("ended")
        shown.until_caught_up()
        assert page.locator("#play").is_disabled()
        assert page.locator("#stop").is_disabled()
        shown.lost_nothing()
        last_seq, candles, trades = _logged(database)
        assert (shown.number("seq"), shown.number("lag")) == (last_seq, 0)
        assert candles == 9 * 1440

        page.select_option("#type", "trade")
        expect(page.locator("#log tr[data-type=trade]").first).to_be_visible()
        assert page.locator("#rows tr").count() == min(trades, 150)
        _draws_fifty_thousand_events_after_a_reload(shown, last_seq)


def _draws_fifty_thousand_events_after_a_reload(shown: SessionPage, last_seq: int) -> None:
    """Open the page where a reload has to bring 50,000 events; `python -m benchmarks page` says how fast that is."""
    page = shown.page
    session = page.url.rpartition("/")[2]
    page.evaluate("([key, seq]) => sessionStorage.setItem(key, seq)", [f"zeon-first-{session}", last_seq - 49_999])
    page.reload()
    page.wait_for_function("seq => document.querySelector('#rows tr')?.dataset.seq === String(seq)", arg=last_seq)
    shown.until_state("ended")
    shown.until_caught_up()
    assert shown.number("candles") >= 9_000
    shown.lost_nothing()


def test_a_reload_in_the_middle_loses_nothing(database: Database, open_page: Open) -> None:
    with demo(database) as url:
        shown = open_page(url)
        shown.until_candles(400)
        shown.until_state("live")
        shown.page.keyboard.press("3")
        before = shown.number("candles")
        for _ in range(2):
            shown.page.reload()
            shown.until_state("live")
            shown.until_candles(before)
            shown.lost_nothing()
        shown.page.keyboard.press("Space")
        shown.until_status("paused")
        last_seq, candles, _ = _logged(database)
        shown.until_caught_up()
        assert (shown.number("seq"), shown.number("candles")) == (last_seq, candles)


def _logged(database: Database) -> tuple[int, int, int]:
    query = (
        "SELECT max(seq), count(*) FILTER (WHERE type = 'candle'), count(*) FILTER (WHERE type = 'trade')"
        " FROM sim_events"
    )
    last_seq, candles, trades = database.query(query)[0]
    return last_seq, candles, trades
