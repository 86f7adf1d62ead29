"""Keeping the cache at the market's heels: every closed candle soon after its close, what was missed first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from app.candles.fetch import Clock, fetch_candles
from app.candles.sources import Source, SourceUnavailable
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.timeframe import Timeframe
from app.domain.timeframe import timeframe as named_timeframe

EAGER_S, EAGER_FOR_S, IDLE_S = 0.2, 5.0, 5.0
"""After a close the source is asked every `EAGER_S` for `EAGER_FOR_S`, then every `IDLE_S`; in seconds."""

_LONGEST_PAUSE_S = 1.0

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection in autocommit, for as long as it is followed."""

Told = Callable[[str, str], None]
"""Called with a symbol and a sentence when something is worth telling."""


async def follow(
    connect: Connect,
    source: Source,
    name: str,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    told: Told | None = None,
    clock: Clock | None = None,
) -> None:
    """Store the closed candles of all symbols as they come, until cancelled; begin where the cache ends.

    A series without any candle begins with the last one that is closed. An outage is told and sat out.
    """
    async with asyncio.TaskGroup() as group:
        for symbol in symbols:
            group.create_task(
                _follow(connect, source, name, venue, symbol, named_timeframe(timeframe), told, clock or Clock())
            )


async def _follow(
    connect: Connect,
    source: Source,
    name: str,
    venue: str,
    symbol: str,
    grid: Timeframe,
    told: Told | None,
    clock: Clock,
) -> None:
    async with connect() as conn:
        while True:
            next_ms = await _next_ms(conn, venue, symbol, grid, clock.now_ms())
            if next_ms + grid.ms <= clock.now_ms():
                try:
                    await fetch_candles(
                        conn,
                        source,
                        name,
                        venue,
                        symbol,
                        grid.name,
                        next_ms,
                        clock.now_ms(),
                        clock=clock,
                        longest_pause_s=_LONGEST_PAUSE_S,
                    )
                except SourceUnavailable as error:
                    if told:
                        told(symbol, error.message)
                next_ms = await _next_ms(conn, venue, symbol, grid, clock.now_ms())
            await clock.sleep(_pause_s(grid, next_ms, clock.now_ms()))


async def _next_ms(conn: Connection, venue: str, symbol: str, grid: Timeframe, now_ms: int) -> int:
    newest = await cache.last_before(conn, venue, symbol, grid.name, now_ms)
    return newest[0].open_time_ms + grid.ms if newest else grid.floor(now_ms) - grid.ms


def _pause_s(grid: Timeframe, next_ms: int, now_ms: int) -> float:
    """Say how long to wait for the candle that opens at `next_ms`, in seconds."""
    if now_ms < next_ms + grid.ms:
        return (next_ms + grid.ms - now_ms) / 1_000
    since_close_s = (now_ms - grid.floor(now_ms)) / 1_000
    return EAGER_S if since_close_s < EAGER_FOR_S else min(IDLE_S, grid.ms / 1_000 - since_close_s)
