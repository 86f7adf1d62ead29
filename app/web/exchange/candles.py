"""Candles of a session as an exchange shows them: never past the cursor, and the forming one last."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.db import candles
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.domain.session import Session
from app.engine.session_clock import clock_of
from app.web.exchange.errors import ExchangeError
from app.web.exchange.numbers import WIDE, text

DAY_MS: Final = 86_400_000
_MOST_MERGED: Final = 500_000
"""Most base candles that one call reads to build longer ones."""
_MOST_FLAT: Final = 5_000
_ZERO: Final = Decimal(0)


class Range(NamedTuple):
    """Which klines: those that open in `[start_ms, end_ms]`, the first `limit` of them, or the last without a start."""

    start_ms: int | None
    end_ms: int | None
    limit: int


def now_ms(session: Session) -> int:
    """Return the time of a session: the close of its last slot, or its start."""
    return clock_of(session, 0, None).now_ms


def grid_of(session: Session, interval: str) -> Timeframe:
    """Return the grid of an interval; raises `ExchangeError` unless it consists of whole candles of the session."""
    grid, base = TIMEFRAMES.get(interval), session.spec.grid
    if grid is None or grid.ms < base.ms or grid.ms % base.ms or (grid.offset_ms - base.offset_ms) % base.ms:
        raise ExchangeError(-1120, "Invalid interval.")
    return grid


async def klines(connection: Connection, session: Session, symbol: str, grid: Timeframe, wanted: Range) -> list[Candle]:
    """Return candles of a symbol, the forming one last if it is in the range."""
    forming_ms = grid.floor(now_ms(session))
    closed = await _closed(connection, session, symbol, grid, wanted, forming_ms)
    if wanted.start_ms is not None and len(closed) >= wanted.limit:
        return closed
    if wanted.start_ms is not None and wanted.start_ms > forming_ms:
        return closed
    if wanted.end_ms is not None and wanted.end_ms < forming_ms:
        return closed
    last = await forming(connection, session, symbol, grid)
    return [*closed, last][-wanted.limit :] if last is not None else closed


async def forming(connection: Connection, session: Session, symbol: str, grid: Timeframe) -> Candle | None:
    """Return the candle that is open now: of the closed base candles in it, or the last close; null without any."""
    now, spec = now_ms(session), session.spec
    open_ms = grid.floor(now)
    if open_ms < now:
        past = _past(now, spec.grid)
        merged = await candles.merged(connection, spec.venue, symbol, spec.timeframe, grid.name, open_ms, past)
        if merged:
            return merged[-1]
    last = await last_candle(connection, session, symbol)
    return None if last is None else flat(symbol, grid, open_ms, last.close)


def flat(symbol: str, grid: Timeframe, open_ms: int, price: Decimal) -> Candle:
    """Return a candle of one price without volume."""
    return Candle(symbol, grid.name, open_ms, open_ms + grid.ms, price, price, price, price, _ZERO)


async def last_candle(connection: Connection, session: Session, symbol: str) -> Candle | None:
    """Return the last closed base candle of a symbol, also one before the session's range."""
    spec = session.spec
    before = _past(now_ms(session), spec.grid)
    found = await candles.last_before(connection, spec.venue, symbol, spec.timeframe, before)
    return found[-1] if found else None


async def last_candles(connection: Connection, session: Session, symbol: str, limit: int) -> list[Candle]:
    """Return the last closed base candles of a symbol, oldest first."""
    spec = session.spec
    before = _past(now_ms(session), spec.grid)
    return await candles.last_before(connection, spec.venue, symbol, spec.timeframe, before, limit)


async def last_day(connection: Connection, session: Session, symbol: str, span_ms: int = DAY_MS) -> Candle | None:
    """Return one candle of the last 24 hours, or of another span; flat at the last close if nothing traded in it."""
    now, spec = now_ms(session), session.spec
    parts = await candles.merged(
        connection, spec.venue, symbol, spec.timeframe, "1d", now - span_ms, _past(now, spec.grid)
    )
    if parts:
        return merge(parts)._replace(open_time_ms=now - span_ms, close_time_ms=now)
    last = await last_candle(connection, session, symbol)
    if last is None:
        return None
    return flat(symbol, TIMEFRAMES["1d"], now, last.close)._replace(open_time_ms=now - span_ms, close_time_ms=now)


def merge(parts: Sequence[Candle]) -> Candle:
    """Return one candle of several that follow each other."""
    first, last = parts[0], parts[-1]
    return first._replace(
        close_time_ms=last.close_time_ms,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=last.close,
        volume=sum((part.volume for part in parts), _ZERO),
    )


def money(candle: Candle) -> Decimal:
    """Return the worth of a candle's volume at the mean of high, low and close."""
    typical = WIDE.divide(candle.high + candle.low + candle.close, Decimal(3))
    return WIDE.multiply(typical, candle.volume)


def kline(candle: Candle) -> list[Any]:
    """Return a candle as the array of a REST answer; takers are half of the volume."""
    worth, half = money(candle), Decimal("0.5")
    return [
        candle.open_time_ms,
        *(text(price) for price in candle[4:9]),
        candle.close_time_ms - 1,
        text(worth),
        trades_in(candle),
        text(WIDE.multiply(candle.volume, half)),
        text(WIDE.multiply(worth, half)),
        "0",
    ]


def trades_in(candle: Candle) -> int:
    """Return the number of trades in a candle: candles do not say it, so it is one if anything was traded."""
    return int(candle.volume > 0)


def _past(now: int, grid: Timeframe) -> int:
    """Return the time before which a base candle must open to be closed at `now`."""
    return now - grid.ms + 1


async def _closed(
    connection: Connection, session: Session, symbol: str, grid: Timeframe, wanted: Range, forming_ms: int
) -> list[Candle]:
    spec = session.spec
    before = forming_ms if wanted.end_ms is None else min(forming_ms, wanted.end_ms + 1)
    if grid.name != spec.timeframe:
        return await _longer(connection, session, symbol, grid, wanted, before)
    before = min(before, _past(now_ms(session), spec.grid))
    if wanted.start_ms is None:
        found = await candles.last_before(connection, spec.venue, symbol, grid.name, before, wanted.limit)
        return _filled(session, found, before)[-wanted.limit :]
    found = await candles.window(connection, spec.venue, [symbol], grid.name, wanted.start_ms - 1, before, wanted.limit)
    return _filled(session, found, before if len(found) < wanted.limit else 0)[: wanted.limit]


def _filled(session: Session, found: list[Candle], before: int) -> list[Candle]:
    """Return candles with flat ones in gaps of the session's range, up to a time, if its gap policy is `fill`."""
    spec, whole = session.spec, list[Candle]()
    if spec.gap_policy != "fill":
        return found
    for candle in (*found, None):
        end = before if candle is None else spec.grid.floor(candle.open_time_ms)
        while whole and (next_ms := spec.grid.floor(whole[-1].open_time_ms) + spec.grid.ms) < end:
            if next_ms < spec.start_ms or len(whole) > _MOST_FLAT:
                break
            whole.append(flat(whole[-1].symbol, spec.grid, next_ms, whole[-1].close))
        if candle is not None:
            whole.append(candle)
    return whole


async def _longer(
    connection: Connection, session: Session, symbol: str, grid: Timeframe, wanted: Range, before: int
) -> list[Candle]:
    """Return closed candles of a longer interval: those in the cache, the others merged from base candles."""
    spec = session.spec
    own = await candles.span(connection, spec.venue, symbol, grid.name)
    base = await candles.span(connection, spec.venue, symbol, spec.timeframe)
    first = min(grid.floor(own[0]) if own else before, grid.ceil(base[0]) if base else before)
    most_ms = min(wanted.limit * grid.ms, _MOST_MERGED * spec.grid.ms)
    if wanted.start_ms is None:
        end = grid.ceil(before)
        start = max(end - most_ms, first)
    else:
        start = grid.ceil(max(wanted.start_ms, first))
        end = min(grid.ceil(before), start + most_ms)
    merged = await candles.merged(connection, spec.venue, symbol, spec.timeframe, grid.name, start, end)
    stored = await candles.window(connection, spec.venue, [symbol], grid.name, start - 1, end, wanted.limit)
    known = {candle.open_time_ms: candle for candle in (*merged, *stored)}
    return [known[open_ms] for open_ms in sorted(known) if open_ms < before]
