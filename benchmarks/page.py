"""The page of a session in a real browser: how soon a long log is on the screen, and whether a burst freezes it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

from app.db import sessions
from app.db.pool import Connection
from benchmarks.environment import START_MS, USER, BenchDatabase, pool, spec
from benchmarks.row import Goal, Row
from benchmarks.server import server

LONG = 2_000_000
SHORT = 10_000
BURST = 50_000
ROUNDS = 5
NAMES = ("chromium", "chromium-browser", "google-chrome")
WRITE = """
INSERT INTO sim_events (session_id, seq, ts, type, payload)
SELECT %(id)s, n, %(start)s + (n + 1) / 2 * 60000, CASE n %% 2 WHEN 1 THEN 'candle' ELSE 'equity' END,
       CASE n %% 2 WHEN 1 THEN jsonb_build_object('symbol', 'BTCUSDT', 'timeframe', '1m', 'candle', jsonb_build_object(
         'openTimeMs', %(start)s + n / 2 * 60000, 'closeTimeMs', %(start)s + (n / 2 + 1) * 60000,
         'open', 100 + n %% 7, 'high', 110 + n %% 7, 'low', 90, 'volume', 12.5, 'close', 101 + n %% 5))
       ELSE jsonb_build_object('cash', 0, 'equity', 10000 + n %% 1000, 'feesPaid', 1, 'peakEquity', 11000,
         'drawdownPct', 1, 'positionQty', 1, 'positionValue', 10000, 'realizedPnl', 1, 'unrealizedPnl', 1) END
FROM generate_series(1, %(count)s::bigint) n"""
DONE = "UPDATE sim_sessions SET last_seq = %s, status = 'finished', cursor_ms = start_ms WHERE id = %s"
REMEMBER = """([key, first, last]) => {
  sessionStorage.setItem(key, first);
  localStorage.setItem("wanted", last);
}"""
WATCH = """
window.longest = 0;
new PerformanceObserver((list) => list.getEntries().forEach((each) => { longest = Math.max(longest, each.duration); }))
  .observe({ type: "longtask" });
const look = () => {
  const drawn = (id) => document.getElementById(id)?.hidden === false;
  const newest = document.querySelector("#rows tr")?.dataset.seq;
  if (newest && drawn("curve-panel") && document.getElementById("prices-empty").hidden) {
    window.arrived ??= performance.now();
  }
  if (newest && newest === localStorage.getItem("wanted")) window.through ??= performance.now();
  requestAnimationFrame(look);
};
requestAnimationFrame(look);"""


class _Seen(NamedTuple):
    """What a browser says of one visit, all in ms: until it was drawn, work of the main thread, its longest task."""

    drawn: float
    worked: float
    longest: float


async def page(target: BenchDatabase) -> list[Row]:
    """Measure a log of two million events against a short one, and 50,000 events that come at once."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None or importlib.util.find_spec("playwright") is None:
        return []
    long, short = await _written(target, LONG), await _written(target, SHORT)
    behind = await _written(target, SHORT + BURST)
    with server(target) as running:
        async with _opened(found, running.url) as view:
            await view.visit(short)
            visits = [
                (
                    await view.visit(long),
                    await view.visit(short),
                    await view.burst(behind, SHORT + BURST),
                    await view.burst(long, LONG),
                )
                for _ in range(ROUNDS)
            ]
    ours, calm, burst, busy = (_Seen(*map(median, zip(*each, strict=True))) for each in zip(*visits, strict=True))
    what = "page: 50,000 events of backlog"
    return [
        Row(
            "page: 2,000,000 events on the screen",
            ours.drawn,
            "ms",
            calm.drawn,
            Goal(1.5, at_most=True),
            "against 10,000",
        ),
        Row(what, burst.drawn, "ms", None, Goal(2000, at_most=True), f"{burst.worked:,.0f} ms of work"),
        Row(
            f"{what}, 2,000,000 before", busy.drawn, "ms", None, None, "the whole log's statistics are computed beside"
        ),
        Row(f"{what}: longest task", burst.longest, "ms", calm.longest, Goal(2, at_most=True), "against 10,000"),
    ]


async def _written(target: BenchDatabase, count: int) -> UUID:
    """Write a finished log of candles and equity, past the engine because only its size matters."""

    async def work(connection: Connection) -> UUID:
        session, _ = await sessions.create(connection, USER, spec(count, profile_slug="buy_and_hold"))
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(WRITE, {"id": session.id, "start": START_MS, "count": count})
        await connection.execute(DONE, (count, session.id))
        return session.id

    async with pool(target) as database:
        session_id = await database.run(work)
    target.owner("VACUUM ANALYZE sim_events")
    return session_id


@dataclass(frozen=True)
class _View:
    """A browser and the server it looks at."""

    browser: Any
    url: str

    async def visit(self, session_id: UUID) -> _Seen:
        """Look until candles, curve and events of a session are there."""
        async with self._page() as page:
            return await self._seen(page, session_id, "arrived")

    async def burst(self, session_id: UUID, count: int) -> _Seen:
        """Look until a page that was at `BURST` events before the end of a log of `count` has drawn them all."""
        async with self._page() as page:
            await page.goto(f"{self.url}/openapi.json")
            await page.evaluate(REMEMBER, [f"zeon-first-{session_id}", count - BURST + 1, count])
            return await self._seen(page, session_id, "through")

    async def _seen(self, page: Any, session_id: UUID, mark: str) -> _Seen:
        metrics = await page.context.new_cdp_session(page)
        await metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
        await page.goto(f"{self.url}/sessions/{session_id}")
        await page.wait_for_function("mark => window[mark]", arg=mark, timeout=60_000)
        drawn, longest = await page.evaluate("mark => [window[mark], longest]", mark)
        told = (await metrics.send("Performance.getMetrics"))["metrics"]
        worked = next(each["value"] for each in told if each["name"] == "TaskDuration")
        return _Seen(drawn, 1000 * worked, longest)

    @asynccontextmanager
    async def _page(self) -> AsyncIterator[Any]:
        context = await self.browser.new_context(viewport={"width": 1440, "height": 900})
        await context.add_init_script(WATCH)
        yield await context.new_page()
        await context.close()


@asynccontextmanager
async def _opened(executable: str, url: str) -> AsyncIterator[_View]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield _View(browser, url)
        await browser.close()
