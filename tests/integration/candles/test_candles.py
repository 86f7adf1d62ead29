import asyncio
import itertools
import random
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterable
from decimal import Decimal

import psycopg
import pytest

from app.candles.cache.load import load_candles
from app.candles.sources.synthetic import candles as made_up
from app.db import candle_store
from app.db import candles as cache
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import MissingCandlesError
from tests.support.postgres import Database

Connection = psycopg.AsyncConnection
MINUTE = 60_000
START = 1_704_067_200_000
KEY = ("demo", "BTCUSDT", "1m")


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


def minute(number: int, price: str = "10", symbol: str = "BTCUSDT", volume: str = "1") -> Candle:
    value = Decimal(price)
    open_ms = START + number * MINUTE
    return Candle(symbol, "1m", open_ms, open_ms + MINUTE, value, value, value, value, Decimal(volume))


def minutes(numbers: Iterable[int], price: str = "10") -> list[Candle]:
    return [minute(number, price) for number in numbers]


async def stored(conn: Connection, key: tuple[str, str, str] = KEY) -> list[Candle]:
    return [candle async for candle in cache.read(conn, *key, 0, 2**60, page=7)]


async def test_candles_come_back_exactly_as_they_were_stored(conn: Connection) -> None:
    wanted = list(made_up("BTCUSDT", "1m", START, START + 30 * MINUTE))
    assert await cache.store(conn, *KEY, wanted) == (30, 0, 0)
    assert await stored(conn) == wanted


async def test_numbers_are_stored_without_trailing_zeros_or_exponent(conn: Connection) -> None:
    await cache.store(conn, *KEY, [minute(0, "42000.5000", volume="1E-8"), minute(1, "1.20E+3", volume="0.00")])
    result = await conn.execute("SELECT open::text, volume::text FROM market_candles ORDER BY open_time_ms")
    assert await result.fetchall() == [("42000.5", "0.00000001"), ("1200", "0")]


async def test_a_store_tells_new_from_changed_from_same(conn: Connection) -> None:
    assert await cache.store(conn, *KEY, minutes(range(10))) == (10, 0, 0)
    assert await cache.store(conn, *KEY, minutes(range(10))) == (0, 0, 10)
    assert await cache.store(conn, *KEY, [*minutes(range(5, 8), "11"), *minutes(range(8, 12))]) == (2, 3, 2)
    assert [candle.close for candle in await stored(conn)][4:9] == list(map(Decimal, ("10", "11", "11", "11", "10")))


async def test_of_equal_times_the_last_one_stays(conn: Connection) -> None:
    assert await cache.store(conn, *KEY, [minute(1, "1"), minute(0), minute(1, "2")]) == (2, 0, 0)
    assert [candle.close for candle in await stored(conn)] == [Decimal(10), Decimal(2)]


async def test_a_large_store_over_an_overlap_goes_through_both_paths(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candle_store, "BATCH", 10)
    await cache.store(conn, *KEY, minutes(range(45, 50)))
    assert await cache.store(conn, *KEY, [*minutes(range(100)), *minutes(range(20), "11")]) == (95, 20, 5)
    assert len(await stored(conn)) == 100


async def test_any_order_overlap_and_repetition_ends_in_the_same_cache(conn: Connection) -> None:
    for seed in range(20):
        draw = random.Random(seed)
        ranges = [(start, start + draw.randrange(1, 60)) for start in (draw.randrange(200) for _ in range(8))]
        key = ("demo", f"S{seed}", "1m")
        for start, end in [*ranges, *draw.sample(ranges, 4)]:
            numbers = list(range(start, end))
            draw.shuffle(numbers)
            await cache.store(conn, *key, [minute(number, str(number + 1), key[1]) for number in numbers])
        expected = sorted({number for start, end in ranges for number in range(start, end)})
        assert [candle.close - 1 for candle in await stored(conn, key)] == expected


async def test_two_stores_of_the_same_candles_at_once_both_succeed(conn: Connection, database: Database) -> None:
    async with await Connection.connect(database.url, autocommit=True) as other:
        done = await asyncio.gather(
            cache.store(conn, *KEY, minutes(range(500))), cache.store(other, *KEY, minutes(range(500)))
        )
    assert sorted(done) == [(0, 0, 500), (500, 0, 0)]


async def test_a_failed_store_leaves_nothing(conn: Connection) -> None:
    def failing() -> Iterable[Candle]:
        yield from minutes(range(20_000))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await cache.store(conn, *KEY, failing())
    assert await stored(conn) == []


async def test_a_cancelled_store_leaves_nothing_and_lets_go_of_its_candles(conn: Connection) -> None:
    reading = threading.Event()

    def slow() -> Generator[Candle]:
        for candle in minutes(range(100)):
            reading.set()
            time.sleep(0.002)
            yield candle

    rows = slow()
    storing = asyncio.create_task(cache.store(conn, *KEY, rows))
    await asyncio.to_thread(reading.wait)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    rows.close()
    assert await stored(conn) == []


async def test_a_store_notifies_once_and_only_when_something_changed(conn: Connection, database: Database) -> None:
    async with await Connection.connect(database.url, autocommit=True) as listener:
        await listener.execute("LISTEN market_candles")
        await cache.store(conn, *KEY, minutes(range(20)))
        await cache.store(conn, *KEY, minutes(range(20)))
        await cache.store(conn, *KEY, minutes([7], "11"))
        await conn.execute("NOTIFY market_candles, 'end'")
        heard = [notice.payload async for notice in listener.notifies(timeout=5, stop_after=3)]
    assert heard == ["demo:BTCUSDT:1m", "demo:BTCUSDT:1m", "end"]


async def test_a_window_is_merged_by_time_and_then_by_the_order_of_symbols(conn: Connection) -> None:
    for symbol in ("AAA", "BBB"):
        await cache.store(conn, "demo", symbol, "1m", [minute(number, symbol=symbol) for number in range(3)])
    results = await cache.window(conn, "demo", ["BBB", "AAA"], "1m", None, START + 2 * MINUTE, 10)
    assert [(candle.symbol, candle.open_time_ms - START) for candle in results] == [
        ("BBB", 0),
        ("AAA", 0),
        ("BBB", MINUTE),
        ("AAA", MINUTE),
    ]
    assert results[0].close_time_ms == results[0].open_time_ms + MINUTE


async def test_windows_of_any_size_skip_and_repeat_nothing(conn: Connection) -> None:
    draw = random.Random(3)
    symbols = ["AAA", "BBB", "CCC"]
    expected = []
    for index, symbol in enumerate(symbols):
        numbers = sorted(draw.sample(range(300), (20, 150, 300)[index]))
        await cache.store(conn, "demo", symbol, "1m", [minute(number, symbol=symbol) for number in numbers])
        expected += [(START + number * MINUTE, index) for number in numbers]
    for limit in (1, 2, 7, 1000):
        after_ms, read = None, []
        while part := await cache.window(conn, "demo", symbols, "1m", after_ms, None, limit):
            read += [(candle.open_time_ms, symbols.index(candle.symbol)) for candle in part]
            after_ms = part[-1].open_time_ms
        assert read == sorted(expected)


async def test_a_window_reads_its_rows_from_the_index(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes(range(20_000)))
    await conn.execute("ANALYZE market_candles")
    request = {"venue": "demo", "symbols": ["BTCUSDT", "X"], "timeframe": "1m", "step": MINUTE}
    request |= {"after": START + 19_000 * MINUTE, "before": 2**62, "limit": 100}
    lines = await (await conn.execute("EXPLAIN (ANALYZE, FORMAT TEXT) " + cache._WINDOW, request)).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert "Index Scan using market_candles_pkey" in plan
    assert "Rows Removed" not in plan


async def test_the_last_candles_before_a_time_are_oldest_first(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes([0, 1, 5, 6]))
    results = await cache.last_before(conn, *KEY, START + 6 * MINUTE, 2)
    assert [(candle.open_time_ms - START) // MINUTE for candle in results] == [1, 5]
    assert await cache.last_before(conn, *KEY, START) == []


async def test_gaps_at_both_ends_and_between_are_found(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes([2, 3, 6]))
    ranges, missing = await cache.gaps(conn, *KEY, START, START + 9 * MINUTE)
    assert [((gap.from_ms - START) // MINUTE, (gap.to_ms - START) // MINUTE, gap.missing) for gap in ranges] == [
        (0, 2, 2),
        (4, 6, 2),
        (7, 9, 2),
    ]
    assert missing == 6


async def test_gaps_are_counted_beyond_those_listed(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes(range(0, 500, 2)))
    ranges, missing = await cache.gaps(conn, *KEY, START, START + 500 * MINUTE, limit=3)
    assert (len(ranges), missing) == (3, 250)


@pytest.mark.parametrize("name", TIMEFRAMES)
async def test_gaps_found_in_sql_equal_gaps_found_by_brute_force(conn: Connection, name: str) -> None:
    grid = TIMEFRAMES[name]
    for seed in range(6):
        draw = random.Random(f"{name}{seed}")
        first = grid.ceil(draw.choice([-50 * grid.ms, START]))
        slots = range(first, first + 60 * grid.ms, grid.ms)
        opens = sorted(draw.sample(slots, draw.randrange(60)))
        shift = draw.choice([0, 0, 1_800_000]) if grid.ms > 1_800_000 else 0
        rows = [minute(0)._replace(timeframe=name, open_time_ms=open_ms + shift) for open_ms in opens]
        await cache.store(conn, "demo", f"S{seed}", name, rows)
        start, end = first - draw.randrange(3 * grid.ms), slots[-1] + draw.randrange(3 * grid.ms)
        ranges, missing = await cache.gaps(conn, "demo", f"S{seed}", name, start, end)
        wanted = list(range(grid.ceil(start), end, grid.ms))
        absent = [slot for slot in wanted if slot not in opens]
        assert missing == len(absent)
        assert [slot for gap in ranges for slot in range(gap.from_ms, gap.to_ms, grid.ms)] == absent
        assert all(before.to_ms < after.from_ms for before, after in itertools.pairwise(ranges))


async def test_storing_and_finding_gaps_work_on_every_server(any_database: Database) -> None:
    async with await Connection.connect(any_database.url, autocommit=True) as conn:
        assert await cache.store(conn, *KEY, minutes([1, 2, 5])) == (3, 0, 0)
        assert await cache.store(conn, *KEY, [minute(2, "11"), minute(3), minute(5)]) == (1, 1, 1)
        await cache.add_coverage(conn, *KEY, "csv", START, START + 6 * MINUTE)
        assert await cache.coverage(conn) == [(*KEY, 4, START + MINUTE, START + 5 * MINUTE, 1, 1, "csv", "BTCUSDT")]
        assert (await cache.gaps(conn, *KEY, START, START + 8 * MINUTE))[1] == 4


async def test_load_candles_lists_the_gaps_of_every_symbol(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes(range(5)))
    await load_candles(conn, "demo", ["BTCUSDT"], "1m", START, START + 5 * MINUTE)
    with pytest.raises(MissingCandlesError) as raised:
        await load_candles(conn, "demo", ["BTCUSDT", "ETHUSDT"], "1m", START, START + 6 * MINUTE)
    assert raised.value.details == {
        "gaps": [
            {"symbol": "BTCUSDT", "timeframe": "1m", "fromMs": START + 300_000, "toMs": START + 360_000, "missing": 1},
            {"symbol": "ETHUSDT", "timeframe": "1m", "fromMs": START, "toMs": START + 360_000, "missing": 6},
        ],
        "missing": 7,
    }
    assert raised.value.message == (
        "7 candles are missing between 2024-01-01 00:00:00Z and 2024-01-01 00:06:00Z."
        " BTCUSDT 1m is cached 2024-01-01 00:00 to 2024-01-01 00:04 at venue demo."
        " There are no candles of ETHUSDT 1m at venue demo."
        " Add them with: zeon candles import FILE --symbol BTCUSDT --timeframe 1m --venue demo (or zeon candles fetch);"
        " else choose another range, or the gap policy skip or fill."
    )


async def test_the_answer_lists_at_most_a_hundred_gaps(conn: Connection) -> None:
    for symbol in ("AAA", "BBB"):
        await cache.store(conn, "demo", symbol, "1m", [minute(number, symbol=symbol) for number in range(0, 160, 2)])
    with pytest.raises(MissingCandlesError) as raised:
        await load_candles(conn, "demo", ["AAA", "BBB"], "1m", START, START + 160 * MINUTE)
    assert len(raised.value.details["gaps"]) == 100
    assert raised.value.details["missing"] == 160


async def test_ranges_asked_of_one_source_never_touch(conn: Connection) -> None:
    for seed in range(10):
        draw = random.Random(seed)
        key = ("demo", f"S{seed}", "1m")
        wanted = [(start, start + draw.randrange(1, 12)) for start in (draw.randrange(100) for _ in range(12))]
        for start, end in wanted:
            await cache.add_coverage(conn, *key, "exchange", start, end)
        ranges = await cache.covered_ranges(conn, *key, "exchange")
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))
        points = {point for start, end in ranges for point in range(start, end)}
        assert points == {point for start, end in wanted for point in range(start, end)}
        assert await cache.covered_ranges(conn, *key, "dump") == []


async def test_coverage_says_what_is_there_with_which_holes_and_from_whom(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes([0, 1, 4, 9]))
    await cache.store(conn, "demo", "ETHUSDT", "1m", [minute(0, symbol="ETHUSDT")])
    await cache.add_coverage(conn, *KEY, "dump", START, START + 5 * MINUTE)
    await cache.add_coverage(conn, *KEY, "csv", START, START + 10 * MINUTE)
    assert await cache.coverage(conn) == [
        (*KEY, 4, START, START + 9 * MINUTE, 2, 6, "csv,dump", "BTCUSDT"),
        ("demo", "ETHUSDT", "1m", 1, START, START, 0, 0, None, "ETHUSDT"),
    ]
    assert [series.symbol for series in await cache.coverage(conn, symbol="ETHUSDT")] == ["ETHUSDT"]
    assert await cache.coverage(conn, venue="elsewhere") == []


async def test_delete_forgets_one_series_only(conn: Connection) -> None:
    await cache.store(conn, *KEY, minutes(range(3)))
    await cache.store(conn, "demo", "ETHUSDT", "1m", [minute(0, symbol="ETHUSDT")])
    await cache.add_coverage(conn, *KEY, "csv", START, START + 3 * MINUTE)
    assert await cache.delete(conn, *KEY) == 3
    assert [series.symbol for series in await cache.coverage(conn)] == ["ETHUSDT"]
    assert await cache.covered_ranges(conn, *KEY, "csv") == []
