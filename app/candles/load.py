"""What a session needs of the cache before it may start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.candles.aggregate import build_missing
from app.candles.calendar import trading_gaps
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.candle import Gap
from app.errors import Gaps

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
        details: dict[str, Any] = {"gaps": [gap.as_json() for gap in found], "missing": missing}
        if finer:
            details["finer"] = [gap.as_json() for gap in await _finer_gaps(conn, venue, found, finer)]
        raise Gaps(f"{missing} {noun} missing between {from_ms} and {to_ms}.", details=details)


async def _finer_gaps(conn: Connection, venue: str, gaps: Sequence[Gap], finer: dict[str, str]) -> list[Gap]:
    """List which finer candles keep the slots of these gaps from being built."""
    listed: list[Gap] = []
    for gap in gaps:
        if gap.symbol in finer and len(listed) < LISTED:
            found, _ = await cache.gaps(
                conn, venue, gap.symbol, finer[gap.symbol], gap.from_ms, gap.to_ms, LISTED - len(listed)
            )
            listed += found
    return listed


async def find_gaps(
    conn: Connection,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    limit: int = LISTED,
    calendar: str | None = None,
) -> tuple[list[Gap], int]:
    """Return the first `limit` gaps of `[from_ms, to_ms)`, symbol by symbol, and the number of all missing candles.

    With a `calendar`, only slots in which that market was open count.
    """
    listed: list[Gap] = []
    total = 0
    for symbol in symbols:
        found, missing = await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, _ALL if calendar else limit)
        if calendar:
            found = trading_gaps(found, calendar)
            missing = sum(gap.missing for gap in found)
        listed += found[: limit - len(listed)]
        total += missing
    return listed, total
