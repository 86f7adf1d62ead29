"""The candles that a strategy gets before the range of its session."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from app.candles.cache.advice import describe_cached
from app.db import candles
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import ordered_hash
from app.domain.market.warmup import extra_candles, warmup_slots, without_needless
from app.domain.session import SessionSpec
from app.errors import WarmupMissingError


async def read_warmup(connection: Connection, spec: SessionSpec) -> list[list[Candle]]:
    """Return the last `warmupCandles` of each symbol before startMs by slot, see `warmup_slots`.

    Raises `WarmupMissingError` when there are fewer.
    """
    warmup: list[Candle] = []
    for symbol in spec.symbols if spec.warmup_candles else ():
        before = await candles.last_before(
            connection, spec.venue, symbol, spec.timeframe, spec.start_ms, spec.warmup_candles + extra_candles(spec)
        )
        if len(before) < spec.warmup_candles:
            cached = await describe_cached(connection, spec.venue, [symbol], spec.timeframe)
            raise WarmupMissingError(
                f"warmupCandles: there are {len(before)} candles of {symbol} before startMs, not"
                f" {spec.warmup_candles}. {cached}"
            )
        warmup += without_needless(spec, before)
    positions = {symbol: position for position, symbol in enumerate(spec.symbols)}
    return warmup_slots(spec, sorted(warmup, key=lambda candle: (candle.open_time_ms, positions[candle.symbol])))


def warmup_hash(slots: Sequence[Sequence[Candle]]) -> str:
    """Return the hash of warm-up candles that a session stores."""
    return ordered_hash(list(chain.from_iterable(slots)))
