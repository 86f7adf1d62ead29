"""What a session needs of the cache before it may start."""

from __future__ import annotations

from collections.abc import Sequence

from app.db import candles as cache
from app.db.pool import Connection
from app.domain.candle import Gap
from app.errors import Gaps

LISTED = 100
"""How many gaps an answer lists; all missing candles are counted."""


async def load_candles(
    conn: Connection, venue: str, symbols: Sequence[str], timeframe: str, from_ms: int, to_ms: int
) -> None:
    """Make sure that every slot of `[from_ms, to_ms)` has its candle for every symbol; raises `Gaps` with the list."""
    found, missing = await find_gaps(conn, venue, symbols, timeframe, from_ms, to_ms)
    if missing:
        noun = "candle is" if missing == 1 else "candles are"
        raise Gaps(
            f"{missing} {noun} missing between {from_ms} and {to_ms}.",
            details={"gaps": [gap.as_json() for gap in found], "missing": missing},
        )


async def find_gaps(
    conn: Connection,
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    from_ms: int,
    to_ms: int,
    limit: int = LISTED,
) -> tuple[list[Gap], int]:
    """Return the first `limit` gaps of `[from_ms, to_ms)`, symbol by symbol, and the number of all missing candles."""
    listed: list[Gap] = []
    total = 0
    for symbol in symbols:
        found, missing = await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, limit)
        listed += found[: limit - len(listed)]
        total += missing
    return listed, total
