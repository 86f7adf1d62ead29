"""Candles in Postgres: read and count them, list gaps, store coverage. `candle_store.py` stores them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg import Rollback as Rollback
from psycopg.rows import scalar_row, tuple_row

from app.db.candle_store import COLUMNS, LOCK, notify
from app.db.candle_store import Stored as Stored
from app.db.candle_store import delete as delete
from app.db.candle_store import store as store
from app.db.candle_store import store_columns as store_columns
from app.domain.market.candle import Candle, Gap
from app.domain.market.fingerprint import format_sum
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.market.timeframe import timeframe as named_timeframe
from app.domain.record import new_record

FEW_SLOTS = 20_000
"""As many slots are counted within a moment; nothing is kept of shorter series."""

_END_OF_TIME = 2**62
_VALUES: LiteralString = "open, high, low, close, volume"

_CLAIM: LiteralString = """
INSERT INTO market_fetches AS f (venue, symbol, timeframe, holder, until)
VALUES (%(venue)s, %(symbol)s, %(timeframe)s, %(holder)s, clock_timestamp() + %(seconds)s * interval '1 s')
ON CONFLICT ON CONSTRAINT market_fetches_pkey DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE f.until < clock_timestamp() OR f.holder = excluded.holder"""
_RELEASE: LiteralString = """
DELETE FROM market_fetches
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s AND holder = %(holder)s"""
_CHANGED: LiteralString = "SELECT candle_changed(%(venue)s, %(symbol)s, %(timeframe)s, %(first)s)"
_UNKEPT: LiteralString = """
SELECT s.venue, s.symbol, s.timeframe
FROM candle_series() s
LEFT JOIN market_kept k USING (venue, symbol, timeframe)
CROSS JOIN LATERAL (
    SELECT min(c.open_time_ms) AS first_ms, max(c.open_time_ms) AS last_ms
    FROM market_candles c
    WHERE c.venue = s.venue AND c.symbol = s.symbol AND c.timeframe = s.timeframe) r
WHERE (%(venue)s::text IS NULL OR s.venue = %(venue)s)
    AND (%(symbol)s::text IS NULL OR s.symbol = %(symbol)s)
    AND (%(timeframe)s::text IS NULL OR s.timeframe = %(timeframe)s)
    AND r.last_ms - coalesce(k.last_ms, r.first_ms) > %(slots)s * timeframe_ms(s.timeframe)"""
_SERIES: LiteralString = f"""
SELECT open_time_ms, {_VALUES}
FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
    AND open_time_ms > %(after)s AND open_time_ms < %(before)s
ORDER BY open_time_ms
LIMIT %(limit)s"""
_WINDOW: LiteralString = f"""
SELECT a.place - 1, c.open_time_ms, {_VALUES}
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
_BUILD: LiteralString = f"""
INSERT INTO market_candles ({COLUMNS}, built_from)
SELECT %(venue)s, %(symbol)s, %(timeframe)s, b.*, %(finer)s
FROM candle_buckets(%(venue)s, %(symbol)s, %(finer)s, %(timeframe)s, %(start)s, %(end)s) b
ON CONFLICT DO NOTHING"""
_MERGED: LiteralString = """
SELECT open_time_ms - mod(open_time_ms - %(offset)s, %(step)s) AS slot, (array_agg(open ORDER BY open_time_ms))[1],
    max(high), min(low), (array_agg(close ORDER BY open_time_ms DESC))[1], sum(volume)
FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
    AND open_time_ms >= %(start)s AND open_time_ms < %(end)s
GROUP BY slot
ORDER BY slot"""
_GAPS: LiteralString = """
SELECT from_ms, to_ms, missing, (sum(missing) OVER ())::bigint
FROM candle_gaps(%s, %s, %s, %s, %s)
ORDER BY from_ms
LIMIT %s"""
_SHARING_SLOT: LiteralString = """
SELECT before, open_time_ms
FROM (
    SELECT open_time_ms, lag(open_time_ms) OVER (ORDER BY open_time_ms) AS before
    FROM market_candles
    WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s AND built_from IS NULL
        AND open_time_ms > %(first)s - %(step)s AND open_time_ms < %(last)s + %(step)s
) near
WHERE open_time_ms - before < %(step)s
    AND candle_slot_ms(%(timeframe)s, open_time_ms) = candle_slot_ms(%(timeframe)s, before)
LIMIT 1"""
_DROP_BUILT: LiteralString = """
DELETE FROM market_candles built
WHERE built.venue = %(venue)s AND built.symbol = %(symbol)s AND built.timeframe = %(timeframe)s
    AND built.built_from IS NOT NULL
    AND built.open_time_ms > %(first)s - %(step)s AND built.open_time_ms <= %(last)s
    AND EXISTS (
        SELECT FROM market_candles c
        WHERE c.venue = %(venue)s AND c.symbol = %(symbol)s AND c.timeframe = %(timeframe)s AND c.built_from IS NULL
            AND c.open_time_ms > built.open_time_ms AND c.open_time_ms < built.open_time_ms + %(step)s)"""
_COVERAGE: LiteralString = """
SELECT venue, symbol, timeframe, rows, first_ms, last_ms, gaps, missing, source, spelling
FROM market_cache
WHERE (%(venue)s::text IS NULL OR venue = %(venue)s)
    AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
    AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)
ORDER BY venue, symbol, timeframe_ms(timeframe)"""

_RANGES: LiteralString = """
WITH RECURSIVE venues AS (
  (SELECT venue FROM market_candles ORDER BY venue LIMIT 1)
  UNION ALL
  SELECT (SELECT c.venue FROM market_candles c WHERE c.venue > v.venue ORDER BY c.venue LIMIT 1)
  FROM venues v WHERE v.venue IS NOT NULL
)
SELECT v.venue, t.name, first.open_time_ms, last.open_time_ms
FROM venues v
CROSS JOIN unnest(%(timeframes)s::text[]) WITH ORDINALITY AS t (name, place)
CROSS JOIN LATERAL (
  SELECT c.open_time_ms FROM market_candles c
  WHERE c.venue = v.venue AND c.symbol = %(symbol)s AND c.timeframe = t.name
  ORDER BY c.open_time_ms LIMIT 1) first
CROSS JOIN LATERAL (
  SELECT c.open_time_ms FROM market_candles c
  WHERE c.venue = v.venue AND c.symbol = %(symbol)s AND c.timeframe = t.name
  ORDER BY c.open_time_ms DESC LIMIT 1) last
ORDER BY v.venue, t.place"""

_BARS: LiteralString = """
SELECT %(start)s + (open_time_ms - %(start)s) / %(step)s * %(step)s AS bar, (array_agg(open ORDER BY open_time_ms))[1],
  max(high), min(low), (array_agg(close ORDER BY open_time_ms DESC))[1], sum(volume)
FROM market_candles
WHERE venue = %(venue)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
  AND open_time_ms >= %(start)s AND open_time_ms < %(end)s
GROUP BY bar ORDER BY bar"""

_NEXT: LiteralString = """
SELECT (SELECT c.open_time_ms FROM market_candles c
        WHERE c.venue = k.venue AND c.symbol = k.symbol AND c.timeframe = k.timeframe AND c.open_time_ms > k.after_ms
        ORDER BY c.open_time_ms LIMIT 1)
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY
  AS k (venue, symbol, timeframe, after_ms, place)
ORDER BY k.place"""


class Coverage(NamedTuple):
    """The cached candles of one series: first and last open time in ms, gaps between them, sources, spelling."""

    venue: str
    symbol: str
    timeframe: str
    rows: int
    first_ms: int
    last_ms: int
    gaps: int
    missing: int
    source: str | None
    spelling: str


class CachedRange(NamedTuple):
    """The first and last open time of a series in ms."""

    venue: str
    timeframe: str
    first_ms: int
    last_ms: int


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

    Sorted by open time, then in the order of `symbols`. Complete up to the last candle returned: if one symbol
    reaches `limit`, later candles of the others are left for the next window.
    """
    step = named_timeframe(timeframe).ms
    parameters = {
        "venue": venue,
        "timeframe": timeframe,
        "after": -_END_OF_TIME if after_ms is None else after_ms,
        "before": _END_OF_TIME if before_ms is None else before_ms,
        "limit": limit,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        if len(symbols) == 1:
            [symbol] = symbols
            await cursor.execute(_SERIES, parameters | {"symbol": symbol})
            # An unpaced session may read 50,000 candles a second; this query takes two thirds of the other's time.
            return [
                new_record(Candle, (symbol, timeframe, open_ms, open_ms + step, open_, high, low, close, volume, False))
                for open_ms, open_, high, low, close, volume in await cursor.fetchall()
            ]
        await cursor.execute(_WINDOW, parameters | {"symbols": list(symbols)})
        candles = [
            new_record(Candle, (symbols[position], timeframe, open_ms, open_ms + step, *values, False))
            for position, open_ms, *values in await cursor.fetchall()
        ]
    return _cut_at_common_end(candles, limit)


async def read_bars(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, start_ms: int, end_ms: int, step_ms: int
) -> list[Candle]:
    """Return the cached candles of a range as bars of `step_ms`, counted from its start; empty bars are left out."""
    parameters = {"venue": venue, "symbol": symbol, "timeframe": timeframe, "start": start_ms, "end": end_ms}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_BARS, parameters | {"step": step_ms})
        rows = await cursor.fetchall()
    return [
        Candle(symbol, timeframe, bar, bar + step_ms, open_, high, low, close, volume)
        for bar, open_, high, low, close, volume in rows
    ]


def _cut_at_common_end(candles: list[Candle], limit: int) -> list[Candle]:
    """Drop the candles after the last one of the first symbol that reached the limit."""
    if len(candles) <= limit:
        return candles
    counts: dict[str, int] = {}
    for candle in candles:
        counts[candle.symbol] = counts.get(candle.symbol, 0) + 1
        if counts[candle.symbol] == limit:
            horizon = candle.open_time_ms
            return [candle for candle in candles if candle.open_time_ms <= horizon]
    return candles


async def last_before(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, before_ms: int, limit: int = 1
) -> list[Candle]:
    """Return the last `limit` candles that open before `before_ms`, oldest first."""
    parameters = {
        "venue": venue,
        "symbol": symbol,
        "timeframe": timeframe,
        "step": named_timeframe(timeframe).ms,
        "before": before_ms,
        "limit": limit,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_LAST_BEFORE, parameters)
        return [Candle(*row) for row in reversed(await cursor.fetchall())]


async def merged(
    conn: AsyncConnection[Any], venue: str, symbol: str, finer: str, timeframe: str, start_ms: int, end_ms: int
) -> list[Candle]:
    """Merge the candles of `finer` in `[start_ms, end_ms)` into slots of `timeframe`, also incomplete ones."""
    grid = named_timeframe(timeframe)
    parameters = {
        "venue": venue,
        "symbol": symbol,
        "timeframe": finer,
        "start": start_ms,
        "end": end_ms,
        "step": grid.ms,
        "offset": grid.offset_ms,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_MERGED, parameters)
        return [Candle(symbol, timeframe, slot, slot + grid.ms, *values) for slot, *values in await cursor.fetchall()]


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
    while candles := await window(conn, venue, [symbol], timeframe, after_ms, end_ms, page):
        for candle in candles:
            yield candle
        after_ms = candles[-1].open_time_ms


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
    candles = [Gap(symbol, timeframe, from_ms, to_ms, missing) for from_ms, to_ms, missing, _ in rows]
    return candles, rows[0][3] if rows else 0


async def build(
    conn: AsyncConnection[Any], venue: str, symbol: str, finer: str, timeframe: str, start_ms: int, end_ms: int
) -> int:
    """Build missing candles of `timeframe` from complete buckets of `finer`; return how many."""
    parameters = {
        "venue": venue,
        "symbol": symbol,
        "finer": finer,
        "timeframe": timeframe,
        "start": start_ms,
        "end": end_ms,
    }
    async with conn.transaction():
        await conn.execute(LOCK, (venue, symbol, timeframe))
        built = (await conn.execute(_BUILD, parameters)).rowcount
        if built:
            await conn.execute(_CHANGED, parameters | {"first": start_ms})
            await notify(conn, venue, symbol, timeframe)
    return built


async def sharing_slot(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, first_ms: int, last_ms: int
) -> tuple[int, int] | None:
    """Return the open times of two candles of a source that lie in one slot, in or next to a range; None if none do."""
    parameters = _series_near(venue, symbol, timeframe, first_ms, last_ms)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_SHARING_SLOT, parameters)
        return await cursor.fetchone()


async def drop_built_beside(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, first_ms: int, last_ms: int
) -> None:
    """Delete built candles of a range if a source's candle opens later in the same slot."""
    near = _series_near(venue, symbol, timeframe, first_ms, last_ms)
    await conn.execute(_CHANGED, near | {"first": first_ms - near["step"]})
    await conn.execute(_DROP_BUILT, near)


def _series_near(venue: str, symbol: str, timeframe: str, first_ms: int, last_ms: int) -> dict[str, Any]:
    step = named_timeframe(timeframe).ms
    return {"venue": venue, "symbol": symbol, "timeframe": timeframe, "first": first_ms, "last": last_ms, "step": step}


async def timeframes(conn: AsyncConnection[Any], venue: str, symbol: str, start_ms: int, end_ms: int) -> set[str]:
    """Return the timeframes that have a candle with `start_ms <= openTime < end_ms`."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT t FROM unnest(%s::text[]) t WHERE EXISTS (SELECT FROM market_candles c WHERE c.venue = %s"
            " AND c.symbol = %s AND c.timeframe = t AND c.open_time_ms >= %s AND c.open_time_ms < %s)",
            (list(TIMEFRAMES), venue, symbol, start_ms, end_ms),
        )
        return {name for (name,) in await cursor.fetchall()}


async def unkept(
    conn: AsyncConnection[Any], venue: str | None = None, symbol: str | None = None, timeframe: str | None = None
) -> list[tuple[str, str, str]]:
    """List the series of which many candles would have to be counted; None means any."""
    parameters = {"venue": venue, "symbol": symbol, "timeframe": timeframe, "slots": FEW_SLOTS}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_UNKEPT, parameters)
        return list(await cursor.fetchall())


async def keep(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> None:
    """Keep how many candles and gaps a series has, unless somebody changes it at the moment."""
    await conn.execute("SELECT candle_keep(%s, %s, %s)", (venue, symbol, timeframe))


async def coverage(
    conn: AsyncConnection[Any],
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
) -> list[Coverage]:
    """List the cached series by venue, symbol and timeframe; None means any."""
    parameters = {"venue": venue, "symbol": symbol, "timeframe": timeframe}
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_COVERAGE, parameters)
        return [Coverage(*row) for row in await cursor.fetchall()]


async def span(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> tuple[int, int] | None:
    """Return the first and last open time of a series in ms; None if nothing is cached."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT min(open_time_ms), max(open_time_ms) FROM market_candles"
            " WHERE venue = %s AND symbol = %s AND timeframe = %s",
            (venue, symbol, timeframe),
        )
        first_ms, last_ms = await cursor.fetchone() or (None, None)
    return None if first_ms is None else (first_ms, last_ms)


async def next_open_times(conn: AsyncConnection[Any], keys: Sequence[tuple[str, str, str, int]]) -> list[int | None]:
    """Return for each (venue, symbol, timeframe, time) the first cached open time after that time, in ms."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], [], []]
        await cursor.execute(_NEXT, columns)
        return list(await cursor.fetchall())


async def cached_ranges(conn: AsyncConnection[Any], symbol: str) -> list[CachedRange]:
    """List the cached ranges of a symbol by venue and timeframe; the cost grows only with the number of venues."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_RANGES, {"symbol": symbol, "timeframes": list(TIMEFRAMES)})
        return [CachedRange(*row) for row in await cursor.fetchall()]


async def add_coverage(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, source: str, from_ms: int, to_ms: int
) -> None:
    """Store that `source` has answered a request for `[from_ms, to_ms)` in full."""
    await conn.execute(
        "SELECT market_add_coverage(%s, %s, %s, %s, %s, %s)", (venue, symbol, timeframe, source, from_ms, to_ms)
    )


async def covered_ranges(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, source: str
) -> list[tuple[int, int]]:
    """List the ranges `[from_ms, to_ms)` that `source` has answered, in order; they neither overlap nor touch."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT from_ms, to_ms FROM market_coverage"
            " WHERE venue = %s AND symbol = %s AND timeframe = %s AND source = %s ORDER BY from_ms",
            (venue, symbol, timeframe, source),
        )
        return list(await cursor.fetchall())


async def fetched_ranges(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str) -> list[tuple[int, int]]:
    """List the ranges `[from_ms, to_ms)` that any source has answered in full, in order and joined."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT lower(r), upper(r) FROM unnest((SELECT range_agg(int8range(from_ms, to_ms)) FROM market_coverage"
            " WHERE venue = %s AND symbol = %s AND timeframe = %s)) r ORDER BY 1",
            (venue, symbol, timeframe),
        )
        return list(await cursor.fetchall())


async def claim(
    conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, holder: UUID, seconds: float
) -> bool:
    """Claim the fetching of a series for some time, or renew the claim; False if another one has it."""
    key = {"venue": venue, "symbol": symbol, "timeframe": timeframe, "holder": holder, "seconds": seconds}
    return (await conn.execute(_CLAIM, key)).rowcount == 1


async def release(conn: AsyncConnection[Any], venue: str, symbol: str, timeframe: str, holder: UUID) -> None:
    """Release the claim on fetching a series."""
    await conn.execute(_RELEASE, {"venue": venue, "symbol": symbol, "timeframe": timeframe, "holder": holder})


async def count_by_origin(conn: AsyncConnection[Any], venue: str, symbol: str) -> dict[tuple[str, str | None], int]:
    """Count the candles of a symbol by timeframe and by the timeframe they were built from (None: from a source)."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT timeframe, built_from, count(*) FROM market_candles WHERE venue = %s AND symbol = %s GROUP BY 1, 2",
            (venue, symbol),
        )
        return {(timeframe, built_from): count for timeframe, built_from, count in await cursor.fetchall()}


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
    return format_sum(int(row[0]))
