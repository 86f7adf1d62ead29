"""Small files in forms that users have, if the shared folder exists; its table has the expected results."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest

from app.candles.cache.calendar import Calendar
from app.candles.cache.load import find_gaps
from app.candles.imports.importer import import_file
from app.candles.rows.read_options import read_options
from app.candles.rows.report import Report
from app.db import candles as cache
from app.domain.market.candle import Candle
from app.errors import BadInputError
from tests.support.postgres import Database
from tests.support.running_engine import running_engine

CASES = Path(__file__).parents[4] / "shared" / "cases"
LINE = re.compile(r"\| (\S+/\S+) \| (\S+) \| (.*) \|")

pytestmark = [
    pytest.mark.skipif(not CASES.is_dir(), reason="the files to read are not beside the project"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
Connection = psycopg.AsyncConnection


NOTHING_SAID: Mapping[str, str] = MappingProxyType({})


class Stored(NamedTuple):
    """What an import must leave: how many candles, the first (open time, open, high, low, close, volume), refusals."""

    count: int
    first: str
    options: Mapping[str, str] = NOTHING_SAID
    refused: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    symbol: str = "BTCUSDT"
    keep_going: bool = False
    last: str | None = None
    missing: int | None = None
    duplicates: int = 0


class Rejected(NamedTuple):
    """An import that stores nothing, and the words that say why."""

    why: str
    options: Mapping[str, str] = NOTHING_SAID


NAIVE = ("times without a zone were read as UTC",)
EXPECTED: dict[str, list[Stored | Rejected]] = {
    "01-mt5-tickvol/EURUSD_M15.csv": [
        Stored(4, "2024-03-04 10:00 1.085 1.086 1.084 1.0855 500", notes=("column <TICKVOL>, as <VOL> is 0", *NAIVE))
    ],
    "02-mt4-noheader/EURUSD15.csv": [Stored(4, "2024-03-04 10:00 1.08501 1.086 1.084 1.0855 500", notes=NAIVE)],
    "03-histdata/DAT_ASCII_EURUSD_M1_202403.csv": [
        Stored(5, "2024-03-04 10:00 1.08501 1.086 1.084 1.0855 0", notes=NAIVE),
        Stored(5, "2024-03-04 15:00 1.08501 1.086 1.084 1.0855 0", {"time_zone": "EST"}, notes=("as those of EST",)),
    ],
    "04-yfinance-multiindex/MSFT.csv": [Stored(3, "2024-03-04 00:00 100 103.25 99.75 101.5 1200")],
    "06-cdd-mixed-units/cdd.csv": [Stored(4, "2024-01-01 00:00 42000 42010 41990 42001 4.5", missing=0)],
    "07-coinbase-noheader/coinbase.csv": [
        Stored(4, "2024-01-01 00:00 42000 42010 41990 42001 4.5", notes=("time, low, high, open, close, volume",))
    ],
    "08-decimal-comma/eu.csv": [Stored(2, "2024-03-04 00:00 100.5 103.25 99.75 101.5 1200", notes=("comma",))],
    "10-dukascopy-gmt-time/EURUSD_Candlestick_1_h_BID.csv": [
        Stored(
            3, "2024-03-01 00:00 1.0805 1.0812 1.0801 1.0809 1234.56", notes=("13.03.2024",), last="2024-03-13 00:00"
        )
    ],
    "12-utf16le/bars.csv": [Stored(2, "2024-03-04 00:00 100 103 99 101 12", notes=("UTF-16",))],
    "14-nasdaq/HistoricalData.csv": [
        Stored(3, "2024-03-04 00:00 100 103.25 99.75 101.5 1200", notes=("month first",), last="2024-03-06 00:00")
    ],
    "15-investing/BTC_USD.csv": [
        Stored(2, "2024-03-05 00:00 68270.1 68997 59224.7 63794.2 235430", last="2024-03-06 00:00")
    ],
    "16-stooq-txt/aapl.us.txt": [Stored(2, "2024-03-04 00:00 100 103.25 99.75 101.5 1200.5")],
    "17-databento/ohlcv.csv": [Stored(2, "2024-01-01 00:00 4800.25 4801 4800 4800.5 15", notes=("1e-9",))],
    "18-databento-pretty/ohlcv.csv": [Stored(2, "2024-01-01 00:00 4800.25 4801 4800 4800.5 15")],
    "20-polygon-multi/day.csv": [
        Rejected("it holds ACME and ZETA; choose one with --only, as in --only ACME"),
        Rejected("only: 'NONE' is not in the file; it holds ACME and ZETA", {"only": "NONE"}),
        Stored(2, "2024-01-02 14:30 100 102 99 101 1500", {"only": "ACME"}, missing=0),
        Stored(2, "2024-01-02 14:30 7 8 6 7.5 10", {"only": "zeta"}, missing=0),
    ],
    "21-alpaca/alpaca.csv": [Stored(2, "2024-01-02 14:30 100 102 99 101 1500")],
    "22-tradingview/NASDAQ_ACME_60.csv": [Stored(4, "2024-03-08 19:30 100 102 99 101 10", last="2024-03-11 14:30")],
    "24-go-time/go.csv": [Stored(2, "2024-01-01 00:00 1 2 0.5 1.5 10")],
    "26-scientific/sci.csv": [
        Stored(3, "2024-01-01 00:00 0.00000093 0.000001 0.00000091 0.00000099 1234500000", last="2024-01-01 00:02")
    ],
    "27-compact-14/c14.csv": [Stored(2, "2024-03-04 10:00 1 2 0.5 1.5 10")],
    "29-dups/dup.csv": [Stored(3, "2024-01-01 00:00 1 2 0.5 1.5 10", duplicates=1)],
    "30-empty/e.csv": [Rejected("it is empty")],
    "31-header-only/h.csv": [Rejected("it has no rows")],
    "33-all-nan-row/nan2.csv": [Stored(2, "2024-01-01 00:00 1 2 0.5 1.5 3", refused=(3,), missing=1)],
    "34-negative/cl.csv": [
        Rejected("2 of 3 rows were refused"),
        Stored(1, "2020-04-17 00:00 19.5 20.1 17.3 18.3 100", refused=(3, 4), keep_going=True),
    ],
    "35-binance-offgrid/BTCUSDT-1h-2018-02.csv": [
        Stored(2, "2018-02-07 23:00 100 102 99 101 10", refused=(2, 3), last="2018-02-11 04:00")
    ],
    "37-weekly-sunday/wsun.csv": [
        Stored(3, "2024-03-03 00:00 1 2.5 0.5 2 10", notes=("weeks open on Sunday",), missing=0)
    ],
    "38-finam/finam.txt": [Stored(2, "2024-03-04 10:00 290 291 289 290.5 100")],
    "40-moex/moex.csv": [Stored(2, "2024-03-04 10:00 290 291 289 290.5 100", notes=NAIVE)],
    "41-cr-only/mac.csv": [Stored(2, "2024-03-04 00:00 100 103 99 101 12")],
    "42-crcrlf/win.csv": [Stored(2, "2024-03-04 00:00 100 103 99 101 12")],
    "43-quoted-newline/mid.csv": [
        Stored(2, "2024-03-04 00:00 100 103 99 101 12", refused=(3,), last="2024-03-06 00:00")
    ],
    "46-london-daily-winter-first/ACME.L.csv": [
        Stored(10, "2024-03-25 00:00 100 102 99 101 10", missing=2, last="2024-04-05 00:00")
    ],
    "48-london-daily-24x7/X.csv": [Stored(7, "2024-03-28 00:00 100 102 99 101 10", missing=0)],
    "49-newyork-daily/Y.csv": [Stored(10, "2024-03-25 00:00 100 102 99 101 10", missing=2, last="2024-04-05 00:00")],
    "51-htx-json/htx.json": [Stored(2, "2024-01-01 00:00 100 102 99 101 10", missing=0)],
    "53-kucoin-json/kucoin.json": [Stored(2, "2024-01-01 00:00 100 102 99 101 10", missing=0)],
    "54-bitmex-json/bitmex.json": [
        Stored(1, "2024-01-01 00:00 100 102 99 101 10", notes=("as the close",)),
        Stored(1, "2024-01-01 00:00 100 102 99 101 10", {"stamp": "close"}),
        Stored(1, "2024-01-01 00:01 100 102 99 101 10", {"stamp": "open"}),
    ],
    "55-polygon-json/agg.json": [Stored(2, "2024-01-02 14:30 100 102 99 101 10")],
    "56-yahoo-chart-json/yahoo.json": [Stored(5, "2024-01-02 14:30 100 102 99 101 1", missing=0)],
    "59-bitstamp-json/bs.json": [Stored(2, "2024-01-01 00:00 100 102 99 101 10")],
    "61-kraken-ohlcvt/XBTUSD_1.csv": [Stored(2, "2024-01-01 00:00 100 102 99 101 10.5")],
    "62-kraken-vwap/k.csv": [Stored(2, "2024-01-01 00:00 100 102 99 101 10.5", notes=("vwap",))],
    "63-bitfinex-csv/bfx.csv": [
        Stored(3, "2024-01-01 00:00 100 102 99 101 10.5", notes=("time, open, close, high, low, volume",)),
        Stored(3, "2024-01-01 00:00 100 102 99 101 10.5", {"columns": "time,open,close,high,low,volume"}),
    ],
    "65-ib-csv/ib.csv": [Stored(3, "2024-03-04 10:00 100 102 99 101 10", last="2024-03-04 15:02")],
    "66-epoch-neg/spx.csv": [Stored(3, "1969-12-30 00:00 91 92 90 91.5 1000", missing=1)],
    "67-leap/leap.csv": [Stored(3, "2024-02-28 00:00 1 2 0.5 1.5 10", refused=(5,), missing=0)],
    "69-24h/t24.csv": [
        Stored(3, "2024-03-05 00:00 1.5 2 0.5 1.6 10", refused=(3,), duplicates=1, last="2024-03-05 00:02")
    ],
    "71-underscore/u.csv": [Rejected("line 2: open: '1_000' is not a number")],
    "72-adj/adj.csv": [Stored(1, "2024-03-04 00:00 100 102 99 101 10")],
    "73-adj-first/adj2.csv": [Stored(1, "2024-03-04 00:00 100 102 99 101 10")],
    "74-bidask/fxcm.csv": [
        Rejected("choose with --dates dmy or --dates mdy"),
        Stored(1, "2024-01-02 22:00 1.1 1.2 1 1.15 55", {"dates": "mdy"}, notes=("those of the bid",)),
        Stored(1, "2024-02-01 22:00 1.1 1.2 1 1.15 55", {"dates": "dmy"}),
    ],
    "75-binance-header-us/BTCUSDT-1m-2025.csv": [Stored(2, "2025-01-01 00:00 93576 93610.93 93537.5 93610.93 8.21827")],
    "76-concat-headers/cat.csv": [Stored(3, "2024-12-31 23:59 1 2 0.5 1.5 10", refused=(3,), missing=0)],
    "78-index-noheader/idx2.csv": [Stored(2, "2024-01-01 00:00 100 102 99 101 10")],
    "80-ohlc-order-vol/v.csv": [Stored(1, "2024-01-01 00:00 100 102 99 101 10", notes=("Volume BTC",))],
    "81-dax-calendar/ASX.csv": [Stored(10, "2024-04-08 00:00 100 102 99 101 10", last="2024-04-19 00:00")],
    "81-dax-calendar/DAX.csv": [Stored(10, "2024-04-08 00:00 100 102 99 101 10", last="2024-04-19 00:00")],
    "81-dax-calendar/N225.csv": [Stored(10, "2024-04-08 00:00 100 102 99 101 10", last="2024-04-19 00:00")],
    "81-dax-calendar/SPX.csv": [Stored(10, "2024-04-08 00:00 100 102 99 101 10", last="2024-04-19 00:00")],
    "82-binance-3d/BTCUSDT-3d-2017-08.csv": [
        Stored(3, "2017-08-17 00:00 4261.48 4485.39 3850 4139.98 2000", notes=("candles open",), missing=0)
    ],
    "83-import-in-parts/winter.csv": [Stored(4, "2024-03-28 00:00 100 102 99 101 10")],
    "83-import-in-parts/summer.csv": [Stored(3, "2024-04-01 00:00 104 106 103 105 14")],
    "84-zip-macosx/BTCUSDT-1m.zip": [Stored(2, "2024-01-01 00:00 100 102 99 101 10")],
    "86-zip-readme/data.zip": [Stored(2, "2024-01-01 00:00 100 102 99 101 10")],
    "87-xlsx/book.xlsx": [Rejected("workbook of a spreadsheet; save it as CSV")],
    "88-dst-naive/berlin_1h.csv": [
        Stored(5, "2024-10-26 23:00 100 102 99 101 10", {"time_zone": "Europe/Berlin"}, missing=0),
        Stored(4, "2024-10-27 01:00 100 102 99 101 10", notes=("--time-zone, as in Europe/Berlin",), duplicates=1),
    ],
    "89-zip-multi-symbol/dump.zip": [Stored(2, "2024-01-01 00:00 100 102 99 101 10")],
    "90-binary/x.csv": [Rejected("it is a picture (PNG)")],
    "93-source-utf16/X-1d.csv": [Stored(2, "2024-03-04 00:00 100 103 99 101 12")],
    "94-folder/X-1d-2024-01.csv": [Stored(1, "2024-03-05 00:00 101 104 100 102 13")],
    "94-folder/X-1d-2024-02.csv": [Stored(2, "2024-03-04 00:00 100 103 99 101 12")],
    "96-tiny-exponent/v20000.csv": [Rejected("line 2: volume: 1e-20000 has more than 100 decimals")],
    "97-json-null-time/x.json": [Stored(2, "2024-01-01 00:00 100 102 99 101 10", refused=(1,), missing=0)],
    "97-json-null-time/obj.json": [Stored(1, "2024-01-01 00:00 1 2 0.5 1 3", refused=(1,))],
    "98-json-time-exponent/x.json": [Rejected("no column is a time")],
}


def rows_of_table() -> list[tuple[str, str]]:
    readme = CASES / "README.md"
    return [(name, frame) for name, frame, _ in LINE.findall(readme.read_text() if readme.is_file() else "")]


def cases() -> list[Any]:
    return [
        pytest.param(name, frame, expected, id=f"{name}{number or ''}")
        for name, frame in rows_of_table()
        for number, expected in enumerate(EXPECTED.get(name, []))
    ]


def first_columns(candle: Candle) -> str:
    time = datetime.fromtimestamp(candle.open_time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{time} {' '.join(format(value.normalize(), 'f') for value in candle[4:9])}"


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


async def stored(conn: Connection, symbol: str, timeframe: str) -> list[Candle]:
    return [candle async for candle in cache.read(conn, "cases", symbol, timeframe, -(2**50), 2**60)]


async def brought_in(conn: Connection, path: Path, timeframe: str, case: Stored) -> Report:
    options = read_options(**case.options)
    return await import_file(conn, path, "cases", case.symbol, timeframe, options=options, keep_going=case.keep_going)


def test_every_row_of_the_table_is_looked_at() -> None:
    assert {name for name, _ in rows_of_table()} == set(EXPECTED)


@pytest.mark.parametrize(("name", "timeframe", "expected"), cases())
async def test_a_file_is_read_as_the_table_says(
    conn: Connection, name: str, timeframe: str, expected: Stored | Rejected
) -> None:
    if isinstance(expected, Rejected):
        await refuse(conn, CASES / name, timeframe, expected)
        return
    report = await brought_in(conn, CASES / name, timeframe, expected)
    results = await stored(conn, expected.symbol, timeframe)
    assert (report.rejected, report.broke) == (None, None)
    assert (len(results), report.new) == (expected.count, expected.count)
    assert first_columns(results[0]) == expected.first
    assert expected.last is None or first_columns(results[-1]).startswith(expected.last)
    assert tuple(line for line, _ in report.refusals) == expected.refused
    assert report.duplicates == expected.duplicates
    assert expected.missing is None or report.missing == expected.missing
    text_of_notes = "; ".join(text for _, text in report.notes)
    for note in expected.notes:
        assert note in text_of_notes
    again = await brought_in(conn, CASES / name, timeframe, expected)
    assert (again.new, again.changed) == (0, 0)


async def refuse(conn: Connection, path: Path, timeframe: str, expected: Rejected) -> None:
    try:
        report = await import_file(conn, path, "cases", "BTCUSDT", timeframe, options=read_options(**expected.options))
    except BadInputError as error:
        why: str | None = error.message
    else:
        why = report.rejected
        assert (report.new, report.changed, report.same) == (0, 0, 0)
    assert why is not None
    assert expected.why in why
    assert await cache.coverage(conn) == []


async def test_a_folder_with_an_odd_file_stores_the_others(conn: Connection) -> None:
    report = await import_file(conn, CASES / "94-folder", "cases", "X", "1d")
    assert (report.new, report.refused) == (2, 0)


async def test_winter_and_summer_are_one_series_whichever_comes_first(conn: Connection) -> None:
    for symbol, parts in (("WS", ("winter", "summer")), ("SW", ("summer", "winter"))):
        for part in parts:
            report = await import_file(conn, CASES / "83-import-in-parts" / f"{part}.csv", "cases", symbol, "1d")
            assert report.missing == 0
        results = await stored(conn, symbol, "1d")
        assert [candle.open - 100 for candle in results] == [Decimal(n) for n in range(7)]
        assert (await find_gaps(conn, "cases", [symbol], "1d", results[0].open_time_ms, results[-1].close_time_ms))[
            1
        ] == 0


CALENDARS = {"ASX": "XASX", "DAX": "XETR", "N225": "XTKS", "SPX": "XNYS"}


@pytest.mark.parametrize("symbol", CALENDARS)
async def test_no_day_is_missing_with_the_calendar_of_the_place(conn: Connection, symbol: str) -> None:
    pytest.importorskip("exchange_calendars")
    path = CASES / "81-dax-calendar" / f"{symbol}.csv"
    report = await import_file(conn, path, "cases", symbol, "1d", calendar=Calendar(CALENDARS[symbol]))
    assert (report.new, report.missing) == (10, 0)


@pytest.mark.parametrize("symbol", CALENDARS)
async def test_a_session_that_may_not_miss_a_day_runs_with_the_calendar(database: Database, symbol: str) -> None:
    pytest.importorskip("exchange_calendars")
    async with running_engine(database, calendars=f"cases={CALENDARS[symbol]}") as engine:
        path = CASES / "81-dax-calendar" / f"{symbol}.csv"
        report = await engine.pool.run(import_file, path, "cases", symbol, "1d")
        end_ms = report.last_ms + 86_400_000
        started = await engine.start(
            venue="cases", symbols=(symbol,), timeframe="1d", start_ms=report.first_ms, end_ms=end_ms
        )
        session = await engine.finished(started.id)
        assert (session.status, session.error) == ("finished", None)
        assert [event["type"] for event in await engine.log(session.id)].count("candle") == 10
