import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from app import clock as clock_module
from app.candles.sources.follow import Follower
from app.candles.sources.source import source
from app.candles.sources.synthetic import candles as made_up
from app.clock import Clock
from app.db import candles as cache
from app.db.pool import ConnectionPool
from tests.support.network.klines import kline_server
from tests.support.postgres import Database, PrivatePostgres

Connection = psycopg.AsyncConnection
MINUTE = 60_000
START = 1_704_067_200_000
KEY = ("binance", "BTCUSDT", "1m")


class Fast(Clock):
    """A minute passes every second."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def now_ms(self) -> int:
        return START + 30 * MINUTE + int((time.monotonic() - self.began) * MINUTE)


@pytest.mark.alone
async def test_every_closed_candle_is_stored_soon_after_its_close_through_an_outage_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ccxt.async_support")  # Which takes a while, so before the clock begins.
    monkeypatch.setattr(clock_module, "_STEP_S", 0.02)
    clock = Fast()

    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        async with await Connection.connect(database.url, autocommit=True) as conn:
            yield conn

    async with connect() as conn, kline_server() as klines:
        klines.now_ms = clock.now_ms
        await cache.store(conn, *KEY, made_up("BTCUSDT", "1m", START, START + 10 * MINUTE))
        by = source(f"exchange:binance@{klines.address}")
        follower = Follower(connect, by, "binance", "1m", clock=clock)
        following = asyncio.create_task(follower.follow(["BTCUSDT", "ETHUSDT"]))
        late = await _punctual(conn, clock, 2)
        klines.down = True
        await asyncio.sleep(1.5)
        klines.down = False
        await asyncio.sleep(1.2)
        late += await _punctual(conn, clock, 2)
        following.cancel()
        await asyncio.wait([following])
        results = [candle async for candle in cache.read(conn, *KEY, 0, 2**60)]
        other = await cache.coverage(conn, symbol="ETHUSDT")
    assert results == list(made_up("BTCUSDT", "1m", START, results[-1].close_time_ms))
    assert results[-1].close_time_ms <= clock.now_ms()
    assert max(late) < 0.5, late
    assert (other[0].rows >= 4, other[0].missing) == (True, 0)


async def _punctual(conn: Connection, clock: Fast, count: int) -> list[float]:
    """Measure again, up to three times, where a candle comes late: another process may keep the machine busy."""
    late = await _latenesses(conn, clock, count)
    for _ in range(3):
        if max(late) >= 0.5:
            late = await _latenesses(conn, clock, count)
    return late


async def _latenesses(conn: Connection, clock: Fast, count: int) -> list[float]:
    """Measure for the next candles how many seconds after their close they are there."""
    due_ms = clock.now_ms() // MINUTE * MINUTE + MINUTE
    late = []
    for close_ms in range(due_ms, due_ms + count * MINUTE, MINUTE):
        while not await cache.last_before(conn, *KEY, close_ms) or (
            (await cache.last_before(conn, *KEY, close_ms))[0].close_time_ms < close_ms
        ):
            assert clock.now_ms() < close_ms + 10 * MINUTE
            await asyncio.sleep(0.01)
        late.append((clock.now_ms() - close_ms) / MINUTE)
    return late


async def test_an_outage_of_the_database_is_reported_and_waited_for(private_postgres: PrivatePostgres) -> None:
    clock, heard = Fast(), []
    database = private_postgres.new_database()
    lines = ConnectionPool(database.url, size=2)
    follower = Follower(
        lines.lend, source("synthetic"), "binance", "1m", on_problem=lambda _, why: heard.append(why), clock=clock
    )
    following = asyncio.create_task(follower.follow(["BTCUSDT"]))
    await asyncio.sleep(1.5)
    await asyncio.to_thread(private_postgres.shut_down)
    await asyncio.sleep(1.5)
    await asyncio.to_thread(private_postgres.start)
    async with await Connection.connect(database.url, autocommit=True) as conn:
        assert max(await _latenesses(conn, clock, 2)) < 5
        results = [candle async for candle in cache.read(conn, *KEY, 0, 2**60)]
    following.cancel()
    await asyncio.wait([following])
    await lines.close()
    assert results == list(made_up("BTCUSDT", "1m", results[0].open_time_ms, results[-1].close_time_ms))
    assert "The database cannot be reached; try again." in heard
