"""A page that is open for hours keeps what it shows, and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site, store_candles
from tests.support.running_engine import MINUTE, START_MS

Open = Callable[..., SessionPage]
LONG = 80_000
FULL = 22_000
"""How many candles the page lets come together before it cuts the oldest off."""

PASSED = """seq => document.getElementById("stream-state").textContent === "ended"
  || Number(document.getElementById("stream-seq").textContent.replace(/\\D/g, "")) > seq"""
FILL = """async () => {
  const [{ CandleSeries }, { Downsampled }] = await Promise.all(
    ["series", "downsampled"].map((name) => import(`/static/chart/${name}.js`)));
  const candle = (n) => ({ openTimeMs: n * 60000, open: 1, high: 1, low: 1, close: 1, volume: 1 });
  const [series, curve, counts] = [new CandleSeries(), new Downsampled(2000), []];
  for (let n = 0; n < 100000; n += 500) {
    const batch = Array.from({ length: 500 }, (_, index) => n + index);
    series.add(batch.map((minute) => ({ payload: { symbol: "A", timeframe: "1m", candle: candle(minute) } })));
    batch.forEach((minute) => curve.add({ time: minute * 60, equity: 1, drawdown: 0 }));
    counts.push(Math.max(series.count, 10 * curve.points.length));
  }
  const last = series.of("A 1m").at(-1).time;
  return { most: Math.max(...counts), candles: series.count, last, points: curve.points.length };
}"""


def test_candles_and_curve_are_trimmed_and_keep_their_end(site: Site, open_page: Open) -> None:
    result = open_page(site.url).page.evaluate(FILL)
    assert result["most"] <= FULL
    assert result["candles"] >= 20_000
    assert result["last"] == 99_999 * 60
    assert 1000 <= result["points"] <= 2000


def test_the_table_keeps_its_newest_rows_only(site: Site, open_page: Open) -> None:
    shown = open_page(site.start(replayMsPerCandle=0))
    shown.until_state("ended")
    shown.until_caught_up()
    expect(shown.page.locator("#rows tr")).to_have_count(150)
    assert shown.page.locator("#rows tr").first.get_attribute("data-seq") == str(shown.number("seq"))


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_memory_stays_flat_under_a_page_that_hundreds_of_thousands_of_events_pass(site: Site, open_page: Open) -> None:
    store_candles(site.database, LONG)
    session_id = site.create(endMs=START_MS + LONG * MINUTE, replayMsPerCandle=0)
    shown = open_page(f"{site.url}/sessions/{session_id}")
    cdp = shown.page.context.new_cdp_session(shown.page)
    cdp.send("Performance.enable")
    shown.page.click("#play")
    shown.until_candles(20_000, 300)
    samples = [_used(cdp)]
    while shown.page.inner_text("#stream-state") != "ended":
        shown.page.wait_for_function(PASSED, arg=shown.number("seq") + 20_000, timeout=300_000)
        samples.append(_used(cdp))
    print(samples)
    assert len(samples) > 5
    shown.lost_nothing()
    expect(shown.page.locator("#rows tr")).to_have_count(150)
    middle = len(samples) // 2
    for name, slack in (("JSHeapUsedSize", 6e6), ("Nodes", 500), ("JSEventListeners", 100)):
        early, late = ([sample[name] for sample in part] for part in (samples[:middle], samples[middle:]))
        assert max(late) <= 1.1 * max(early) + slack, name


def _used(cdp: CDPSession) -> dict[str, float]:
    """Memory, nodes and listeners in use after a garbage collection."""
    cdp.send("HeapProfiler.collectGarbage")
    names = ("JSHeapUsedSize", "Nodes", "JSEventListeners")
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics if metric["name"] in names}
