"""Imports of real files, if the shared folder exists; its README describes them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from app.candles.cache.calendar import Calendar
from app.candles.cache.load import find_gaps
from app.candles.imports.importer import import_file
from app.candles.rows.report import Report
from app.db import candles as cache
from app.domain.market.candle import Candle
from app.errors import BadInputError
from tests.support.postgres import Database

DATA = Path(__file__).parents[4] / "shared" / "data"
RAW = DATA / "raw"
LINE = re.compile(r"\| (\S+\.csv(?:\.gz)?) \| ([\d,]+) \| (\S+ \S+) \| (\S+ \S+) \| (\d+) \((\d+)\) \|")
DIRTY = {"dirty/ADAUSD-1h.csv.gz": 11, "dirty/DOGEUSD-1h.csv.gz": 50}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the market candles to read are not beside the project")
Connection = psycopg.AsyncConnection


class FileFacts(NamedTuple):
    """What the README says of a file: times in ms, `missing` is the number of missing candles."""

    name: str
    rows: int
    first_ms: int
    last_ms: int
    gaps: int
    missing: int


def file_facts() -> list[FileFacts]:
    readme = DATA / "README.md"
    return [
        FileFacts(name, int(rows.replace(",", "")), _ms(first), _ms(last), int(gaps), int(missing))
        for name, rows, first, last, gaps, missing in LINE.findall(readme.read_text() if readme.is_file() else "")
    ]


def _ms(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


async def everything(conn: Connection, venue: str, symbol: str, timeframe: str) -> list[Candle]:
    return [candle async for candle in cache.read(conn, venue, symbol, timeframe, 0, 2**60)]


async def imported(conn: Connection, path: Path, venue: str, symbol: str, timeframe: str) -> Report:
    report = await import_file(conn, path, venue, symbol, timeframe)
    assert report.rows == report.new + report.changed + report.same + report.refused + report.duplicates
    assert report.broke is None
    return report


@pytest.mark.parametrize("file", file_facts(), ids=lambda file: file.name)
async def test_every_file_imports_as_its_readme_says(conn: Connection, file: FileFacts) -> None:
    symbol, timeframe = Path(file.name).name.split(".")[0].split("-")
    venue = Path(file.name).parent.name or "root"
    report = await imported(conn, DATA / file.name, venue, symbol, timeframe)
    (coverage,) = await cache.coverage(conn)
    assert (report.rows, report.refused) == (file.rows, DIRTY.get(file.name, 0))
    assert len(report.refusals) == report.refused
    assert (report.first_ms, report.last_ms, report.duplicates) == (file.first_ms, file.last_ms, 0)
    if file.name not in DIRTY:
        assert (coverage.rows, coverage.gaps, coverage.missing) == (file.rows, file.gaps, file.missing)
    if file.rows < 100_000:
        again = await imported(conn, DATA / file.name, venue, symbol, timeframe)
        assert (again.new, again.changed, again.same) == (0, 0, coverage.rows)


async def test_dumps_in_ms_and_us_single_and_zipped_are_the_candles_of_the_csv(conn: Connection) -> None:
    dumps = RAW / "binance-vision"
    for name in ("2024-01-15.csv", "2024-01-16.zip", "2025-01-15.csv"):
        report = await imported(conn, dumps / f"BTCUSDT-1m-{name}", "binance", "BTCUSDT", "1m")
        assert (report.rows, report.new, report.missing) == (1_440, 1_440, 0)
    report = await imported(conn, dumps / "BTCUSDT-1m-2018-06-26.csv", "binance", "BTCUSDT", "1m")
    assert (report.rows, report.missing, len(report.gaps)) == (840, 600, 1)
    report = await imported(conn, DATA / "BTCUSDT-1m.csv.gz", "binance", "BTCUSDT", "1m")
    assert (report.changed, report.same) == (0, 3 * 1_440)


async def test_a_folder_of_dumps_is_one_import(conn: Connection) -> None:
    report = await imported(conn, RAW / "binance-vision", "binance", "BTCUSDT", "1m")
    assert (report.rows, report.new) == (3 * 1_440 + 840, 3 * 1_440 + 840)


async def test_a_futures_dump_with_header_is_the_candles_of_the_csv(conn: Connection) -> None:
    whole = await imported(conn, DATA / "AVAXUSDT-1m.csv.gz", "binance-usdm", "AVAXUSDT", "1m")
    dump = RAW / "binance-vision-futures" / "AVAXUSDT-1m-2026-07.csv.gz"
    report = await imported(conn, dump, "binance-usdm", "AVAXUSDT", "1m")
    assert (whole.rows, report.rows, report.same) == (87_840, 31 * 1_440, 31 * 1_440)


async def test_feather_of_freqtrade_is_the_candles_of_the_csv(conn: Connection) -> None:
    await imported(conn, DATA / "ADABTC-5m.csv", "binance", "ADABTC", "5m")
    report = await imported(conn, RAW / "freqtrade" / "ADA_BTC-5m.feather", "binance", "ADABTC", "5m")
    assert (report.rows, report.changed, report.same) == (5_720, 0, 5_720)


async def test_json_gz_and_feather_of_freqtrade_are_the_same_candles(conn: Connection) -> None:
    name = "XRP_USDT_USDT-1h-futures"
    report = await imported(conn, RAW / "freqtrade" / f"{name}.json.gz", "binance-usdm", "XRPUSDT", "1h")
    assert report.new == 100
    report = await imported(conn, RAW / "freqtrade" / f"{name}.feather", "binance-usdm", "XRPUSDT", "1h")
    assert (report.changed, report.same) == (0, 100)


async def test_json_of_freqtrade_has_the_gaps_its_readme_tells(conn: Connection) -> None:
    report = await imported(conn, RAW / "freqtrade" / "UNITTEST_BTC-1m.json", "made-up", "UNITTESTBTC", "1m")
    (coverage,) = await cache.coverage(conn)
    assert (report.refused, report.duplicates, coverage.gaps) == (0, 0, 538)


async def test_lean_minutes_of_a_day_count_from_its_midnight(conn: Connection) -> None:
    folder = RAW / "lean" / "crypto" / "coinbase" / "minute" / "btcusd"
    report = await imported(conn, folder / "20161007_trade.zip", "coinbase", "BTCUSD", "1m")
    assert (report.rows, report.first_ms) == (1_419, _ms("2016-10-07 00:00"))
    report = await imported(conn, folder, "coinbase", "BTCUSD", "1m")
    assert (report.same, report.last_ms) == (1_419, _ms("2016-10-08 23:59"))


async def test_lean_hours_are_read(conn: Connection) -> None:
    path = RAW / "lean" / "crypto" / "binance" / "hour" / "btcusdt_trade.zip"
    report = await imported(conn, path, "binance", "BTCUSDT", "1h")
    assert (report.first_ms, report.refused) == (_ms("2018-05-01 00:00"), 0)
    own = await everything(conn, "binance", "BTCUSDT", "1h")
    await imported(conn, DATA / "BTCUSDT-1h.csv.gz", "exchange", "BTCUSDT", "1h")
    theirs = {candle.open_time_ms: candle for candle in await everything(conn, "exchange", "BTCUSDT", "1h")}
    assert own
    assert all(theirs[candle.open_time_ms].close == candle.close for candle in own if candle.open_time_ms in theirs)


async def test_lean_quotes_are_bids_in_their_zone(conn: Connection) -> None:
    path = RAW / "lean" / "forex" / "fxcm" / "minute" / "eurusd" / "20140501_quote.zip"
    report = await imported(conn, path, "fxcm", "EURUSD", "1m")
    (first, *_) = await everything(conn, "fxcm", "EURUSD", "1m")
    assert (report.first_ms, str(first.open)) == (_ms("2014-05-01 05:00"), "1.38727")


async def test_lean_days_of_a_stock_are_the_candles_of_the_csv(conn: Connection) -> None:
    await imported(conn, DATA / "AAPL-1d.csv", "nasdaq", "AAPL", "1d")
    report = await imported(conn, RAW / "lean" / "equity" / "usa" / "daily" / "aapl.zip", "nasdaq", "AAPL", "1d")
    assert (report.rows, report.changed, report.same) == (5_849, 0, 5_849)


async def test_bitfinex_answers_order_their_columns_open_close_high_low(conn: Connection) -> None:
    await imported(conn, DATA / "gaps" / "BTCUSD-1m.csv.gz", "bitfinex", "BTCUSD", "1m")
    for hour in ("16", "18"):
        path = RAW / "bitfinex-rest" / f"BTCUSD-1m_16-08-02_{hour}-00-00.json"
        report = await imported(conn, path, "bitfinex", "BTCUSD", "1m")
        assert (report.new, report.changed, report.same) == (0, 0, report.rows)


async def test_an_empty_answer_is_said_to_be_empty(conn: Connection) -> None:
    with pytest.raises(BadInputError, match="holds no good candle; it has no rows"):
        await import_file(conn, RAW / "bitfinex-rest" / "BTCUSD-1m_16-08-05_00-00-00.json", "bitfinex", "BTCUSD", "1m")


async def test_a_tab_separated_file_named_csv_is_read(conn: Connection) -> None:
    path = RAW / "tsv" / "BTC_1364600000000_1365199940000_USD.csv"
    report = await imported(conn, path, "bitfinex", "BTCUSD", "1m")
    assert (report.rows, report.refused) == (1_949, 0)


async def test_times_with_a_zone_are_the_candles_of_the_csv_but_for_the_one_still_forming(conn: Connection) -> None:
    await imported(conn, DATA / "bybit" / "SOLUSDT-1h.csv", "bybit", "SOLUSDT", "1h")
    report = await imported(conn, RAW / "bybit" / "SOLUSDT_60m.csv", "bybit", "SOLUSDT", "1h")
    assert (report.new, report.changed, report.same) == (1, 0, 719)


async def test_of_a_candle_saved_twice_the_later_one_stays(conn: Connection, tmp_path: Path) -> None:
    lines = (RAW / "bybit" / "revised-candles.csv").read_text().splitlines()[1:]
    for line in lines:
        symbol, timeframe, time, *values = line.split(",")
        for version in (values[:5], values[5:]):
            path = tmp_path / "one.csv"
            path.write_text(",".join([time, *version]) + "\n")
            report = await imported(conn, path, "bybit", symbol, timeframe)
        assert report.changed == 1
        (stored,) = await cache.last_before(conn, "bybit", symbol, timeframe, int(time) + 1)
        assert stored.volume == Decimal(values[9])


async def test_answers_of_exchanges_are_read(conn: Connection) -> None:
    answers = RAW / "exchange-json"
    report = await imported(conn, answers / "binance-klines.json", "binance", "BTCUSDT", "1m")
    assert (report.rows, report.refused, report.first_ms) == (report.new, 0, 1_634_943_780_000)
    report = await imported(conn, answers / "coinbase-candles.json", "coinbase", "BTCUSD", "1h")
    assert (report.new, report.unordered, report.first_ms) == (2, 1, 1_712_188_800_000)
    report = await imported(conn, answers / "kraken-ohlc.json", "kraken", "XBTUSDT", "1m")
    assert report.refusals == [(report.rows, "the candle was still open when it was saved")]
    assert report.last_ms == 1_762_820_160_000


@pytest.mark.parametrize(
    ("name", "reason"), [("okx-candles", "was still open"), ("bybit-klines-linear", "is off the 1m grid")]
)
async def test_hand_made_samples_without_a_good_candle_say_why(conn: Connection, name: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        await import_file(conn, RAW / "exchange-json" / f"{name}.json", "sample", "BTCUSDT", "1m")


async def test_an_answer_becomes_the_rows_that_ccxt_makes_of_it(conn: Connection, tmp_path: Path) -> None:
    text = (RAW / "ccxt" / "p2b-fetchOHLCV.json").read_text()
    answer, unified = text.split('"parsedResponse"')
    for symbol, part in (("ANSWER", answer.partition('"httpResponse":')[2]), ("UNIFIED", "{" + unified.lstrip(": "))):
        path = tmp_path / f"{symbol}.json"
        path.write_text(part.strip().rstrip(",\n }") + "}")
        await imported(conn, path, "p2b", symbol, "1h")
    (first,), (second,) = [await everything(conn, "p2b", symbol, "1h") for symbol in ("ANSWER", "UNIFIED")]
    assert first[1:] == second[1:]


async def test_bars_of_nautilus_are_read(conn: Connection) -> None:
    report = await imported(conn, RAW / "nautilus" / "bars.parquet", "nautilus", "ADABTC", "1m")
    assert (report.new, report.refused, report.missing) == (10, 0, 0)
    result = await everything(conn, "nautilus", "ADABTC", "1m")
    assert all(before.close_time_ms == after.open_time_ms for before, after in pairwise(result))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "timeframe"), [("AAPL-1d.csv", "1d"), ("GOOG-1d.csv", "1d"), ("SPY-1d.csv", "1d"), ("SPY-1m.csv", "1m")]
)
async def test_with_a_calendar_closed_hours_are_no_gaps(conn: Connection, name: str, timeframe: str) -> None:
    pytest.importorskip("exchange_calendars")
    symbol = name.split("-")[0]
    report = await imported(conn, DATA / name, "xnys", symbol, timeframe)
    assert report.missing > 200
    gaps, missing = await find_gaps(
        conn, "xnys", [symbol], timeframe, report.first_ms, report.last_ms, calendar=Calendar("XNYS")
    )
    assert (gaps, missing) == ([], 0)
