"""What is said where candles are missing: what the cache holds instead, and what to type."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from app.candles.cache.advice import describe_cached, missing_advice
from app.candles.cache.load import require_candles
from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import MissingCandlesError
from tests.support.postgres import Database

Connection = psycopg.AsyncConnection
START = 1_680_307_200_000  # 2023-04-01
DAY = 86_400_000


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


async def store(conn: Connection, venue: str, timeframe: str, count: int, symbol: str = "BTCUSDT") -> None:
    step = TIMEFRAMES[timeframe].ms
    await cache.store(conn, venue, symbol, timeframe, made_up(symbol, timeframe, START, START + count * step))


async def test_whole_days_are_written_as_days_and_parts_of_days_as_times(conn: Connection) -> None:
    await store(conn, "binance", "1m", 2 * 1440)
    await store(conn, "binance", "1h", 30)
    advice = [await describe_cached(conn, "binance", ["BTCUSDT"], timeframe) for timeframe in ("1m", "1h")]
    assert advice == [
        "BTCUSDT 1m is cached 2023-04-01 to 2023-04-02 at venue binance.",
        "BTCUSDT 1h is cached 2023-04-01 00:00 to 2023-04-02 05:00 at venue binance.",
    ]


@pytest.mark.parametrize(
    ("stored", "instead"),
    [
        ([], ""),
        ([("binance", "5m")], " BTCUSDT 5m is cached 2023-04-01 00:00 to 2023-04-01 00:45 at venue binance."),
        (
            [("binance", "5m"), ("demo", "1m"), ("okx", "1d")],
            " BTCUSDT 1m is cached 2023-04-01 00:00 to 2023-04-01 00:09 at venue demo.",
        ),
        ([("okx", "1d")], " BTCUSDT 1d is cached 2023-04-01 to 2023-04-10 at venue okx."),
    ],
)
async def test_where_a_series_is_not_cached_the_nearest_one_is_named(
    conn: Connection, stored: list[tuple[str, str]], instead: str
) -> None:
    await store(conn, "binance", "1m", 10, symbol="ETHUSDT")
    for venue, timeframe in stored:
        await store(conn, venue, timeframe, 10)
    advice = await describe_cached(conn, "binance", ["BTCUSDT"], "1m")
    assert advice == f"There are no candles of BTCUSDT 1m at venue binance.{instead}"


async def test_the_command_to_type_can_be_pasted_into_a_shell(conn: Connection) -> None:
    advice = await missing_advice(conn, "yahoo", ["^GSPC"], "1d")
    assert "zeon candles import FILE --symbol '^GSPC' --timeframe 1d --venue yahoo (or zeon candles fetch)" in advice


async def test_candles_that_a_source_does_not_have_are_not_to_be_imported(conn: Connection) -> None:
    await store(conn, "binance", "1m", 10)
    await cache.add_coverage(conn, "binance", "BTCUSDT", "1m", "exchange:binance", START, START + DAY)
    with pytest.raises(MissingCandlesError) as raised:
        await require_candles(conn, "binance", ["BTCUSDT"], "1m", START, START + DAY)
    assert raised.value.message.endswith(
        "The source has no candles there: choose another range, or the gap policy skip or fill."
    )


async def test_many_symbols_are_named_up_to_three(conn: Connection) -> None:
    advice = await describe_cached(conn, "demo", ["A", "B", "A", "C", "D"], "1m")
    assert advice.count("There are no candles of") == 3
