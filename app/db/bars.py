"""Cached candles joined to longer bars, for charts."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from app.domain.market.candle import Candle

_BARS: LiteralString = """
SELECT %(start)s + (open_time_ms - %(start)s) / %(step)s * %(step)s AS bar, (array_agg(open ORDER BY open_time_ms))[1],
  max(high), min(low), (array_agg(close ORDER BY open_time_ms DESC))[1], sum(volume)
FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
  AND open_time_ms >= %(start)s AND open_time_ms < %(end)s
GROUP BY bar ORDER BY bar"""


async def read_bars(
    connection: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, start_ms: int, end_ms: int, step_ms: int
) -> list[Candle]:
    """Return the cached candles of a range as bars of `step_ms`, counted from its start; empty bars are left out."""
    parameters = {"venue": venue, "symbol": symbol, "timeframe": timeframe, "start": start_ms, "end": end_ms}
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_BARS, parameters | {"step": step_ms})
        rows = await cursor.fetchall()
    return [
        Candle(symbol, timeframe, bar, bar + step_ms, open_, high, low, close, volume)
        for bar, open_, high, low, close, volume in rows
    ]
