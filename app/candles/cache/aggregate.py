"""Timeframes that are not cached, built from finer ones that are."""

from __future__ import annotations

from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.domain.market.timeframe import timeframe as named_timeframe


def finer_timeframes(timeframe: Timeframe) -> list[Timeframe]:
    """List the timeframes whose grid divides that of `timeframe`, the longest first."""
    return [
        finer
        for finer in reversed(TIMEFRAMES.values())
        if finer.ms < timeframe.ms
        and timeframe.ms % finer.ms == 0
        and (timeframe.offset_ms - finer.offset_ms) % finer.ms == 0
    ]


async def finest(conn: Connection, venue: str, symbol: str, timeframe: str, from_ms: int, to_ms: int) -> str | None:
    """Name the finest timeframe in the cache from which this one can be built; None when there is none."""
    grid = named_timeframe(timeframe)
    cached = await cache.timeframes(conn, venue, symbol, grid.ceil(from_ms), grid.ceil(to_ms))
    return next((finer.name for finer in reversed(finer_timeframes(grid)) if finer.name in cached), None)


async def build_missing(
    conn: Connection, venue: str, symbol: str, timeframe: str, from_ms: int, to_ms: int
) -> str | None:
    """Build the missing candles of `[from_ms, to_ms)` from the finer candles in the cache, the longest ones first.

    Only complete buckets are built, and candles that are there stay. Returns the finest timeframe that was looked at,
    None when there is none.
    """
    grid = named_timeframe(timeframe)
    cached = await cache.timeframes(conn, venue, symbol, grid.ceil(from_ms), grid.ceil(to_ms))
    used = None
    if cached.isdisjoint(finer.name for finer in finer_timeframes(grid)):
        return None
    gaps, _ = await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, 1)
    if not gaps:
        return None
    from_ms = gaps[0].from_ms
    for finer in finer_timeframes(grid):
        if finer.name in cached:
            await cache.build(conn, venue, symbol, finer.name, timeframe, from_ms, to_ms)
            used = finer.name
            if not (await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, 1))[1]:
                break
    return used
