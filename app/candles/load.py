"""What a session needs of the cache before it may start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from app.candles.aggregate import build_missing
from app.candles.calendar import trading_gaps
from app.db import candles as cache
from app.errors import Gaps

LISTED = 100
"""How many gaps an answer lists; all missing candles are counted."""

_ALL = 2**31


async def load_candles(
    conn: AsyncConnection[Any],
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    calendar: str | None = None,
) -> None:
    """Make sure that every slot of `[from_ms, to_ms)` has its candle for every symbol.

    Missing ones are built from finer candles where all of those are there. With a `calendar` such as XNYS, slots in
    which that market was closed need none. Raises `Gaps` with the list; where finer candles were there but not all,
    with those that are missing too.
    """
    found, missing = await find_gaps(conn, venue, symbols, timeframe, from_ms, to_ms, calendar=calendar)
    finer: dict[str, str] = {}
    for symbol in symbols if missing else ():
        used = await build_missing(conn, venue, symbol, timeframe, from_ms, to_ms)
        finer |= {symbol: used} if used else {}
    if finer:
        found, missing = await find_gaps(conn, venue, symbols, timeframe, from_ms, to_ms, calendar=calendar)
    if missing:
        noun = "candle is" if missing == 1 else "candles are"
        details: dict[str, Any] = {"gaps": [described(gap) for gap in found], "missing": missing}
        if finer:
            details["finer"] = [described(gap) for gap in await _finer_gaps(conn, venue, found, finer)]
        raise Gaps(f"{missing} {noun} missing between {from_ms} and {to_ms}.", details=details)


async def _finer_gaps(
    conn: AsyncConnection[Any], venue: str, gaps: Sequence[cache.Gap], finer: dict[str, str]
) -> list[cache.Gap]:
    """List which finer candles keep the slots of these gaps from being built."""
    listed: list[cache.Gap] = []
    for gap in gaps:
        if gap.symbol in finer and len(listed) < LISTED:
            found, _ = await cache.gaps(
                conn, venue, gap.symbol, finer[gap.symbol], gap.from_ms, gap.to_ms, LISTED - len(listed)
            )
            listed += found
    return listed


async def find_gaps(
    conn: AsyncConnection[Any],
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    limit: int = LISTED,
    calendar: str | None = None,
) -> tuple[list[cache.Gap], int]:
    """Return the first `limit` gaps of `[from_ms, to_ms)`, symbol by symbol, and the number of all missing candles.

    With a `calendar`, only slots in which that market was open count.
    """
    listed: list[cache.Gap] = []
    total = 0
    for symbol in symbols:
        found, missing = await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, _ALL if calendar else limit)
        if calendar:
            found = trading_gaps(found, calendar)
            missing = sum(gap.missing for gap in found)
        listed += found[: limit - len(listed)]
        total += missing
    return listed, total


def described(gap: cache.Gap) -> dict[str, str | int]:
    """Spell a gap as an answer's details do."""
    return {
        "symbol": gap.symbol,
        "timeframe": gap.timeframe,
        "fromMs": gap.from_ms,
        "toMs": gap.to_ms,
        "missing": gap.missing,
    }
