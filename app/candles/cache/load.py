"""What a session needs of the cache before it may start."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.candles.cache.advice import missing_advice
from app.candles.cache.aggregate import build_missing, finest
from app.candles.cache.calendar import Calendar
from app.candles.cache.reasons import NOT_TRADED, gap_reasons
from app.db import candles as cache
from app.db.candles import Coverage
from app.db.pool import Connection
from app.domain.market.candle import Gap
from app.domain.market.trading_hours import open_gaps
from app.domain.utc import utc
from app.errors import MissingCandlesError

LISTED = 100
"""How many gaps an answer lists; all missing candles are counted."""

_ALL = 2**31


async def load_candles(
    conn: Connection,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    calendar: Calendar | None = None,
) -> None:
    """Make sure that every slot of `[from_ms, to_ms)` has its candle for every symbol.

    Missing ones are built from finer candles where all of those are there, and stored. Raises as `require_candles`.
    """
    for symbol in symbols:
        await build_missing(conn, venue, symbol, timeframe, from_ms, to_ms)
    await require_candles(conn, venue, symbols, timeframe, from_ms, to_ms, calendar)


async def require_candles(
    conn: Connection,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    calendar: Calendar | None = None,
) -> None:
    """Raise `MissingCandlesError` unless every slot of `[from_ms, to_ms)` has a candle of every symbol.

    With a `calendar`, slots in which that market was closed need none. Where finer candles are there but
    not all, those that are missing are listed too.
    """
    missing_gaps, missing = await find_gaps(conn, venue, symbols, timeframe, from_ms, to_ms, calendar=calendar)
    if not missing:
        return
    noun = "candle is" if missing == 1 else "candles are"
    details: dict[str, Any] = {"gaps": [gap.as_json() for gap in missing_gaps], "missing": missing}
    finer = {symbol: await finest(conn, venue, symbol, timeframe, from_ms, to_ms) for symbol in symbols}
    if any(finer.values()):
        details["finer"] = [gap.as_json() for gap in await _finer_gaps(conn, venue, missing_gaps, finer)]
    if reasons := await reasons_of(conn, venue, missing_gaps):
        details["reasons"] = reasons
    not_traded = set(reasons) == {NOT_TRADED}
    advice = await missing_advice(conn, venue, [gap.symbol for gap in missing_gaps], timeframe, not_traded=not_traded)
    message = f"{missing} {noun} missing between {utc(from_ms)} and {utc(to_ms)}. {advice}"
    raise MissingCandlesError(message, details=details)


async def coverage(
    conn: Connection,
    calendars: Mapping[str, Calendar],
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> list[Coverage]:
    """List what is cached; None stands for any. Where a venue has a calendar, closed hours are no gaps.

    What is counted of long series is kept, so that the next call is quick.
    """
    if conn.info.parameter_status("in_hot_standby") != "on":
        for series in await cache.unkept(conn, venue, symbol, timeframe):
            await cache.keep(conn, *series)
    listed = await cache.coverage(conn, venue, symbol, timeframe)
    return [await _while_open(conn, one, calendars[one.venue]) if one.venue in calendars else one for one in listed]


async def is_quick(
    conn: Connection,
    calendars: Mapping[str, Calendar],
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> bool:
    """Whether `coverage` counts few candles: the rest is kept, and no market's hours have to be looked up."""
    asked = {venue} if venue is not None else set(calendars)
    return asked.isdisjoint(calendars) and not await cache.unkept(conn, venue, symbol, timeframe)


async def _while_open(conn: Connection, series: Coverage, calendar: Calendar) -> Coverage:
    key = series.venue, [series.symbol], series.timeframe
    gaps, missing = await find_gaps(conn, *key, series.first_ms, series.last_ms, _ALL, calendar)
    return series._replace(gaps=len(gaps), missing=missing)


async def reasons_of(conn: Connection, venue: str, gaps: Sequence[Gap]) -> dict[str, int]:
    """Count the missing candles of gaps by reason; nothing where no source was ever asked for the series."""
    counts: Counter[str] = Counter()
    for symbol, timeframe in dict.fromkeys((gap.symbol, gap.timeframe) for gap in gaps):
        covered = await cache.fetched_ranges(conn, venue, symbol, timeframe)
        mine = [gap for gap in gaps if (gap.symbol, gap.timeframe) == (symbol, timeframe)]
        for reason, part in gap_reasons(mine, covered) if covered else ():
            counts[reason] += part.missing
    return dict(counts)


async def _finer_gaps(conn: Connection, venue: str, gaps: Sequence[Gap], finer: Mapping[str, str | None]) -> list[Gap]:
    """List which finer candles keep the slots of these gaps from being built."""
    listed: list[Gap] = []
    for gap in gaps:
        name = finer.get(gap.symbol)
        if name is not None and len(listed) < LISTED:
            gaps, _ = await cache.gaps(conn, venue, gap.symbol, name, gap.from_ms, gap.to_ms, LISTED - len(listed))
            listed += gaps
    return listed


async def find_gaps(
    conn: Connection,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    limit: int = LISTED,
    calendar: Calendar | None = None,
) -> tuple[list[Gap], int]:
    """Return the first `limit` gaps of `[from_ms, to_ms)`, symbol by symbol, and the number of all missing candles.

    With a `calendar`, only slots in which that market was open count; raises `BadInputError` where it has no record.
    """
    listed: list[Gap] = []
    total = 0
    if calendar is not None:
        await asyncio.to_thread(calendar.read, min(from_ms, to_ms), to_ms)
    for symbol in symbols:
        gaps, missing = await cache.gaps(
            conn, venue, symbol, timeframe, from_ms, to_ms, _ALL if calendar is not None else limit
        )
        if calendar is not None:
            gaps = open_gaps(calendar, gaps)
            missing = sum(gap.missing for gap in gaps)
        listed += gaps[: limit - len(listed)]
        total += missing
    return listed, total
