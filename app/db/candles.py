"""Candles in Postgres: store, read, count, find gaps, remember who was asked for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from decimal import Context
from functools import partial
from itertools import islice
from operator import lt
from typing import Any, LiteralString, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from app.domain.candle import Candle, Gap
from app.domain.fingerprint import spelled
from app.domain.timeframe import timeframe as named_timeframe

BATCH = 10_000
"""Candles sent to Postgres in one COPY, the only ones held in memory at a time."""

_END_OF_TIME = 2**62
_bare = Context(prec=100).normalize
_COLUMNS: LiteralString = "venue, symbol, timeframe, open_time_ms, open, high, low, close, volume"
_VALUES: LiteralString = "open, high, low, close, volume"

_LOCK: LiteralString = (
    "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(':', 'candles', %s::text, %s::text, %s::text), 0))"
)
_TAKEN: LiteralString = """
SELECT FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
    AND open_time_ms BETWEEN %(first)s AND %(last)s
LIMIT 1"""
_STAGE: LiteralString = """
CREATE TEMP TABLE candle_staging (
    position bigint GENERATED ALWAYS AS IDENTITY, LIKE market_candles
) ON COMMIT DROP"""
_KEEP_LATEST: LiteralString = """
DELETE FROM candle_staging earlier USING candle_staging later
WHERE later.open_time_ms = earlier.open_time_ms AND later.position > earlier.position"""
_MATCH: LiteralString = """
c.venue = %(venue)s AND c.symbol = %(symbol)s AND c.timeframe = %(timeframe)s
    AND c.open_time_ms BETWEEN %(first)s AND %(last)s AND c.open_time_ms = s.open_time_ms"""
_DIFFERS: LiteralString = """
(c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM (s.open, s.high, s.low, s.close, s.volume)"""
_COMPARE: LiteralString = f"""
SELECT count(*), count(c.venue), count(*) FILTER (WHERE c.venue IS NOT NULL AND {_DIFFERS})
FROM candle_staging s LEFT JOIN market_candles c ON {_MATCH}"""
_CHANGE: LiteralString = f"""
UPDATE market_candles c
SET open = s.open, high = s.high, low = s.low, close = s.close, volume = s.volume
FROM candle_staging s
WHERE {_MATCH} AND {_DIFFERS}"""
_ADD: LiteralString = f"""
INSERT INTO market_candles ({_COLUMNS})
SELECT {_COLUMNS} FROM candle_staging s
WHERE NOT EXISTS (SELECT FROM market_candles c WHERE {_MATCH})
ORDER BY open_time_ms"""
_WINDOW: LiteralString = f"""
SELECT a.symbol, c.timeframe, c.open_time_ms, c.open_time_ms + %(step)s, {_VALUES}
FROM unnest(%(symbols)s::text[]) WITH ORDINALITY AS a (symbol, place)
CROSS JOIN LATERAL (
    SELECT * FROM market_candles m
    WHERE m.venue = %(venue)s AND m.symbol = a.symbol AND m.timeframe = %(timeframe)s
        AND m.open_time_ms > %(after)s AND m.open_time_ms < %(before)s
    ORDER BY m.open_time_ms
    LIMIT %(limit)s
) c
ORDER BY c.open_time_ms, a.place"""
_LAST_BEFORE: LiteralString = f"""
SELECT symbol, timeframe, open_time_ms, open_time_ms + %(step)s, {_VALUES}
FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s AND open_time_ms < %(before)s
ORDER BY open_time_ms DESC
LIMIT %(limit)s"""
_GAPS: LiteralString = """
SELECT from_ms, to_ms, missing, (sum(missing) OVER ())::bigint
FROM candle_gaps(%s, %s, %s, %s, %s)
ORDER BY from_ms
LIMIT %s"""
_COVERAGE: LiteralString = """
SELECT venue, symbol, timeframe, rows, first_ms, last_ms, gaps, missing, source
FROM market_cache
WHERE (%(venue)s::text IS NULL OR venue = %(venue)s)
    AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
    AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)
ORDER BY venue, symbol, timeframe_ms(timeframe)"""


class Stored(NamedTuple):
    """What a store did: candles that were new, replaced other values, or were there already."""

    new: int
    changed: int
    same: int


class Coverage(NamedTuple):
    """What is cached of one symbol: first and last open time in ms, gaps between them, sources asked."""

    venue: str
    symbol: str
    timeframe: str
    rows: int
    first_ms: int
    last_ms: int
    gaps: int
    missing: int
    source: str | None


async def store(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, candles: Iterable[Candle]
) -> Stored:
    """Put candles of one symbol and timeframe into the cache, in any order; of equal times the last one stays.

    Ascending candles go straight into an empty range; from the first batch that does not, all go through a staging
    table. `candles` is read in a thread, a batch ahead. One transaction, with one notification at its end when
    anything is new or changed.
    """
    loading = _Loading(conn, venue, symbol, timeframe)
    async with conn.transaction(), aclosing(_batches("\t".join((venue, symbol, timeframe)), candles)) as batches:
        await conn.execute(_LOCK, (venue, symbol, timeframe))
        async for batch in batches:
            await loading.take(batch)
        stored = await loading.finish()
        if stored.new or stored.changed:
            await conn.execute("SELECT sim_notify('market_candles', %s)", (f"{venue}:{symbol}:{timeframe}",))
    return stored


class _Batch(NamedTuple):
    """Candles as lines for COPY, with what decides where they go."""

    lines: str
    rows: int
    first_ms: int
    last_ms: int
    ascending: bool


async def _batches(prefix: str, candles: Iterable[Candle]) -> AsyncGenerator[_Batch]:
    """Yield batches, each made in a thread while the one before it is on its way to Postgres."""
    rest = iter(candles)
    coming = asyncio.create_task(asyncio.to_thread(_next_batch, prefix, rest))
    try:
        while batch := await coming:
            coming = asyncio.create_task(asyncio.to_thread(_next_batch, prefix, rest))
            yield batch
    finally:
        await asyncio.wait([coming])


def _next_batch(prefix: str, candles: Iterator[Candle]) -> _Batch | None:
    taken = list(islice(candles, BATCH))
    if not taken:
        return None
    times = [candle.open_time_ms for candle in taken]
    ascending = all(map(lt, times, times[1:]))
    return _Batch("".join(map(partial(_line, prefix), taken)), len(taken), min(times), max(times), ascending)


def _line(prefix: str, candle: Candle) -> str:
    """Render a line for COPY; the numbers lose their trailing zeros and may have an exponent."""
    _, _, open_ms, _, opened, high, low, close, volume, _ = candle
    return (
        f"{prefix}\t{open_ms}\t{_bare(opened)!s}\t{_bare(high)!s}\t{_bare(low)!s}\t{_bare(close)!s}\t"
        f"{_bare(volume)!s}\n"
    )


class _Loading:
    """One store under way: decides per batch between the table and the staging table."""

    def __init__(self, conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> None:
        self.conn = conn
        self.key = {"venue": venue, "symbol": symbol, "timeframe": timeframe}
        self.direct = 0
        self.last_ms = -_END_OF_TIME
        self.staged: list[_Batch] = []

    async def take(self, batch: _Batch) -> None:
        """Send a batch on; the first that does not fit behind the others sends it and all later ones to staging."""
        if self.staged or not await self._fits(batch):
            await self._stage(batch)
            return
        await self._copy("market_candles", batch)
        self.direct += batch.rows
        self.last_ms = batch.last_ms

    async def finish(self) -> Stored:
        """Merge what was staged into the table and count what happened."""
        if not self.staged:
            return Stored(self.direct, 0, 0)
        await self.conn.execute("ANALYZE candle_staging")
        if not self._staged_ascending():
            await self.conn.execute(_KEEP_LATEST)
        first_ms, last_ms = min(b.first_ms for b in self.staged), max(b.last_ms for b in self.staged)
        stored = await self._merge({**self.key, "first": first_ms, "last": last_ms})
        await self.conn.execute("DROP TABLE candle_staging")
        return stored

    async def _merge(self, match: dict[str, Any]) -> Stored:
        async with self.conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(_COMPARE, match)
            rows, known, changed = await cursor.fetchone() or (0, 0, 0)
            if changed:
                await cursor.execute(_CHANGE, match)
            if rows > known:
                await cursor.execute(_ADD, match)
        return Stored(self.direct + rows - known, changed, known - changed)

    def _staged_ascending(self) -> bool:
        last_ms = -_END_OF_TIME
        for batch in self.staged:
            if not batch.ascending or batch.first_ms <= last_ms:
                return False
            last_ms = batch.last_ms
        return True

    async def _fits(self, batch: _Batch) -> bool:
        if not batch.ascending or batch.first_ms <= self.last_ms:
            return False
        taken = await self.conn.execute(_TAKEN, {**self.key, "first": batch.first_ms, "last": batch.last_ms})
        return taken.rowcount == 0

    async def _stage(self, batch: _Batch) -> None:
        if not self.staged:
            await self.conn.execute(_STAGE)
        await self._copy("candle_staging", batch)
        self.staged.append(batch._replace(lines=""))

    async def _copy(self, table: LiteralString, batch: _Batch) -> None:
        async with self.conn.cursor().copy(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:
            await copy.write(batch.lines)


async def window(
    conn: AsyncConnection[Any],
    venue: str,
    symbols: Sequence[str],
    timeframe: str,
    after_ms: int | None,
    before_ms: int | None,
    limit: int,
) -> list[Candle]:
    """Return the next candles of all symbols with `after_ms < openTime < before_ms`, at most `limit` each.

    Sorted by open time, then in the order of `symbols`. Complete up to the last candle returned: where one
    symbol has more than `limit`, later candles of the others are left for the next window.
    """
    step = named_timeframe(timeframe).ms
    asked = {
        "venue": venue,
        "symbols": list(symbols),
        "timeframe": timeframe,
        "step": step,
        "after": -_END_OF_TIME if after_ms is None else after_ms,
        "before": _END_OF_TIME if before_ms is None else before_ms,
        "limit": limit,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_WINDOW, asked)
        found = [Candle(*row) for row in await cursor.fetchall()]
    return _complete(found, limit)


def _complete(found: list[Candle], limit: int) -> list[Candle]:
    """Drop what lies behind the last candle of a symbol that hit its limit."""
    counts: dict[str, int] = {}
    for candle in found:
        counts[candle.symbol] = counts.get(candle.symbol, 0) + 1
        if counts[candle.symbol] == limit:
            horizon = candle.open_time_ms
            return [each for each in found if each.open_time_ms <= horizon]
    return found


async def last_before(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, before_ms: int, limit: int = 1
) -> list[Candle]:
    """Return the last `limit` candles that open before `before_ms`, oldest first."""
    asked = {
        "venue": venue,
        "symbol": symbol,
        "timeframe": timeframe,
        "step": named_timeframe(timeframe).ms,
        "before": before_ms,
        "limit": limit,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_LAST_BEFORE, asked)
        return [Candle(*row) for row in reversed(await cursor.fetchall())]


async def read(
    conn: AsyncConnection[Any],
    venue: str,
    symbol: str,
    timeframe: str,
    start_ms: int,
    end_ms: int,
    page: int = 5_000,
) -> AsyncIterator[Candle]:
    """Yield the candles with `start_ms <= openTime < end_ms` in order, `page` of them in memory at a time."""
    after_ms = start_ms - 1
    while found := await window(conn, venue, [symbol], timeframe, after_ms, end_ms, page):
        for candle in found:
            yield candle
        after_ms = found[-1].open_time_ms


async def gaps(
    conn: AsyncConnection[Any],
    venue: str,
    symbol: str,
    timeframe: str,
    start_ms: int,
    end_ms: int,
    limit: int = 100,
) -> tuple[list[Gap], int]:
    """Return the first `limit` gaps of `[start_ms, end_ms)` and the number of all missing candles."""
    named_timeframe(timeframe)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_GAPS, (venue, symbol, timeframe, start_ms, end_ms, limit))
        rows = await cursor.fetchall()
    found = [Gap(symbol, timeframe, from_ms, to_ms, missing) for from_ms, to_ms, missing, _ in rows]
    return found, rows[0][3] if rows else 0


async def coverage(
    conn: AsyncConnection[Any],
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> list[Coverage]:
    """List what is cached, by venue, symbol and timeframe; None stands for any."""
    asked = {"venue": venue, "symbol": symbol, "timeframe": timeframe}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_COVERAGE, asked)
        return [Coverage(*row) for row in await cursor.fetchall()]


async def cover(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, source: str, from_ms: int, to_ms: int
) -> None:
    """Remember that `source` was asked for `[from_ms, to_ms)` and answered in full."""
    await conn.execute(
        "SELECT market_cover(%s, %s, %s, %s, %s, %s)", (venue, symbol, timeframe, source, from_ms, to_ms)
    )


async def covered(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, source: str
) -> list[tuple[int, int]]:
    """List the ranges `[from_ms, to_ms)` that `source` was asked for, in order; they never touch."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT from_ms, to_ms FROM market_coverage"
            " WHERE venue = %s AND symbol = %s AND timeframe = %s AND source = %s ORDER BY from_ms",
            (venue, symbol, timeframe, source),
        )
        return list(await cursor.fetchall())


async def delete(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> int:
    """Delete the candles of one symbol and timeframe and forget who was asked; return how many there were."""
    key = (venue, symbol, timeframe)
    async with conn.transaction():
        await conn.execute("DELETE FROM market_coverage WHERE venue = %s AND symbol = %s AND timeframe = %s", key)
        gone = await conn.execute("DELETE FROM market_candles WHERE venue = %s AND symbol = %s AND timeframe = %s", key)
    return gone.rowcount


async def fingerprint(
    conn: AsyncConnection[Any], venue: str, symbols: Sequence[str], timeframe: str, start_ms: int, last_ms: int
) -> str:
    """Return the fingerprint of the cached candles with `start_ms <= openTime <= last_ms`."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT candle_fingerprint(%s, %s, %s, %s, %s)", (venue, list(symbols), timeframe, start_ms, last_ms)
        )
        row = await cursor.fetchone()
    assert row is not None
    return spelled(int(row[0]))
