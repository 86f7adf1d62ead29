import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from starlette.responses import JSONResponse

from app.candles.sources.fetch import ATTEMPTS, FetchResult, Range, fetch_candles, missing_ranges
from app.candles.sources.folder import Folder
from app.candles.sources.source import (
    CandleSource,
    Part,
    RetryLaterError,
    SourceUnavailableError,
    VenueSource,
    source,
    sources,
)
from app.candles.sources.synthetic import Synthetic
from app.candles.sources.synthetic import candles as made_up
from app.clock import Clock
from app.db import candles as cache
from app.domain.market.candle import Candle
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError
from tests.support.network.klines import CutResponse, KlineServer, kline_server
from tests.support.postgres import Database

Connection = psycopg.AsyncConnection
MINUTE = 60_000
START = 1_704_067_200_000
END = START + 3_500 * MINUTE
KEY = ("binance", "BTCUSDT", "1m")


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def klines() -> AsyncIterator[KlineServer]:
    async with kline_server() as server:
        yield server


class NoPause(Clock):
    """Goes on at once and remembers how long it should have waited, in seconds."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def fetched(
    conn: Connection, by: CandleSource, start: int = START, end: int = END, name: str = "it"
) -> FetchResult:
    return await fetch_candles(conn, VenueSource(name, by), *KEY, start, end, clock=NoPause())


async def stored(conn: Connection) -> list[Candle]:
    return [candle async for candle in cache.read(conn, *KEY, 0, 2**60)]


def expected(end: int = END) -> list[Candle]:
    return list(made_up("BTCUSDT", "1m", START, end))


def exchange(klines: KlineServer) -> CandleSource:
    pytest.importorskip("ccxt")
    return source(f"exchange:binance@{klines.address}").source


async def test_an_exchange_is_asked_page_by_page_and_a_second_time_not_at_all(
    conn: Connection, klines: KlineServer
) -> None:
    by = exchange(klines)
    assert (await fetched(conn, by)).new == 3_500
    assert await stored(conn) == expected()
    assert [start for _, _, start in klines.requests] == [START + page * 1_000 * MINUTE for page in range(4)]
    assert (await fetched(conn, by)).ranges == []
    assert len(klines.requests) == 4


async def test_only_what_is_missing_is_asked_for(conn: Connection, klines: KlineServer) -> None:
    await cache.store(conn, *KEY, [*expected()[:1_000], *expected()[2_000:]])
    done = await fetched(conn, exchange(klines))
    assert done.ranges == [Range(START + 1_000 * MINUTE, START + 2_000 * MINUTE)]
    assert await stored(conn) == expected()


async def test_a_true_hole_is_asked_for_once(conn: Connection, klines: KlineServer) -> None:
    klines.holes = set(range(START + 500 * MINUTE, START + 600 * MINUTE, MINUTE))
    by = exchange(klines)
    assert (await fetched(conn, by)).new == 3_400
    klines.requests.clear()
    assert (await fetched(conn, by)).ranges == []
    assert klines.requests == []
    assert (await cache.gaps(conn, *KEY, START, END))[1] == 100


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_failures_that_pass_are_retried(conn: Connection, klines: KlineServer, status: int) -> None:
    answer = JSONResponse({"code": -1, "msg": "not now"}, status, headers={"Retry-After": "3"})
    klines.faults = [None, answer, answer, None, answer]
    clock, begun = NoPause(), time.monotonic()
    await fetch_candles(conn, VenueSource("it", exchange(klines)), *KEY, START, END, clock=clock)
    hung_up = 9 - sum(clock.pauses)  # What hanging up takes is part of a pause.
    assert await stored(conn) == expected()
    assert len(clock.pauses) == 3
    assert all(1 < pause <= 3 for pause in clock.pauses)
    assert 0 <= hung_up < time.monotonic() - begun


async def test_a_cut_connection_is_asked_again(conn: Connection, klines: KlineServer) -> None:
    klines.faults = [None, CutResponse()]
    await fetched(conn, exchange(klines))
    assert await stored(conn) == expected()


async def test_an_outage_ends_in_a_clear_error_and_what_was_fetched_stays(
    conn: Connection, klines: KlineServer
) -> None:
    by = exchange(klines)
    klines.faults = [None, None, *[JSONResponse({"code": -1, "msg": "down"}, 503)] * ATTEMPTS]
    with pytest.raises(SourceUnavailableError, match=r"^The source of candles cannot be reached: binance: "):
        await fetched(conn, by)
    assert await stored(conn) == expected()[:2_000]
    done = await fetched(conn, by)
    assert done.ranges == [Range(START + 2_000 * MINUTE, END)]
    assert await stored(conn) == expected()


async def test_a_symbol_the_exchange_does_not_have_is_said_so(conn: Connection, klines: KlineServer) -> None:
    with pytest.raises(BadInputError, match="symbol: binance has no DOGEUSDT"):
        await fetch_candles(conn, VenueSource("it", exchange(klines)), "binance", "DOGEUSDT", "1m", START, END)


async def test_the_open_candle_is_never_stored(conn: Connection, klines: KlineServer) -> None:
    now = int(time.time() * 1000)
    floor = now // MINUTE * MINUTE
    await fetched(conn, exchange(klines), floor - 10 * MINUTE, floor + 10 * MINUTE)
    opens = [candle.open_time_ms for candle in await stored(conn)]
    assert opens[0] == floor - 10 * MINUTE
    assert floor - 2 * MINUTE <= opens[-1] <= int(time.time() * 1000) - MINUTE


async def test_two_processes_asking_at_once_fetch_once(
    conn: Connection, database: Database, klines: KlineServer
) -> None:
    by = exchange(klines)
    async with await Connection.connect(database.url, autocommit=True) as other:
        done = await asyncio.gather(fetched(conn, by), fetched(other, by))
    assert sorted(result.new for result in done) == [0, 3_500]
    assert len(klines.requests) == 4


async def test_slots_that_may_not_be_published_yet_are_asked_for_again(conn: Connection) -> None:
    class Late:
        async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
            yield Part([], to_ms)

    floor = int(time.time() * 1000) // MINUTE * MINUTE
    day = 1_440 * MINUTE
    await fetched(conn, Late(), floor - 2 * day, floor)
    ranges = await missing_ranges(conn, "it", *KEY, floor - 2 * day, floor)
    assert len(ranges) == 1
    assert floor - day - 2 * MINUTE <= ranges[0].from_ms <= floor - day + 2 * MINUTE
    assert ranges[0].to_ms == floor


async def test_another_source_is_asked_for_the_holes_of_the_first(conn: Connection) -> None:
    class Empty:
        async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
            yield Part([], to_ms)

    await fetched(conn, Empty(), name="empty")
    assert await stored(conn) == []
    await fetched(conn, Synthetic(), name="synthetic")
    assert await stored(conn) == expected()


async def test_a_source_that_fails_between_parts_continues_where_it_stopped(conn: Connection) -> None:
    class Failing(Synthetic):
        starts: list[int]

        async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
            self.starts.append(from_ms)
            async for part in super().fetch(symbol, timeframe, from_ms, min(to_ms, from_ms + 700 * MINUTE)):
                yield part
            if from_ms + 700 * MINUTE < to_ms:
                raise RetryLaterError("not now")

    by = Failing()
    by.starts = []
    await fetched(conn, by)
    assert by.starts == [START + part * 700 * MINUTE for part in range(5)]
    assert await stored(conn) == expected()


async def test_a_folder_that_grows_is_asked_again_behind_its_end(conn: Connection, tmp_path: Path) -> None:
    def written(name: str, candles: list[Candle]) -> None:
        rows = (f"{c.open_time_ms},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in candles)
        (tmp_path / f"BTCUSDT-1m-{name}.csv").write_text("\n".join(rows) + "\n")

    written("1", [*expected()[:100], *expected()[110:1_000]])
    by = Folder(str(tmp_path))
    assert (await fetched(conn, by)).new == 990
    assert (await fetched(conn, by)).ranges == [Range(START + 1_000 * MINUTE, END)]
    written("2", expected()[1_000:])
    assert (await fetched(conn, by)).new == 2_500
    assert (await fetched(conn, by)).ranges == []


async def test_progress_ends_with_the_whole_range(conn: Connection) -> None:
    seen: list[tuple[int, int]] = []
    await fetch_candles(
        conn, VenueSource("it", Synthetic()), *KEY, START, END, lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (END - START, END - START)


def test_a_setting_names_a_source_per_venue() -> None:
    chosen = sources("demo=synthetic Selftest=synthetic:7")
    assert {venue: type(fetcher.source) for venue, fetcher in chosen.items()} == {
        "demo": Synthetic,
        "selftest": Synthetic,
    }
    assert chosen["selftest"].name == "synthetic:7"
    assert source("exchange:bybit/linear@http://127.0.0.1:1").name == "exchange:bybit/linear"
    assert source("dump:.").name == "dump"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("demo", "is not venue=kind"),
        ("demo=magic", "'magic' is not one of csv, dump, exchange, feather, json, lean, parquet, synthetic"),
        ("demo=synthetic demo=synthetic", "demo has two sources"),
        ("binance=synthetic", "only the venues demo and selftest may have generated candles, not binance"),
        ("demo=synthetic:x", "the seed 'x' is not a whole number"),
        ("demo=dump:/nowhere/at/all", "there is nothing at '/nowhere/at/all'"),
        ("demo=exchange:no.such", "is not the name of an exchange"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        sources(text)


async def test_an_exchange_that_only_has_recent_candles_says_nothing_of_the_time_before(
    conn: Connection, klines: KlineServer
) -> None:
    klines.recent_only = True
    now = int(time.time() * 1000) // MINUTE * MINUTE
    await fetched(conn, exchange(klines), now - 5_000 * MINUTE, now)
    (first, *_) = await stored(conn)
    assert now - 1_002 * MINUTE <= first.open_time_ms <= now - 998 * MINUTE
    assert (await cache.covered_ranges(conn, *KEY, "it"))[0][0] == first.open_time_ms


async def test_a_fetch_waits_for_another_one_and_not_for_one_that_was_killed(conn: Connection) -> None:
    """The lock of a session stayed behind a pooler with a connection of somebody else."""
    other = uuid4()
    assert await cache.claim(conn, *KEY, other, 60)
    assert await cache.claim(conn, *KEY, other, 60), "its holder renews it"

    class Waiting(NoPause):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            await cache.release(conn, *KEY, other)

    waiting = Waiting()
    await fetch_candles(conn, VenueSource("it", Synthetic()), *KEY, START, START + MINUTE, clock=waiting)
    assert waiting.pauses == [0.1]
    assert await cache.claim(conn, *KEY, other, -1)
    await fetch_candles(conn, VenueSource("it", Synthetic()), *KEY, START, END, clock=NoPause())
    assert await (await conn.execute("SELECT * FROM market_fetches")).fetchall() == []
    assert await (await conn.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'")).fetchall() == []


async def test_ranges_fetched_in_any_order_end_in_the_same_cache(conn: Connection) -> None:
    for seed in range(6):
        draw = random.Random(seed)
        key = ("demo", f"S{seed}", "1m")
        points = [sorted(draw.sample(range(300), 2)) for _ in range(8)]
        covered: set[int] = set()
        for first, end in points:
            here = START + first * MINUTE, START + end * MINUTE
            done = await fetch_candles(conn, VenueSource("it", Synthetic()), *key, *here, clock=NoPause())
            assert done.new == len(set(range(first, end)) - covered)
            covered |= set(range(first, end))
        results = [candle async for candle in cache.read(conn, *key, 0, 2**60)]
        whole = list(made_up(key[1], "1m", START, START + 300 * MINUTE))
        assert results == [whole[number] for number in sorted(covered)]
