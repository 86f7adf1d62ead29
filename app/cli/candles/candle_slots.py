"""Cached candles for commands that compute without a session."""

from __future__ import annotations

from itertools import groupby

from app.candles.cache.advice import describe_cached
from app.candles.cache.aggregate import build_missing
from app.candles.cache.warmup import read_warmup
from app.clock import Clock
from app.db import candles
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.session import SessionSpec
from app.domain.tick import Slot
from app.errors import NotFoundError

_PAGE = 5000


async def cached_warmup(connection: Connection, spec: SessionSpec) -> list[list[Candle]]:
    """Return the warm-up of a range by slot; raises `WarmupMissingError`. What is missing is built first."""
    for symbol in spec.symbols if spec.warmup_candles else ():
        await build_missing(connection, spec.venue, symbol, spec.timeframe, spec.warmup_ms, spec.first_slot_ms)
    return await read_warmup(connection, spec)


async def cached_slots(connection: Connection, spec: SessionSpec, most: int | None = None) -> list[Slot]:
    """Return the slots of a range that hold a candle, `most` or some more; raises `NotFoundError` when none does.

    As for a session, what is missing is built from finer candles first.
    """
    now_ms = spec.grid.floor(Clock().now_ms())
    until_ms = now_ms if spec.end_ms is None else min(spec.end_ms, now_ms)
    for symbol in spec.symbols if spec.start_ms < until_ms else ():
        await build_missing(connection, spec.venue, symbol, spec.timeframe, spec.start_ms, until_ms)
    slot_candles: list[Candle] = []
    after_ms = spec.start_ms - 1
    while (most is None or len(slot_candles) < most * len(spec.symbols)) and (
        page := await candles.window(connection, spec.venue, spec.symbols, spec.timeframe, after_ms, spec.end_ms, _PAGE)
    ):
        slot_candles += page
        after_ms = page[-1].open_time_ms
    if not slot_candles:
        cached = await describe_cached(connection, spec.venue, spec.symbols, spec.timeframe)
        raise NotFoundError(f"There are no candles of {' '.join(spec.symbols)} {spec.timeframe} in the range. {cached}")
    return [
        Slot(open_ms, list(group)) for open_ms, group in groupby(slot_candles, key=lambda candle: candle.open_time_ms)
    ]
