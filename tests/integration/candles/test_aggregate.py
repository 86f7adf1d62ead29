import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from app.candles.cache.aggregate import build_missing, finer_timeframes
from app.candles.cache.load import load_candles
from app.candles.imports.importer import import_file
from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import MissingCandlesError
from tests.support.postgres import Database

DATA = Path(__file__).parents[4] / "shared" / "data"
Connection = psycopg.AsyncConnection
MINUTE = 60_000
WEEK = 7 * 86_400_000
START = TIMEFRAMES["1w"].ceil(1_704_067_200_000)


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


async def everything(conn: Connection, timeframe: str, venue: str = "demo", symbol: str = "BTCUSDT") -> list[Candle]:
    return [candle async for candle in cache.read(conn, venue, symbol, timeframe, 0, 2**60)]


def test_a_timeframe_is_built_from_those_that_divide_it() -> None:
    assert [finer.name for finer in finer_timeframes(TIMEFRAMES["1h"])] == ["30m", "15m", "5m", "3m", "1m"]
    assert "3d" not in [finer.name for finer in finer_timeframes(TIMEFRAMES["1w"])]
    assert finer_timeframes(TIMEFRAMES["1m"]) == []


@pytest.mark.parametrize("name", [name for name in TIMEFRAMES if name not in ("1m", "3d", "1w")])
async def test_candles_built_from_minutes_are_those_of_the_timeframe(conn: Connection, name: str) -> None:
    end = START + 2 * 86_400_000
    await cache.store(conn, "demo", "BTCUSDT", "1m", made_up("BTCUSDT", "1m", START, end))
    assert await build_missing(conn, "demo", "BTCUSDT", name, START, end) == "1m"
    assert await everything(conn, name) == list(made_up("BTCUSDT", name, START, end))


@pytest.mark.parametrize("name", ["3d", "1w"])
async def test_days_make_longer_candles_on_their_own_grids(conn: Connection, name: str) -> None:
    start, end = START + 86_400_000, START + 4 * WEEK
    await cache.store(conn, "demo", "BTCUSDT", "1d", made_up("BTCUSDT", "1d", start, end))
    await build_missing(conn, "demo", "BTCUSDT", name, start, end)
    assert await everything(conn, name) == list(made_up("BTCUSDT", name, start, TIMEFRAMES[name].floor(end)))


async def test_a_bucket_with_a_hole_is_a_gap_and_the_answer_names_the_finer_candles(conn: Connection) -> None:
    minutes = list(made_up("BTCUSDT", "1m", START, START + 60 * MINUTE))
    del minutes[20:22]
    await cache.store(conn, "demo", "BTCUSDT", "1m", minutes)
    with pytest.raises(MissingCandlesError) as raised:
        await load_candles(conn, "demo", ["BTCUSDT"], "15m", START, START + 60 * MINUTE)
    at = START + 15 * MINUTE
    gap = {"symbol": "BTCUSDT", "timeframe": "15m", "fromMs": at, "toMs": at + 15 * MINUTE, "missing": 1}
    hole = {"symbol": "BTCUSDT", "timeframe": "1m", "fromMs": at + 5 * MINUTE, "toMs": at + 7 * MINUTE, "missing": 2}
    assert raised.value.details == {"gaps": [gap], "missing": 1, "finer": [hole]}
    assert len(await everything(conn, "15m")) == 3


@pytest.mark.parametrize("built_first", [True, False])
@pytest.mark.parametrize(("name", "shift"), [("3d", 1), ("1w", 6)])
async def test_candles_on_a_grid_of_their_own_are_never_mixed_with_built_ones(
    conn: Connection, tmp_path: Path, name: str, shift: int, built_first: bool
) -> None:
    """The 3d candles of Binance do not count from 1970, and some weeks open on Sunday."""
    day, step = 86_400_000, TIMEFRAMES[name].ms
    start = TIMEFRAMES[name].ceil(START)
    await cache.store(conn, "demo", "BTCUSDT", "1d", made_up("BTCUSDT", "1d", start, start + 8 * step))
    if built_first:
        await build_missing(conn, "demo", "BTCUSDT", name, start, start + 8 * step)
    own = [start + shift * day + number * step for number in range(4)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["time,open,high,low,close,volume", *(f"{time},7,7,7,7,7" for time in own)]))
    report = await import_file(conn, path, "demo", "BTCUSDT", name)
    assert (report.new, report.refused) == (4, 0)
    await build_missing(conn, "demo", "BTCUSDT", name, start, start + 8 * step)
    results = [candle.open_time_ms for candle in await everything(conn, name)]
    assert results == [*own, *(start + number * step for number in range(4, 8))]


async def test_candles_that_are_there_stay_as_they_are(conn: Connection) -> None:
    own = next(made_up("BTCUSDT", "15m", START, START + 15 * MINUTE))._replace(volume=Decimal(1))
    await cache.store(conn, "demo", "BTCUSDT", "15m", [own])
    await cache.store(conn, "demo", "BTCUSDT", "1m", made_up("BTCUSDT", "1m", START, START + 60 * MINUTE))
    await load_candles(conn, "demo", ["BTCUSDT"], "15m", START, START + 60 * MINUTE)
    built = await everything(conn, "15m")
    assert (len(built), built[0]) == (4, own)


async def test_built_candles_follow_the_finer_ones(conn: Connection, database: Database) -> None:
    minutes = list(made_up("BTCUSDT", "1m", START, START + 240 * MINUTE))
    await cache.store(conn, "demo", "BTCUSDT", "1m", minutes[:120])
    await build_missing(conn, "demo", "BTCUSDT", "15m", START, START + 120 * MINUTE)
    await build_missing(conn, "demo", "BTCUSDT", "1h", START, START + 120 * MINUTE)
    async with await Connection.connect(database.url, autocommit=True) as listener:
        await listener.execute("LISTEN market_candles")
        revised = minutes[20]._replace(volume=minutes[20].volume + 5)
        await cache.store(conn, "demo", "BTCUSDT", "1m", [revised])
        heard = {notice.payload async for notice in listener.notifies(timeout=5, stop_after=3)}
    assert heard == {"demo:BTCUSDT:1m", "demo:BTCUSDT:15m", "demo:BTCUSDT:1h"}
    quarters, hours = await everything(conn, "15m"), await everything(conn, "1h")
    plain = list(made_up("BTCUSDT", "15m", START, START + 120 * MINUTE))
    assert quarters == [plain[0], plain[1]._replace(volume=plain[1].volume + 5), *plain[2:]]
    assert hours[0].volume == sum((quarter.volume for quarter in quarters[:4]), Decimal(0))
    for at in range(120, 240, 7):
        await cache.store(conn, "demo", "BTCUSDT", "1m", minutes[at : at + 7])
    assert len(await everything(conn, "15m")) == 16
    assert (await everything(conn, "1h"))[2:] == list(made_up("BTCUSDT", "1h", START, START + 240 * MINUTE))[2:]


async def test_a_series_goes_with_all_that_was_built_from_it(conn: Connection) -> None:
    end = START + 480 * MINUTE
    await cache.store(conn, "demo", "BTCUSDT", "1m", made_up("BTCUSDT", "1m", START, end))
    own = list(made_up("BTCUSDT", "1h", START, START + 120 * MINUTE))
    await cache.store(conn, "demo", "BTCUSDT", "1h", own)
    for name in ("15m", "1h", "4h"):
        await build_missing(conn, "demo", "BTCUSDT", name, START, end)
    assert (len(await everything(conn, "1h")), len(await everything(conn, "4h"))) == (8, 2)
    assert await cache.delete(conn, "demo", "BTCUSDT", "1m") == 480
    assert await everything(conn, "15m") == []
    assert await everything(conn, "1h") == own
    assert await everything(conn, "4h") == []


async def test_a_built_candle_does_not_outlive_the_finer_ones_that_were_deleted_by_hand(conn: Connection) -> None:
    minutes = list(made_up("BTCUSDT", "1m", START, START + 240 * MINUTE))
    await cache.store(conn, "demo", "BTCUSDT", "1m", minutes)
    await build_missing(conn, "demo", "BTCUSDT", "15m", START, START + 240 * MINUTE)
    await build_missing(conn, "demo", "BTCUSDT", "1h", START, START + 240 * MINUTE)
    await conn.execute("DELETE FROM market_candles WHERE timeframe = '1m'")
    other = [candle._replace(volume=candle.volume + 1) for candle in minutes]
    await cache.store(conn, "demo", "BTCUSDT", "1m", other[:70] + other[80:])
    quarters = await everything(conn, "15m")
    assert [(quarter.open_time_ms - START) // MINUTE for quarter in quarters] == [
        n for n in range(0, 240, 15) if n not in (60, 75)
    ]
    assert quarters[0].volume == sum((minute.volume for minute in other[:15]), Decimal(0))
    assert [(candle.open_time_ms - START) // MINUTE for candle in await everything(conn, "1h")] == [0, 120, 180]


async def test_candles_of_a_source_take_the_place_of_built_ones_and_stay(conn: Connection) -> None:
    minutes = list(made_up("BTCUSDT", "1m", START, START + 60 * MINUTE))
    await cache.store(conn, "demo", "BTCUSDT", "1m", minutes)
    await build_missing(conn, "demo", "BTCUSDT", "15m", START, START + 60 * MINUTE)
    own = list(made_up("BTCUSDT", "15m", START, START + 60 * MINUTE))
    assert await cache.store(conn, "demo", "BTCUSDT", "15m", own) == (0, 0, 4)
    await cache.store(conn, "demo", "BTCUSDT", "1m", [minutes[20]._replace(volume=Decimal(7))])
    assert await everything(conn, "15m") == own


async def test_any_holes_leave_exactly_the_complete_buckets(conn: Connection) -> None:
    minutes = list(made_up("BTCUSDT", "1m", START, START + 600 * MINUTE))
    for seed in range(8):
        draw = random.Random(seed)
        holes = set(draw.sample(range(600), draw.randrange(1, 40)))
        rows = [minute for number, minute in enumerate(minutes) if number not in holes]
        await cache.store(conn, "demo", f"S{seed}", "1m", rows)
        await build_missing(conn, "demo", f"S{seed}", "5m", START, START + 600 * MINUTE)
        built = [candle.open_time_ms for candle in await everything(conn, "5m", symbol=f"S{seed}")]
        whole = [slot for slot in range(120) if not holes & set(range(slot * 5, slot * 5 + 5))]
        assert built == [START + slot * 5 * MINUTE for slot in whole]


@pytest.mark.skipif(not DATA.is_dir(), reason="the market candles to read are not beside the project")
@pytest.mark.parametrize(
    ("finer", "longer", "timeframe"),
    [
        ("bybit/BTCUSDT-1m.csv.gz", "bybit/BTCUSDT-5m.csv.gz", "5m"),
        ("bybit/BTCUSDT-1m.csv.gz", "bybit/BTCUSDT-15m.csv", "15m"),
        ("bybit/BTCUSDT-1m.csv.gz", "bybit/BTCUSDT-30m.csv", "30m"),
        ("bybit/BTCUSDT-1m.csv.gz", "bybit/BTCUSDT-4h.csv", "4h"),
        ("bybit/ETHUSDT-1m.csv.gz", "bybit/ETHUSDT-1h.csv", "1h"),
        ("bybit/SOLUSDT-1m.csv.gz", "bybit/SOLUSDT-1h.csv", "1h"),
        ("BTCUSDT-15m.csv.gz", "BTCUSDT-1d.csv", "1d"),
        ("BTCUSDT-15m.csv.gz", "BTCUSDT-1h.csv.gz", "1h"),
        pytest.param("BTCUSDT-1m.csv.gz", "BTCUSDT-1h.csv.gz", "1h", marks=pytest.mark.chaos),
        ("BTCUSDT-1m.csv.gz", "BTCUSDT-15m.csv.gz", "15m"),
        ("BTCUSDT-5m.csv.gz", "BTCUSDT-15m.csv.gz", "15m"),
    ],
)
async def test_a_venues_minutes_make_its_own_longer_candles(
    conn: Connection, finer: str, longer: str, timeframe: str
) -> None:
    symbol = Path(finer).name.split("-")[0]
    piece = Path(finer).name.split("-")[1].split(".")[0]
    source = await import_file(conn, DATA / finer, "built", symbol, piece)
    await import_file(conn, DATA / longer, "own", symbol, timeframe)
    await build_missing(conn, "built", symbol, timeframe, source.first_ms, source.last_ms + TIMEFRAMES[piece].ms)
    own = {candle.open_time_ms: candle for candle in await everything(conn, timeframe, "own", symbol)}
    built = await everything(conn, timeframe, "built", symbol)
    both = [candle for candle in built if candle.open_time_ms in own]
    assert len(both) > 100
    assert [candle for candle in both if own[candle.open_time_ms] != candle] == []
