import gzip
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from app.candles.imports.importer import import_file
from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from app.errors import BadInputError
from tests.support.postgres import Database

Connection = psycopg.AsyncConnection
MINUTE = 60_000
START = 1_704_067_200_000


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


def lines(count: int, step: int = 1) -> list[str]:
    candles = made_up("BTCUSDT", "1m", START, START + count * MINUTE)
    return [
        f"{c.open_time_ms},{c.open:.8f},{c.high:.8f},{c.low:.8f},{c.close:.8f},{c.volume:.8f}"
        for c in list(candles)[::step]
    ]


def written(folder: Path, rows: list[str], header: str = "open_time_ms,open,high,low,close,volume") -> Path:
    path = folder / "candles.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


async def test_a_file_is_imported_exactly_and_a_second_time_changes_nothing(conn: Connection, tmp_path: Path) -> None:
    path = written(tmp_path, lines(500))
    report = await import_file(conn, path, "Binance", "btc/usdt", "1m")
    assert (report.venue, report.symbol, report.rows, report.new) == ("binance", "BTCUSDT", 500, 500)
    assert (report.first_ms, report.last_ms, report.gaps, report.missing) == (START, START + 499 * MINUTE, [], 0)
    results = [candle async for candle in cache.read(conn, "binance", "BTCUSDT", "1m", START, START + 500 * MINUTE)]
    assert results == list(made_up("BTCUSDT", "1m", START, START + 500 * MINUTE))
    again = await import_file(conn, path, "binance", "BTCUSDT", "1m")
    assert (again.new, again.changed, again.same) == (0, 0, 500)


async def test_seconds_microseconds_and_words_are_the_same_times(conn: Connection, tmp_path: Path) -> None:
    for symbol, times in {"S": ("1704067200", "1704067260"), "US": ("1704067200000000", "1704067260000000")}.items():
        path = written(tmp_path, [f"{time},1,1,1,1,1" for time in times])
        report = await import_file(conn, path, "binance", symbol, "1m")
        assert (report.first_ms, report.last_ms) == (START, START + MINUTE)


async def test_a_gzip_file_with_holes_reports_its_gaps(conn: Connection, tmp_path: Path) -> None:
    rows = lines(100)
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(gzip.compress(("time,o,h,l,c,v\n" + "\n".join(rows[:20] + rows[25:60] + rows[61:])).encode()))
    report = await import_file(conn, path, "binance", "BTCUSDT", "1m")
    assert [((gap.from_ms - START) // MINUTE, gap.missing) for gap in report.gaps] == [(20, 5), (60, 1)]
    assert report.missing == 6


async def test_bad_rows_are_listed_and_the_rest_is_taken(conn: Connection, tmp_path: Path) -> None:
    rows = lines(20)
    rows[5] = f"{START + 5 * MINUTE},10,9,11,10,1"
    rows[9] = rows[8]
    report = await import_file(conn, written(tmp_path, rows), "binance", "BTCUSDT", "1m")
    assert (report.rows, report.new, report.refused, report.duplicates) == (20, 18, 1, 1)
    assert report.refusals == [(7, "high 9 is below low 11")]
    assert report.repairs[0].line_number == 11
    assert report.rows == report.new + report.changed + report.same + report.refused + report.duplicates


async def test_the_good_rows_of_a_truncated_file_are_stored_and_the_error_names_the_break(
    conn: Connection, tmp_path: Path
) -> None:
    packed = gzip.compress(("time,o,h,l,c,v\n" + "\n".join(lines(20_000))).encode())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    report = await import_file(conn, path, "binance", "BTCUSDT", "1m")
    assert 5_000 < report.new < 15_000
    assert report.broke is not None
    assert report.broke.startswith("after line ")


async def test_a_revised_row_replaces_the_one_saved_while_forming(conn: Connection, tmp_path: Path) -> None:
    for price in ("1", "2"):
        report = await import_file(
            conn, written(tmp_path, [f"{START},{price},3,1,{price},{price}"]), "bybit", "ETHUSDT", "1m"
        )
    assert (report.new, report.changed) == (0, 1)
    assert (await cache.last_before(conn, "bybit", "ETHUSDT", "1m", START + 1))[0].volume == Decimal(2)


async def test_the_import_is_remembered_as_coverage(conn: Connection, tmp_path: Path) -> None:
    await import_file(conn, written(tmp_path, lines(10)), "binance", "BTCUSDT", "1m")
    assert await cache.covered_ranges(conn, "binance", "BTCUSDT", "1m", "file") == [(START, START + 10 * MINUTE)]


async def test_of_a_folder_each_file_is_remembered_and_named_by_itself(conn: Connection, tmp_path: Path) -> None:
    rows = lines(100)
    rows[3] = f"{START + 3 * MINUTE},10,9,11,10,1"
    for day, part in (("01", rows[:10]), ("02", rows[50:60])):
        (tmp_path / f"BTCUSDT-1m-2024-01-{day}.csv").write_text("\n".join(part) + "\n")
    report = await import_file(conn, tmp_path, "binance", "BTCUSDT", "1m")
    assert (report.new, report.missing) == (19, 41)
    assert report.refusals == [(4, "BTCUSDT-1m-2024-01-01.csv: high 9 is below low 11")]
    spans = [(START, START + 10 * MINUTE), (START + 50 * MINUTE, START + 60 * MINUTE)]
    assert await cache.covered_ranges(conn, "binance", "BTCUSDT", "1m", "file") == spans


async def test_progress_ends_with_the_whole_file(conn: Connection, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = written(tmp_path, lines(12_000))
    await import_file(conn, path, "binance", "BTCUSDT", "1m", lambda done, size: seen.append((done, size)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert seen == sorted(seen)
    assert len(seen) > 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "file: it is empty"),
        ("no candles\n", "file: no line with a time and four prices among the first 50"),
        ("time,open,high,low,close,volume\n", "file: candles.csv holds no good candle; it has no rows"),
        ("time,open,high,low,close\nx,1,1,1,1\n", "line 2: time: 'x' is neither a number nor a date and time"),
        ("time,open,high,low,volume\n", "close: no column of the header has that name"),
    ],
)
async def test_a_file_without_a_good_candle_is_refused(
    conn: Connection, tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(text)
    with pytest.raises(BadInputError) as raised:
        await import_file(conn, path, "binance", "BTCUSDT", "1m")
    assert sentence in raised.value.message
    assert await cache.coverage(conn) == []


async def test_a_file_that_is_not_there_is_said_so(conn: Connection, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be opened: No such file"):
        await import_file(conn, tmp_path / "absent.csv", "binance", "BTCUSDT", "1m")
