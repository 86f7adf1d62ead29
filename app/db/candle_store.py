"""Store candles: COPY directly into an empty range, through a staging table into a range that has candles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from decimal import Context
from itertools import islice
from operator import lt
from typing import Any, LiteralString, NamedTuple

from psycopg import AsyncConnection, AsyncCopy
from psycopg.errors import LockNotAvailable
from psycopg.rows import scalar_row, tuple_row

from app.domain.market.candle import Candle
from app.errors import SeriesBusyError

BATCH = 10_000
"""Candles sent to Postgres at a time; no more are held in memory."""

MAX_BATCH_S = 0.5
"""How long a batch may take to prepare, in seconds. A cancelled store waits this long at most, plus one piece."""

_END_OF_TIME = 2**62
_bare = Context(prec=100).normalize
COLUMNS: LiteralString = "venue, symbol, timeframe, open_time_ms, open, high, low, close, volume"
"""All columns of a candle that comes from a source."""

LOCK: LiteralString = "SELECT pg_advisory_xact_lock(sim_lock_key('candles', %s, %s, %s))"
_NEXT_TAKEN: LiteralString = """
SELECT open_time_ms FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s AND open_time_ms >= %(first)s
ORDER BY open_time_ms
LIMIT 1"""
_STAGE: LiteralString = """
CREATE TEMP TABLE candle_staging (
    position bigint GENERATED ALWAYS AS IDENTITY, LIKE market_candles
) ON COMMIT DROP"""
_KEEP_LATEST: LiteralString = """
DELETE FROM candle_staging s
USING (
    SELECT open_time_ms, max(position) AS kept FROM candle_staging GROUP BY open_time_ms HAVING count(*) > 1
) AS again
WHERE s.open_time_ms = again.open_time_ms AND s.position < again.kept"""
_MATCH: LiteralString = """
c.venue = %(venue)s AND c.symbol = %(symbol)s AND c.timeframe = %(timeframe)s
    AND c.open_time_ms BETWEEN %(first)s AND %(last)s AND c.open_time_ms = s.open_time_ms"""
_DIFFERS: LiteralString = """
(c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM (s.open, s.high, s.low, s.close, s.volume)"""
_COMPARE: LiteralString = f"""
SELECT count(*), count(c.venue), count(*) FILTER (WHERE c.venue IS NOT NULL AND {_DIFFERS}), count(c.built_from)
FROM candle_staging s LEFT JOIN market_candles c ON {_MATCH}"""
_CHANGE: LiteralString = f"""
UPDATE market_candles c
SET open = s.open, high = s.high, low = s.low, close = s.close, volume = s.volume, built_from = NULL
FROM candle_staging s
WHERE {_MATCH} AND (c.built_from IS NOT NULL OR {_DIFFERS})"""
_ADD: LiteralString = f"""
INSERT INTO market_candles ({COLUMNS})
SELECT {COLUMNS} FROM candle_staging s
WHERE NOT EXISTS (SELECT FROM market_candles c WHERE {_MATCH})
ORDER BY open_time_ms"""


class Stored(NamedTuple):
    """The result of a store: how many candles were new, replaced other values, or were already stored."""

    new: int
    changed: int
    same: int


class CandleColumns(NamedTuple):
    """Candles column by column: open times in ms, then open, high, low, close and volume as canonical numbers.

    `time_texts` are the times as text, if the caller has them already.
    """

    times: Sequence[int]
    numbers: Sequence[Sequence[str]]
    time_texts: Sequence[str] | None = None


NO_COLUMNS = CandleColumns((), ())
"""No candles yet: the producer is still working."""


def columns_of(candles: Iterable[Candle]) -> Iterator[CandleColumns]:
    """Turn candles into columns, `BATCH` rows at a time."""
    rest = iter(candles)
    while taken := list(islice(rest, BATCH)):
        _, _, times, _, *numbers, _ = zip(*taken, strict=True)
        yield CandleColumns(times, [list(map(str, map(_bare, column))) for column in numbers])


async def store(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, candles: Iterable[Candle]
) -> Stored:
    """Store candles of one symbol and timeframe in the cache, as `store_columns` does."""
    return await store_columns(conn, venue, symbol, timeframe, columns_of(candles))


async def store_columns(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, pieces: Iterable[CandleColumns]
) -> Stored:
    """Store candles of one symbol and timeframe in the cache, in any order; of equal times the last one wins.

    Ascending candles are copied directly into an empty range. The first batch that does not fit there, and all later
    ones, go through a staging table. `pieces` is read in a thread, one batch ahead. It is one transaction, with one
    notification at its end when anything is new or changed. Raises `SeriesBusyError` when another process stores the
    same series for longer than a minute.
    """
    loading = _Loading(conn, venue, symbol, timeframe)
    async with conn.transaction():
        await _lock_series(conn, venue, symbol, timeframe)
        async with aclosing(_batches("\t".join((venue, symbol, timeframe)), pieces)) as batches, loading:
            async for batch in batches:
                await loading.take(batch)
        stored = await loading.finish()
        if stored.new or stored.changed:
            await notify(conn, venue, symbol, timeframe)
            await _rebuild(conn, venue, symbol, timeframe, *loading.range_ms)
    return stored


async def delete(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> int:
    """Delete a series, the candles built from it, and its coverage; return how many candles it had.

    Raises `SeriesBusyError` when another process stores the series for longer than a minute.
    """
    async with conn.transaction(), conn.cursor(row_factory=scalar_row) as cursor:
        await _lock_series(conn, venue, symbol, timeframe)
        await cursor.execute("SELECT candle_delete(%s, %s, %s)", (venue, symbol, timeframe))
        return int(await cursor.fetchone() or 0)


async def _rebuild(
    conn: AsyncConnection[Any], venue: str, symbol: str, finer: str, first_ms: int, last_ms: int
) -> None:
    """Build again the longer candles that were built from these."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT candle_rebuild(%s, %s, %s, %s, %s)", (venue, symbol, finer, first_ms, last_ms))
        for timeframe in dict.fromkeys(await cursor.fetchall()):
            await notify(conn, venue, symbol, timeframe)


async def _lock_series(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> None:
    """Lock a series for writing until the transaction ends; a store may take longer than `statement_timeout`."""
    await conn.execute("SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true)")
    try:
        await conn.execute(LOCK, (venue, symbol, timeframe))
    except LockNotAvailable as error:
        raise SeriesBusyError(
            f"Another process is storing candles of {symbol} {timeframe} at venue {venue}; try again."
        ) from error


async def notify(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> None:
    """Notify the sessions that wait for candles of a series."""
    await conn.execute("SELECT sim_notify('market_candles', %s)", (f"{venue}:{symbol}:{timeframe}",))


class _Batch(NamedTuple):
    """Candles as lines for COPY, and the figures that decide between table and staging table."""

    lines: str
    rows: int
    first_ms: int
    last_ms: int
    ascending: bool


async def _batches(prefix: str, pieces: Iterable[CandleColumns]) -> AsyncGenerator[_Batch]:
    """Yield batches; a thread prepares each one while the one before it is sent to Postgres."""
    rest = iter(pieces)
    next_batch = asyncio.create_task(asyncio.to_thread(_next_batch, prefix, rest))
    try:
        while batch := await asyncio.shield(next_batch):
            next_batch = asyncio.create_task(asyncio.to_thread(_next_batch, prefix, rest))
            if batch.rows:
                yield batch
    finally:
        # A thread cannot be stopped: wait until it no longer reads `pieces`.
        await asyncio.wait([next_batch])
        next_batch.exception()


def _next_batch(prefix: str, pieces: Iterator[CandleColumns]) -> _Batch | None:
    """Return a batch of the next pieces; a smaller or an empty one if they take longer than `MAX_BATCH_S`."""
    times: list[int] = []
    lines = []
    until = time.monotonic() + MAX_BATCH_S
    ended = False
    while len(times) < BATCH and time.monotonic() < until:
        piece = next(pieces, None)
        if piece is None:
            ended = True
            break
        if piece.times:
            times += piece.times
            lines.append(_lines(prefix, piece))
    if not times:
        return None if ended else _Batch("", 0, _END_OF_TIME, -_END_OF_TIME, ascending=True)
    ascending = all(map(lt, times, times[1:]))
    return _Batch("".join(lines), len(times), min(times), max(times), ascending)


def _lines(prefix: str, piece: CandleColumns) -> str:
    """Render lines for COPY."""
    times = map(str, piece.times) if piece.time_texts is None else piece.time_texts
    rows = map("\t".join, zip(times, *piece.numbers, strict=True))
    return f"{prefix}\t" + f"\n{prefix}\t".join(rows) + "\n"


class _Loading:
    """One store in progress: decides per batch between the table and the staging table."""

    def __init__(self, conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> None:
        self.conn = conn
        self.key = {"venue": venue, "symbol": symbol, "timeframe": timeframe}
        self.direct = 0
        self.last_ms = -_END_OF_TIME
        self.free_ms: int | None = None
        self.staged: list[_Batch] = []
        self.range_ms = (_END_OF_TIME, -_END_OF_TIME)
        self._copying: AsyncCopy | None = None
        self._copies = AsyncExitStack()

    async def __aenter__(self) -> _Loading:
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._copies.__aexit__(*error)

    async def take(self, batch: _Batch) -> None:
        """Copy a batch. The first one that does not follow the others in order, and all later ones, are staged."""
        self.range_ms = min(batch.first_ms, self.range_ms[0]), max(batch.last_ms, self.range_ms[1])
        if self.staged or not await self._can_copy(batch):
            await self._stage(batch)
            return
        await self._copy("market_candles", batch)
        self.direct += batch.rows
        self.last_ms = batch.last_ms

    async def finish(self) -> Stored:
        """Merge the staged candles into the table; return the counts."""
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
            rows, known, changed, built = await cursor.fetchone() or (0, 0, 0, 0)
            if changed or built:
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

    async def _can_copy(self, batch: _Batch) -> bool:
        if not batch.ascending or batch.first_ms <= self.last_ms:
            return False
        if self.free_ms is None:
            async with self.conn.cursor(row_factory=scalar_row) as cursor:
                await cursor.execute(_NEXT_TAKEN, {**self.key, "first": batch.first_ms})
                taken_ms = await cursor.fetchone()
                self.free_ms = _END_OF_TIME if taken_ms is None else taken_ms
        return batch.last_ms < self.free_ms

    async def _stage(self, batch: _Batch) -> None:
        if not self.staged:
            await self._copies.aclose()
            self._copying = None
            await self.conn.execute(_STAGE)
        await self._copy("candle_staging", batch)
        self.staged.append(batch._replace(lines=""))

    async def _copy(self, table: LiteralString, batch: _Batch) -> None:
        """Send lines in the COPY in progress, or start one: a round trip per batch would cost too much."""
        if self._copying is None:
            statement: LiteralString = f"COPY {table} ({COLUMNS}) FROM STDIN"
            self._copying = await self._copies.enter_async_context(self.conn.cursor().copy(statement))
        await self._copying.write(batch.lines)
