"""The advice in an error about missing candles: what the cache holds, and the command to type."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from app.db import candles as cache
from app.db.candles import CachedRange
from app.db.pool import Connection
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.utc import utc

_NAMED = 3
"""How many symbols a sentence names."""

_DAY = 86_400_000


async def describe_cached(conn: Connection, venue: str, symbols: Iterable[str], timeframe: str) -> str:
    """Return a sentence per symbol: from when to when it is cached at a venue, or what is cached of it instead."""
    named = list(dict.fromkeys(symbols))[:_NAMED]
    return " ".join([_cached(venue, symbol, timeframe, await cache.cached_ranges(conn, symbol)) for symbol in named])


async def missing_advice(
    conn: Connection, venue: str, symbols: Iterable[str], timeframe: str, *, not_traded: bool = False
) -> str:
    """Return what the cache holds of some symbols, and what to do about candles missing of them.

    `not_traded` says that a source was asked for all that is missing and has none.
    """
    named = list(dict.fromkeys(symbols))
    cached = await describe_cached(conn, venue, named, timeframe)
    others = "choose another range, or the gap policy skip or fill"
    if not_traded:
        return f"{cached} The source has no candles there: {others}."
    return (
        f"{cached} Add them with: {import_command(venue, named[0], timeframe)} (or zeon candles fetch); else {others}."
    )


def import_command(venue: str, symbol: str, timeframe: str) -> str:
    """Return the command that imports candles of a series."""
    return f"zeon candles import FILE --symbol {shlex.quote(symbol)} --timeframe {timeframe} --venue {venue}"


def _cached(venue: str, symbol: str, timeframe: str, ranges: Sequence[CachedRange]) -> str:
    own = next((range_ for range_ in ranges if (range_.venue, range_.timeframe) == (venue, timeframe)), None)
    if own is not None:
        return f"{symbol} {timeframe} is cached {_span(own)} at venue {venue}."
    absent = f"There are no candles of {symbol} {timeframe} at venue {venue}."
    if not ranges:
        return absent
    near = min(ranges, key=lambda range_: (range_.timeframe != timeframe, range_.venue != venue))
    return f"{absent} {symbol} {near.timeframe} is cached {_span(near)} at venue {near.venue}."


def _span(cached: CachedRange) -> str:
    """Format a range as dates if it has whole days, else to the minute."""
    end_ms = cached.last_ms + TIMEFRAMES[cached.timeframe].ms
    digits = 10 if cached.first_ms % _DAY == 0 and end_ms % _DAY == 0 else 16
    return f"{utc(cached.first_ms)[:digits]} to {utc(cached.last_ms)[:digits]}"
