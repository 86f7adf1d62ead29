"""Keep the cache up to date: first fetch missed candles, then every candle soon after its close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from app.candles.sources.fetch import fetch_candles
from app.candles.sources.source import SourceUnavailableError, VenueSource
from app.clock import Clock
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.timeframe import Timeframe
from app.domain.market.timeframe import timeframe as named_timeframe
from app.errors import UnavailableError

EAGER_S, EAGER_FOR_S, IDLE_S = 0.2, 5.0, 5.0
"""After a close the source is polled every `EAGER_S` for `EAGER_FOR_S`, then every `IDLE_S`; in seconds."""

SHORT_PAUSE_S, SHORT_FOR_S, LONG_PAUSE_S = 0.2, 60.0, 5.0
"""In an outage the source is polled every `SHORT_PAUSE_S` for `SHORT_FOR_S`, then every `LONG_PAUSE_S`; in seconds."""

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection in autocommit, for one fetch."""

OnProblem = Callable[[str, str], None]
"""Called with a symbol and a sentence in an outage."""


OnFetched = Callable[[str, int], None]
"""Called with a symbol and the time, in ms, up to which its source has answered."""


@dataclass(frozen=True)
class Follower:
    """Follows series of one venue and timeframe; a series without any candle starts with the last closed one."""

    connect: Connect
    chosen: VenueSource
    venue: str
    timeframe: str
    on_problem: OnProblem = lambda symbol, sentence: None
    on_fetched: OnFetched = lambda symbol, up_to_ms: None
    clock: Clock = field(default_factory=Clock)

    async def follow(self, symbols: Sequence[str]) -> None:
        """Store the closed candles of all symbols until cancelled, from the end of the cache on.

        In an outage of the source or the database it calls `on_problem` and retries. Raises permanent errors.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for symbol in symbols:
                    group.create_task(self._follow(symbol))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _follow(self, symbol: str) -> None:
        pause_s, failing_s = SHORT_PAUSE_S, 0.0
        while True:
            began = time.monotonic()
            try:
                asked_ms, next_ms = await self._fetch_closed(symbol, pause_s)
            except (SourceUnavailableError, UnavailableError) as error:
                self.on_problem(symbol, error.message)
                await self.clock.sleep(pause_s)
                failing_s += time.monotonic() - began
                pause_s = SHORT_PAUSE_S if failing_s < SHORT_FOR_S else LONG_PAUSE_S
            else:
                pause_s, failing_s = SHORT_PAUSE_S, 0.0
                await self._wait(asked_ms, next_ms)

    async def _fetch_closed(self, symbol: str, pause_s: float) -> tuple[int, int]:
        """Fetch closed candles; return up to when, and the open time of the next candle, in ms."""
        grid, clock = named_timeframe(self.timeframe), self.clock
        async with self.connect() as conn:
            until_ms = clock.now_ms()
            next_ms = await _next_ms(conn, self.venue, symbol, grid, until_ms)
            if next_ms + grid.ms <= until_ms:
                key = (self.venue, symbol, grid.name)
                await fetch_candles(conn, self.chosen, *key, next_ms, until_ms, clock=clock, longest_pause_s=pause_s)
                next_ms = await _next_ms(conn, self.venue, symbol, grid, clock.now_ms())
        self.on_fetched(symbol, grid.floor(until_ms))
        return until_ms, next_ms

    async def _wait(self, asked_ms: int, next_ms: int) -> None:
        """Wait until the candle that opens at `next_ms` closes or, if it has closed, until the next poll."""
        grid, now_ms = named_timeframe(self.timeframe), self.clock.now_ms()
        since_close_s = (now_ms - grid.floor(now_ms)) / 1_000
        if asked_ms < next_ms + grid.ms:
            await self.clock.sleep_until(next_ms + grid.ms)
        elif since_close_s < EAGER_FOR_S:
            await self.clock.sleep(EAGER_S)
        else:
            await self.clock.sleep(min(IDLE_S, grid.ms / 1_000 - since_close_s))


async def _next_ms(conn: Connection, venue: str, symbol: str, grid: Timeframe, now_ms: int) -> int:
    newest = await cache.last_before(conn, venue, symbol, grid.name, now_ms)
    return newest[0].open_time_ms + grid.ms if newest else grid.floor(now_ms) - grid.ms
