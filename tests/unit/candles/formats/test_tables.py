"""Text tables of terminals, exchanges, vendors and spreadsheets, invented numbers: all have the same two candles."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from app.candles.imports.importer import FileReader
from app.candles.rows.quality import RowValidator
from app.candles.rows.read_options import read_options
from app.candles.rows.request import ReadRequest
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

MS = 1_704_153_600_000
"""2024-01-02"""
DAY = 86_400_000
ONE, TWO = ("10", "12", "9", "11", "5"), ("11", "14", "10.5", "13.25", "1234.5")
BOTH = [(MS, tuple(map(Decimal, ONE))), (MS + DAY, tuple(map(Decimal, TWO)))]


class Result:
    """The candles of a file, what was refused, and what was said about it."""

    def __init__(self, path: Path, timeframe: str = "1d", symbol: str = "BTCUSDT", **options: str) -> None:
        request = ReadRequest(symbol, TIMEFRAMES[timeframe], read_options(**options))
        self.check = RowValidator(symbol, TIMEFRAMES[timeframe], request.now_ms)
        self.candles = sorted(
            (open_ms, tuple(map(Decimal, numbers)))
            for piece in FileReader([path], self.check, request).columns()
            if piece.times
            for open_ms, *numbers in zip(piece.times, *piece.numbers, strict=True)
        )
        self.notes = "; ".join(text for _, text in request.notes)


def read(tmp_path: Path, text: str | bytes, timeframe: str = "1d", symbol: str = "BTCUSDT", **options: str) -> Result:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Result(path, timeframe, symbol, **options)


TABLES: dict[str, tuple[str, ...]] = {
    "plain": (
        "time,open,high,low,close,volume",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "german": (
        "Datum;Eröffnung;Hoch;Tief;Schlusskurs;Volumen",
        "02.01.2024;10,00;12,00;9,00;11,00;5",
        "03.01.2024;11,00;14,00;10,50;13,25;1.234,5",
    ),
    "french": (
        "Date;Ouverture;+ Haut;+ Bas;Clôture;Volume",
        "02/01/2024;10,0;12,0;9,0;11,0;5",
        "03/01/2024;11;14;10,5;13,25;1 234,5",
    ),
    "spanish": (
        "Fecha,Apertura,Máximo,Mínimo,Último,Vol.",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "italian": (
        'Data,Ultimo,Apertura,Massimo,Minimo,"Vol."',
        "2024-01-02,11,10,12,9,5",
        '2024-01-03,13.25,11,14,10.5,"1,234.5"',
    ),
    "portuguese": (
        "Data;Último;Abertura;Máxima;Mínima;Vol.",
        "02.01.2024;11,0;10,0;12,0;9,0;5",
        "03.01.2024;13,25;11,0;14,0;10,5;1,2345K",
    ),
    "polish": (
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "russian": (
        "Дата;Открытие;Макс.;Мин.;Закрытие;Объём",
        "2024-01-02;10;12;9;11;5",
        "2024-01-03;11;14;10.5;13.25;1234.5",
    ),
    "chinese": (
        "日期,开盘,最高,最低,收盘,成交量",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "japanese": (
        "日付,始値,高値,安値,終値,出来高",
        "2024/01/02,10,12,9,11,5",
        "2024/01/03,11,14,10.5,13.25,1234.5",
    ),
    "korean": (
        "일자,시가,고가,저가,종가,거래량",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "quantmod": (
        '"","BTC.Open","BTC.High","BTC.Low","BTC.Close","BTC.Volume","BTC.Adjusted"',
        '"2024-01-02",10,12,9,11,5,5.5',
        '"2024-01-03",11,14,10.5,13.25,1234.5,6.6',
    ),
    "r-without-name-of-the-index": (
        '"date","open","high","low","close","volume"',
        '"1","2024-01-02",10,12,9,11,5',
        '"2","2024-01-03",11,14,10.5,13.25,1234.5',
    ),
    "pandas-index": (
        ",Open,High,Low,Close,Volume",
        "2024-01-02 00:00:00+00:00,10,12,9,11,5",
        "2024-01-03 00:00:00+00:00,11,14,10.5,13.25,1234.5",
    ),
    "in-units": (
        "Time (UTC),Open (USD),High (USD),Low (USD),Close (USD),Volume (BTC)",
        "2024-01-02,10,12,9,11,5",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "coinmarketcap": (
        "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp",
        "2024-01-03T00:00:00.000Z;2024-01-03T23:59:59.999Z;2024-01-03T01:00:00.000Z;2024-01-03T02:00:00.000Z;2781;11;14;10.5;13.25;1234.5;1;2024-01-03T23:59:59.999Z",
        "2024-01-02T00:00:00.000Z;2024-01-02T23:59:59.999Z;2024-01-02T01:00:00.000Z;2024-01-02T02:00:00.000Z;2781;10;12;9;11;5;1;2024-01-02T23:59:59.999Z",
    ),
    "close-time-only": (
        "close_time,open,high,low,close,volume",
        "1704239999999,10,12,9,11,5",
        "1704326399999,11,14,10.5,13.25,1234.5",
    ),
    "amibroker": (
        "Ticker,Date/Time,Open,High,Low,Close,Volume",
        "BTC,1/2/2024,10,12,9,11,5",
        "BTC,1/3/2024,11,14,10.5,13.25,1234.5",
    ),
    "metastock": (
        "<TICKER>,<PER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
        "BTC,D,20240102,000000,10,12,9,11,5,0",
        "BTC,D,20240103,000000,11,14,10.5,13.25,1234.5,0",
    ),
    "bars-and-spaces": (
        "date       | open | high | low  | close | volume",
        "2024-01-02 | 10   | 12   | 9    | 11    | 5",
        "2024-01-03 | 11   | 14   | 10.5 | 13.25 | 1234.5",
    ),
    "spaces": (
        "date open high low close volume",
        "2024-01-02 10 12 9 11 5",
        "2024-01-03   11 14  10.5 13.25 1234.5",
    ),
    "trailing-delimiter": (
        "date;open;high;low;close;volume;",
        "2024-01-02;10;12;9;11;5;",
        "2024-01-03;11;14;10.5;13.25;1234.5;",
    ),
    "trailing-delimiter-in-the-header-only": (
        "date;open;high;low;close;volume;",
        "2024-01-02;10;12;9;11;5",
        "2024-01-03;11;14;10.5;13.25;1234.5",
    ),
    "trailing-delimiter-in-the-rows-only": (
        "date;open;high;low;close;volume",
        "2024-01-02;10;12;9;11;5;",
        "2024-01-03;11;14;10.5;13.25;1234.5;",
    ),
    "times-in-us-and-ns": (
        "ts,open,high,low,close,volume",
        "1704153600000000,10,12,9,11,5",
        "1704240000000000000,11,14,10.5,13.25,1234.5",
    ),
    "excel-sep": (
        "sep=;",
        "date;open;high;low;close;volume",
        "2024-01-02;10;12;9;11;5",
        "2024-01-03;11;14;10.5;13.25;1234.5",
    ),
    "comments": (
        "# made by hand",
        "# second line, with, many, commas, in, it",
        "date,open,high,low,close,volume",
        "2024-01-02,10,12,9,11,5",
        "",
        "2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "no-header-symbol-first": (
        "BTCUSDT,2024-01-02,10,12,9,11,5",
        "BTCUSDT,2024-01-03,11,14,10.5,13.25,1234.5",
    ),
    "no-header-date-and-time": (
        "2024.01.02,00:00,10,12,9,11,5",
        "2024.01.03,00:00,11,14,10.5,13.25,1234.5",
    ),
    "no-header-newest-first": (
        "2024-01-03,11,14,10.5,13.25,1234.5",
        "2024-01-02,10,12,9,11,5",
    ),
    "excel-quotes": (
        '"2024-01-02","10","12","9","11","5"',
        '"2024-01-03","11","14","10.5","13.25","1,234.5"',
    ),
}


def table(name: str) -> str:
    return "".join(f"{line}\n" for line in TABLES[name])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_whatever_its_form(tmp_path: Path, name: str) -> None:
    result = read(tmp_path, table(name))
    assert result.check.refusals == []
    assert result.candles == BOTH


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_encodings_and_line_ends_are_told_by_their_bytes(tmp_path: Path, encoding: str, end: str) -> None:
    assert read(tmp_path, table("german").replace("\n", end).encode(encoding)).candles == BOTH


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("german", "cp1252"),
        ("chinese", "gb18030"),
        ("russian", "cp1251"),
        ("japanese", "shift_jis"),
        ("korean", "cp949"),
    ],
)
def test_an_older_encoding_is_found_by_the_words_of_the_header(tmp_path: Path, name: str, encoding: str) -> None:
    result = read(tmp_path, table(name).encode(encoding))
    assert result.candles == BOTH
    assert "text was read as" in result.notes


def _zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.csv", data)
    return buffer.getvalue()


def _zstd(data: bytes) -> bytes:
    pa = pytest.importorskip("pyarrow")
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zip": _zip,
    "gz-in-zip": lambda data: _zip(gzip.compress(data)),
    "twice": lambda data: gzip.compress(bz2.compress(data)),
    "zst": _zstd,
}


@pytest.mark.parametrize("name", PACKERS)
def test_packed_files_are_unpacked_whatever_their_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, PACKERS[name](table("plain").encode())).candles == BOTH


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a picture"),
        (b"%PDF-1.7\n" + bytes(100), "a PDF document"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7z archive; unpack it first"),
        (b"Rar!\x1a\x07" + bytes(100), "RAR archive; unpack it first"),
        (bytes(257) + b"ustar" + bytes(300), "tar archive; unpack it first"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "workbook of old Excel; save it as CSV"),
        (b"SQLite format 3\0" + bytes(100), "an SQLite database"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"\x80\x04\x95" + bytes(100), "a Python pickle"),
        (bytes(range(256)) * 4, "not a text"),
        (b"<!DOCTYPE html><html><body>403</body></html>", "a web page"),
        (b'<?xml version="1.0"?><bars/>', "a web page or XML"),
        (b"", "it is empty"),
        (_zip(_zip(b"x")), "an archive inside of an archive"),
    ],
)
def test_what_holds_no_candles_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(BadInputError, match=what):
        read(tmp_path, data)


def test_a_comma_that_may_part_thousands_or_decimals_is_asked_for(tmp_path: Path) -> None:
    text = "date;open;high;low;close\n2024-01-02;1,010;1,012;1,009;1,011\n2024-01-03;1,011;1,014;1,010;1,013\n"
    result = read(tmp_path, text)
    assert result.candles == []
    assert "--decimal . or ," in result.check.refusals[0].reason
    assert read(tmp_path, text, decimal="comma").candles[0][1][0] == Decimal("1.010")
    assert read(tmp_path, text, decimal="point").candles[0][1][0] == Decimal("1010")


def test_the_day_is_found_by_a_proof_anywhere_in_the_file(tmp_path: Path) -> None:
    """The first date that proves it stands behind the first block that is looked at."""
    hours = [f"{1 + n // 24:02}.02.2024 {n % 24:02}:00,10,12,9,11,5" for n in range(24 * 20)]
    late = "\n".join(["time,open,high,low,close,volume", *[hours[0]] * 12_000, *hours])
    result = read(tmp_path, late, "1h")
    assert (result.candles[0][0], len(result.candles)) == (1_706_745_600_000, 12_000 + 24 * 20)
    assert "13.02.2024 proves" in result.notes


def test_the_day_is_found_by_the_steps_where_no_number_proves_it(tmp_path: Path) -> None:
    rows = [f"01/0{day}/2024,10,12,9,11,5" for day in (2, 3, 4, 5)]
    text = "\n".join(["date,open,high,low,close,volume", *rows])
    result = read(tmp_path, text)
    assert result.candles[0][0] == MS
    assert "month first" in result.notes


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_a_day_that_nothing_proves_is_asked_for(tmp_path: Path, timeframe: str) -> None:
    hours = [0, 1, 2] if timeframe == "1h" else [0]
    rows = [f"03/04/2024 {hour:02}:00,10,12,9,11,5" for hour in hours]
    text = "\n".join(["time,open,high,low,close,volume", *rows])
    with pytest.raises(BadInputError, match=r"^dates: .* --dates dmy or --dates mdy"):
        read(tmp_path, text, timeframe)
    assert read(tmp_path, text, timeframe, dates="dmy").candles[0][0] == 1_712_102_400_000


ORDERS = {
    "time,open,high,low,close,volume": "{t},{o},{h},{l},{c},{v}",
    "time,open,close,high,low,volume": "{t},{o},{c},{h},{l},{v}",
    "time,low,high,open,close,volume": "{t},{l},{h},{o},{c},{v}",
    "time,high,low,open,close,volume": "{t},{h},{l},{o},{c},{v}",
    "-,time,open,high,low,close,volume": "7,{t},{o},{h},{l},{c},{v}",
}


@pytest.mark.parametrize("columns", ORDERS)
def test_columns_without_a_header_are_found_where_one_order_makes_every_row_a_candle(
    tmp_path: Path, columns: str
) -> None:
    rows = [(MS + n * DAY, 10 + n, 13 + n, 9 + n, 11 + n, 500 + n) for n in range(6)]
    text = "\n".join(ORDERS[columns].format(**dict(zip("tohlcv", row, strict=True))) for row in rows)
    expected = [(t, tuple(map(Decimal, values))) for t, *values in rows]
    assert read(tmp_path, text).candles == expected
    assert read(tmp_path, text, columns=columns).candles == expected


@pytest.mark.parametrize(
    "rows",
    [
        [
            "{t},11,14,8,10,500",
            "{t},12,15,9,11,500",
            "{t},13,16,10,12,500",
            "{t},14,17,11,13,500",
            "{t},15,18,12,14,500",
        ],
        ["{t},1,4,4,1,500", "{t},1,4,4,1,500"],
        ["{t},5,1,2,3,500", "{t},1,7,2,3,500"],
        ["5.5,1,4,0.5,3,7", "5.6,1,4,0.5,3,7"],
    ],
    ids=["close first", "two orders", "no order", "no time"],
)
def test_columns_that_cannot_be_told_are_asked_for(tmp_path: Path, rows: list[str]) -> None:
    text = "\n".join(row.format(t=MS + n * DAY) for n, row in enumerate(rows))
    with pytest.raises(BadInputError, match=r"^columns: .* --columns time,open"):
        read(tmp_path, text)


def test_prices_that_never_moved_need_no_order(tmp_path: Path) -> None:
    assert read(tmp_path, f"{MS},7,7,7,7,5\n{MS + DAY},7,7,7,7,5\n").candles[1][1] == (*[Decimal(7)] * 4, Decimal(5))


@pytest.mark.parametrize(
    ("header", "symbol", "volume"),
    [
        ("Volume USDT,Volume BTC", "BTCUSDT", 2),
        ("Volume BTC,Volume USDT", "BTCUSDT", 1),
        ("Volume_(BTC),Volume_(Currency)", "BTCUSD", 1),
        ("quote_volume,volume", "BTCUSDT", 2),
        ("volumeto,volumefrom", "BTCUSD", 2),
        ("Taker buy volume,Volume", "BTCUSDT", 2),
        ("turnover,vol", "BTCUSDT", 2),
        ("Trades,Volume", "BTCUSDT", 2),
    ],
)
def test_the_volume_is_that_of_the_base_currency(tmp_path: Path, header: str, symbol: str, volume: int) -> None:
    text = f"date,open,high,low,close,{header}\n2024-01-02,10,12,9,11,1,2\n"
    assert read(tmp_path, text, symbol=symbol).candles[0][1][4] == volume


def test_rows_of_several_instruments_are_not_mixed_wherever_the_second_begins(tmp_path: Path) -> None:
    rows = [f"ACME,{MS + n * 60_000},10,12,9,11,5" for n in range(10_000)]
    text = "\n".join(["ticker,time,open,high,low,close,volume", *rows, f"ZETA,{MS},7,7,7,7,7"])
    with pytest.raises(BadInputError, match="it holds ACME and ZETA; choose one with --only"):
        read(tmp_path, text, "1m")
    assert len(read(tmp_path, text, "1m", only="ACME").candles) == 10_000
    assert read(tmp_path, text, "1m", only="zeta").candles == [(MS, (*[Decimal(7)] * 5,))]


def test_tickers_side_by_side_are_several_instruments(tmp_path: Path) -> None:
    text = "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
    text += f"Ticker{',ACME,ZETA' * 5}\n"
    text += "Date,,,,,,,,,,\n2024-01-02,11,7,12,7,9,7,10,7,5,7\n2024-01-03,13.25,7,14,7,10.5,7,11,7,1234.5,7\n"
    with pytest.raises(BadInputError, match="it holds ACME and ZETA"):
        read(tmp_path, text)
    assert read(tmp_path, text, only="ACME").candles == BOTH


def test_what_was_assumed_is_said_once_each(tmp_path: Path) -> None:
    notes = read(tmp_path, "time,open,high,low,close\n2024-01-02 10:00,10,12,9,11\n", "1h").notes
    for words in ("read as UTC; --time-zone", "read as the open of its candle; --stamp close", "no column of volumes"):
        assert notes.count(words) == 1


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        *(("Time (EET)", 22), ("Time (America/New_York)", 5), ("Gmt time", 0), ("Date (UTC)", 0), ("date_msk", 21)),
        *(("Time (UTC+2)", 22), ("Time (EST)", 5), ("Local time", 0), ("Datetime", 0), ("Time [+05:30]", 18)),
    ],
)
def test_a_zone_in_the_name_of_a_column_counts(tmp_path: Path, name: str, hour: int) -> None:
    text = f"{name},Open,High,Low,Close\n2024-01-02 00:00,10,12,9,11\n2024-01-02 00:30,10,12,9,11\n"
    result = read(tmp_path, text, "30m")
    assert result.candles[0][0] // 3_600_000 % 24 == hour
    error = read(tmp_path, text, "30m", time_zone="EST")
    assert error.candles[0][0] // 3_600_000 % 24 == 5


def test_ms_around_1970_are_told_from_seconds_by_their_steps(tmp_path: Path) -> None:
    opens = [number * DAY for number in range(-3, 900)]
    for unit in (1, 1_000):
        text = "\n".join(["time,open,high,low,close", *(f"{open_ms // unit},10,12,9,11" for open_ms in opens)])
        assert [open_ms for open_ms, _ in read(tmp_path, text).candles] == opens


def test_a_mark_in_the_middle_of_joined_files_is_passed_over(tmp_path: Path) -> None:
    text = f"time,open,high,low,close,volume\n{MS},10,12,9,11,5\n\ufeff{MS + DAY},11,14,10.5,13.25,1234.5\n"
    assert read(tmp_path, text).candles == BOTH


def test_two_columns_of_one_name_are_asked_for(tmp_path: Path) -> None:
    header = "date,open,high,low,close,close,volume"
    text = f"{header}\n2024-01-02,10,12,9,11,50,5\n2024-01-03,11,14,10.5,13.25,50,1234.5\n"
    with pytest.raises(BadInputError, match=r"^columns: two columns are named close"):
        read(tmp_path, text)
    assert read(tmp_path, text, columns="time,open,high,low,close,-,volume").candles == BOTH


def test_a_week_that_opens_after_a_holiday_is_that_of_its_monday(tmp_path: Path) -> None:
    weeks = ["2024-05-13", "2024-05-20", "2024-05-28", "2024-06-03"]
    text = "\n".join(["date,open,high,low,close", *(f"{week},10,12,9,11" for week in weeks)])
    result = read(tmp_path, text, "1w")
    assert [open_ms for open_ms, _ in result.candles] == [1_715_558_400_000 + number * 7 * DAY for number in range(4)]
    assert "under their Monday" in result.notes
