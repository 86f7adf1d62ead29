"""The candles a strategy is shown before the range of its session."""

from __future__ import annotations

from app.candles.cache.advice import describe_cached
from app.db import candles
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.session import SessionSpec
from app.errors import WarmupMissingError


async def read_warmup(connection: Connection, spec: SessionSpec) -> list[Candle]:
    """Return the last `warmupCandles` of each symbol before startMs, by time and then in the order of the symbols.

    Raises `WarmupMissingError` when there are fewer.
    """
    warmup: list[Candle] = []
    for symbol in spec.symbols if spec.warmup_candles else ():
        before = await candles.last_before(
            connection, spec.venue, symbol, spec.timeframe, spec.start_ms, spec.warmup_candles
        )
        if len(before) < spec.warmup_candles:
            cached = await describe_cached(connection, spec.venue, [symbol], spec.timeframe)
            raise WarmupMissingError(
                f"warmupCandles: there are {len(before)} candles of {symbol} before startMs, not"
                f" {spec.warmup_candles}. {cached}"
            )
        warmup += before
    positions = {symbol: position for position, symbol in enumerate(spec.symbols)}
    return sorted(warmup, key=lambda candle: (candle.open_time_ms, positions[candle.symbol]))
