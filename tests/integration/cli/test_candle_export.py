"""`zeon candles export` in each layout: what is imported again is what was exported."""

from __future__ import annotations

import zipfile
from pathlib import Path

import psycopg
import pytest

from app.candles.exports.freqtrade import file_name, pair_of
from app.candles.sources import synthetic
from app.db import candles as cache
from app.errors import BadInputError
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS

DATA = Path(__file__).parents[4] / "shared" / "data"
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
LENGTHS = {"1m": MINUTE, "1h": HOUR, "1d": DAY}


@pytest.fixture
def cli(database: Database) -> Cli:
    return Cli(database)


async def store(database: Database, timeframe: str = "1m", count: int = 3_000, symbol: str = "BTCUSDT") -> None:
    """Store synthetic candles with a gap, an evening's beginning and a middle of the night's end."""
    step = LENGTHS[timeframe]
    candles = synthetic.candles(symbol, timeframe, START_MS + 5 * step, START_MS + (5 + count) * step)
    stored = [candle for number, candle in enumerate(candles) if not 100 <= number < 103]
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as conn:
        await cache.store(conn, "binance", symbol, timeframe, stored)


def differing(database: Database, first: str, second: str) -> list[tuple]:
    """Return the candles that only one of two venues has."""
    columns = "symbol, timeframe, open_time_ms, open, high, low, close, volume"
    of = f"SELECT {columns} FROM market_candles WHERE venue"
    return database.query(
        f"(({of} = %s EXCEPT {of} = %s) UNION ALL ({of} = %s EXCEPT {of} = %s))", first, second, second, first
    )


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("timeframe", LENGTHS)
@pytest.mark.parametrize("layout", ["csv", "freqtrade", "lean"])
async def test_what_is_exported_and_imported_again_is_equal(
    cli: Cli, database: Database, tmp_path: Path, layout: str, timeframe: str
) -> None:
    pytest.importorskip("pyarrow")
    await store(database, timeframe, 3_000 if timeframe == "1m" else 400)
    folder = tmp_path / "out"
    written = {
        "csv": tmp_path / "btc.csv",
        "freqtrade": folder / f"BTC_USDT-{timeframe}.feather",
        "lean": folder / ("crypto/binance/minute/btcusdt" if timeframe == "1m" else "crypto/binance"),
    }[layout]
    chosen = written if layout == "csv" else folder
    cli("candles", "export", "btc/usdt", "--timeframe", timeframe, "--layout", layout, "-o", chosen)
    if layout == "lean" and timeframe != "1m":
        written /= f"{'hour' if timeframe == '1h' else 'daily'}/btcusdt_trade.zip"
    cli("candles", "import", written, "--symbol", "BTCUSDT", "--timeframe", timeframe, "--venue", "copy")
    assert differing(database, "binance", "copy") == []
    assert database.query("SELECT count(*) FROM market_candles WHERE venue = 'copy'") == [
        (2_997 if timeframe == "1m" else 397,)
    ]


@pytest.mark.parametrize("layout", ["csv", "freqtrade", "lean"])
async def test_real_candles_come_back_equal(cli: Cli, database: Database, tmp_path: Path, layout: str) -> None:
    source = DATA / "bybit" / "BTCUSDT-1m.csv.gz"
    if not source.is_file():
        pytest.skip("there are no real candles beside the project")
    cli("candles", "import", source, "--symbol", "BTC/USDT", "--timeframe", "1m")
    part = ("--start", "2025-06-02", "--end", "2025-06-16")
    out = tmp_path / ("btc.csv" if layout == "csv" else "data")
    stderr = cli.run("candles", "export", "BTCUSDT", "--timeframe", "1m", *part, "--layout", layout, "-o", out).stderr
    assert "20,160 candles" in stderr
    assert "more than" not in stderr
    written = {"csv": out, "freqtrade": out, "lean": out / "crypto/binance/minute/btcusdt"}[layout]
    cli("candles", "import", written, "--symbol", "BTC/USDT", "--timeframe", "1m", "--venue", "copy")
    assert database.query("SELECT count(*) FROM market_candles WHERE venue = 'copy'") == [(20_160,)]
    outside = "venue = 'binance' AND open_time_ms NOT BETWEEN 1748822400000 AND 1750031940000"
    database.query(f"DELETE FROM market_candles WHERE {outside}")
    assert differing(database, "binance", "copy") == []


async def test_lean_s_own_minutes_are_written_as_lean_has_them(cli: Cli, tmp_path: Path) -> None:
    original = DATA / "raw" / "lean" / "crypto" / "coinbase" / "minute" / "btcusd"
    if not original.is_dir():
        pytest.skip("there are no files of Lean beside the project")
    btc = ("--symbol", "BTCUSD", "--timeframe", "1m", "--venue", "coinbase")
    cli("candles", "import", original, *btc)
    cli("candles", "export", "BTCUSD", *btc[2:], "--layout", "lean", "-o", tmp_path)
    copy = tmp_path / "crypto" / "coinbase" / "minute" / "btcusd"
    assert files_in(copy) == files_in(original)
    for name in files_in(copy):
        assert members(copy / name) == members(original / name)


def members(path: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode().split() for name in archive.namelist()}


async def test_freqtrade_s_files_are_named_and_typed_as_freqtrade_reads_them(
    cli: Cli, database: Database, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas")
    await store(database, "1h", 50)
    await store(database, "1h", 50, symbol="BTCUSDT:USDT")
    for symbol in ("BTCUSDT", "BTCUSDT:USDT"):
        cli("candles", "export", symbol, "--timeframe", "1h", "--layout", "freqtrade", "-o", tmp_path)
    assert files_in(tmp_path) == ["BTC_USDT-1h.feather", "futures/BTC_USDT_USDT-1h-futures.feather"]
    results = pandas.read_feather(tmp_path / "BTC_USDT-1h.feather")
    assert list(results.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert str(results["date"].dtype) == "datetime64[ms, UTC]"
    assert {str(results[name].dtype) for name in results.columns[1:]} == {"float64"}
    assert results["date"][0].value == (START_MS + 5 * HOUR) * 1_000_000


@pytest.mark.parametrize(
    ("spelling", "pair"),
    [
        ("btc/usdt", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("BTCUSDT:USDT", "BTC/USDT:USDT"),
        ("ETHBTC", "ETH/BTC"),
        ("BTCFDUSD", "BTC/FDUSD"),
        ("USDTTRY", "USDT/TRY"),
        ("币安人生/USDT", "币安人生/USDT"),
    ],
)
def test_base_and_quote_are_distinguished(spelling: str, pair: str) -> None:
    assert pair_of(spelling) == pair


@pytest.mark.parametrize("spelling", ["^GSPC", "USDT", "BTC-USDT-SWAP", "AAPL"])
def test_a_symbol_without_base_and_quote_is_asked_for_them(spelling: str) -> None:
    with pytest.raises(BadInputError, match=r"^pair: .* are not known; give --pair, as in --pair BTC/USDT$"):
        pair_of(spelling)


def test_names_hold_no_character_that_freqtrade_replaces() -> None:
    assert file_name("M.@$/A+B:USD", "1m") == Path("futures", "M____A_B_USD-1m-futures.feather")


async def test_the_first_spelling_or_the_option_names_the_pair(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(f"{START_MS},1,2,1,2,5\n{START_MS + MINUTE},1,2,1,2,5\n")
    cli("candles", "import", file, "--symbol", "AA-PLX", "--timeframe", "1m")
    arguments = ("candles", "export", "AAPLX", "--timeframe", "1m", "--layout", "freqtrade", "-o", tmp_path)
    cli(*arguments)
    cli(*arguments, "--pair", "AAPL/X")
    assert files_in(tmp_path) == ["AAPL_X-1m.feather", "AA_PLX-1m.feather", "x.csv"]


async def test_equities_of_lean_are_in_new_york_and_in_ten_thousandths(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "spy.csv"
    file.write_text("2024-03-08T14:30,470.5,471.25,470,471,100\n2024-03-11T13:30,471,472,470.0001,471.5,200\n")
    spy = ("--timeframe", "1m", "--venue", "nasdaq")
    cli("candles", "import", file, "--symbol", "SPY", *spy)
    lean = ("--layout", "lean", "--market", "equity/usa", "-o", tmp_path)
    cli("candles", "export", "SPY", *spy, *lean)
    folder = tmp_path / "equity" / "usa" / "minute" / "spy"
    assert members(folder / "20240308_trade.zip") == {
        "20240308_spy_minute_trade.csv": ["34200000,4705000,4712500,4700000,4710000,100"]
    }
    assert members(folder / "20240311_trade.zip") == {  # An hour later by UTC: summer time has begun.
        "20240311_spy_minute_trade.csv": ["34200000,4710000,4720000,4700001,4715000,200"]
    }
    cli("candles", "import", folder, "--symbol", "SPY", "--timeframe", "1m", "--venue", "copy")
    exported = [cli("candles", "export", "SPY", "--timeframe", "1m", "--venue", name) for name in ("nasdaq", "copy")]
    assert exported[0] == exported[1]


async def test_what_a_layout_cannot_hold_is_said(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(f"{START_MS},1.00001,2,1,2,5.0000000000000001\n")
    cli("candles", "import", file, "--symbol", "X/USD", "--timeframe", "1m")
    arguments = ("candles", "export", "XUSD", "--timeframe", "1m")
    stderr = cli.run(*arguments, "--layout", "freqtrade", "-o", tmp_path).stderr
    assert stderr.strip().endswith("1 number has more than the 15 digits that freqtrade's files keep.")
    equity = ("--layout", "lean", "--market", "equity/usa", "-o", tmp_path)
    assert cli.error(*arguments, *equity) == "output: Lean's equities have 4 decimals, the price 1.00001 has more"
    assert cli.error("candles", "export", "XUSD", "--timeframe", "5m", "--layout", "lean", "-o", tmp_path) == (
        "There are no candles of XUSD 5m at venue binance."
        " XUSD 1m is cached 2024-01-01 00:00 to 2024-01-01 00:00 at venue binance."
    )
    assert files_in(tmp_path) == ["X_USD-1m.feather", "x.csv"]


async def test_a_file_that_is_there_is_not_replaced_unless_asked(cli: Cli, database: Database, tmp_path: Path) -> None:
    await store(database, "1h", 10)
    hours = ("candles", "export", "BTCUSDT", "--timeframe", "1h")
    for layout, name in (("freqtrade", "BTC_USDT-1h.feather"), ("lean", "crypto/binance/hour/btcusdt_trade.zip")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        arguments = (*hours, "--layout", layout, "-o", tmp_path)
        assert cli.error(*arguments) == f"output: {path} is there already; name another folder, or add --overwrite"
        assert path.read_text() == "mine"
        cli(*arguments, "--overwrite")
        assert path.read_bytes() != b"mine"


async def test_wrong_options_of_an_export_are_named(cli: Cli, database: Database, tmp_path: Path) -> None:
    await store(database, "1h", 10)
    hours = ("candles", "export", "BTCUSDT", "--timeframe", "1h")
    assert "--output: name the data folder of lean" in cli.error(*hours, "--layout", "lean", code=2)
    lean = (*hours, "--layout", "lean", "-o", tmp_path)
    assert cli.error(*lean, "--market", "forex/oanda").startswith("market: 'forex/oanda' is not one of crypto, ")
    assert cli.error(*lean, "--start", "2030-01-01") == (
        "There are no candles of BTCUSDT 1h at venue binance in this range."
    )
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot be written" in cli.error(*hours, "--layout", "lean", "-o", blocked)
    assert "directory" in cli.error(*hours, "-o", tmp_path, code=2)
