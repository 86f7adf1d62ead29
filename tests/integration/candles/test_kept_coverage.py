"""What is kept of a series says the same as counting all of its candles, whatever was changed since."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from decimal import Decimal

import psycopg
import pytest

from app.candles.cache.aggregate import build_missing
from app.candles.cache.load import coverage
from app.db import candles as cache
from app.domain.market.candle import Candle
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import running_server

Connection = psycopg.AsyncConnection
KEY = ("demo", "BTCUSDT", "1m")
ALL = ("rows", "first_ms", "last_ms", "gaps", "missing")


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


def candle(open_ms: int) -> Candle:
    price = Decimal(10)
    return Candle("BTCUSDT", "1m", open_ms, open_ms + MINUTE, price, price, price, price, Decimal(1))


async def listed(conn: Connection) -> list[tuple[object, ...]]:
    query = "SELECT venue, symbol, timeframe, rows, first_ms, last_ms, gaps, missing FROM market_cache ORDER BY 1, 2, 3"
    return list(await (await conn.execute(query)).fetchall())


async def counted(conn: Connection) -> list[tuple[object, ...]]:
    """List the cache with nothing kept, and leave what is kept as it is."""
    async with conn.transaction(force_rollback=True):
        await conn.execute("DELETE FROM market_kept")
        return await listed(conn)


async def keep_all(conn: Connection) -> None:
    for venue, symbol, timeframe, *_ in await listed(conn):
        assert await (await conn.execute("SELECT candle_keep(%s, %s, %s)", (venue, symbol, timeframe))).fetchone() == (
            True,
        )


async def test_kept_figures_equal_counted_ones_after_any_change(conn: Connection) -> None:
    draw = random.Random(14)
    aside = 7_000  # Some candles open beside the grid, as on exchanges that were late.
    for number in range(60):
        first = START_MS + draw.randrange(200) * MINUTE
        opens = [first + n * MINUTE + draw.choice((0, 0, 0, aside)) for n in range(draw.randrange(1, 30))]
        await cache.store(conn, *KEY, map(candle, draw.sample(opens, draw.randrange(1, len(opens) + 1))))
        if number % 5 == 0:
            await build_missing(conn, "demo", "BTCUSDT", "5m", START_MS, START_MS + 300 * MINUTE)
        if number % 9 == 0:
            async with conn.transaction():
                await conn.execute("SELECT candle_changed(%s, %s, %s, %s)", (*KEY, first))
                await conn.execute("DELETE FROM market_candles WHERE timeframe = '1m' AND open_time_ms = %s", [first])
        if number == 40:
            await cache.delete(conn, *KEY)
        assert await listed(conn) == await counted(conn)
        if draw.random() < 0.6:
            await keep_all(conn)


async def test_what_reaches_no_candle_any_more_is_counted_again(conn: Connection) -> None:
    """So that a series that was deleted or cut by hand does not show its former number."""
    await cache.store(conn, *KEY, (candle(START_MS + n * MINUTE) for n in range(30)))
    for condition in ("open_time_ms < %s", "open_time_ms > %s"):
        await keep_all(conn)
        await conn.execute(f"DELETE FROM market_candles WHERE {condition}", [START_MS + 15 * MINUTE])
        assert await listed(conn) == await counted(conn)
    await conn.execute("DELETE FROM market_candles")
    assert await listed(conn) == []


async def test_nothing_is_kept_of_a_series_that_is_being_changed(conn: Connection, database: Database) -> None:
    await cache.store(conn, *KEY, [candle(START_MS)])
    async with await Connection.connect(database.url) as other:
        await other.execute("SELECT 1")  # Now a transaction is open, and the candles are not committed.
        await cache.store(other, *KEY, [candle(START_MS + MINUTE)])
        await cache.keep(conn, *KEY)
        assert await (await conn.execute("SELECT * FROM market_kept")).fetchall() == []
    assert [row[3] for row in await listed(conn)] == [2]


async def test_listing_the_cache_keeps_long_series_and_is_quick_from_then_on(database: Database) -> None:
    async with running_server(database, candles=0) as server, await Connection.connect(database.url) as conn:
        last_ms = START_MS + (cache.FEW_SLOTS + 1) * MINUTE
        await cache.store(conn, *KEY, [candle(START_MS), candle(last_ms)])
        await conn.commit()
        assert await cache.unkept(conn, "demo") == [KEY]
        assert await cache.unkept(conn, "binance") == []
        heavy = server.served.budgets.heavy
        calls = [heavy.enter("local") for _ in range(heavy.per_user)]
        for call in calls:
            await call.acquire()
        answer = await server.call("GET", "/api/market/coverage?venue=binance")
        assert answer.status_code == 200, "it does not wait for a turn where nothing long is counted"
        for call in calls:
            call.release()
            heavy.leave("local")
        first, again = [(await server.call("GET", "/api/market/coverage")).json()["coverage"] for _ in range(2)]
        assert first == again
        assert (first[0]["rows"], first[0]["gaps"]) == (2, 1)
        await conn.rollback()
        assert await cache.unkept(conn) == []
        assert [one.rows for one in await coverage(conn, {})] == [2]
