"""`zeon candles` as a user calls it."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.candles.sources import synthetic
from app.domain.number import format_decimal
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer

START = 1_704_067_200_000
MINUTE = 60_000
HEADER = "open_time_ms,open,high,low,close,volume"
BTC = ("BTCUSDT", "--timeframe", "1m")
AS_BTC = ("--symbol", "btc/usdt", "--timeframe", "1m")


@pytest.fixture
def cli(database: Database) -> Cli:
    return Cli(database)


def rows(count: int) -> list[str]:
    candles = synthetic.candles("BTCUSDT", "1m", START, START + count * MINUTE)
    return [f"{c.open_time_ms},{','.join(format_decimal(value) for value in c[4:9])}" for c in candles]


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_a_file_is_imported_listed_and_exported_as_it_was(cli: Cli, tmp_path: Path) -> None:
    file, copy = written(tmp_path / "btc.csv", rows(200)), tmp_path / "copy.csv"
    output = cli("candles", "import", file, *AS_BTC)
    assert "BTCUSDT 1m at venue binance" in output
    assert "200: 200 new, 0 changed, 0 as before" in output
    listed = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "timeframe": "1m",
        "rows": 200,
        "firstMs": START,
        "lastMs": START + 199 * MINUTE,
        "gaps": 0,
        "source": "file",
    }
    assert cli.json("candles", "list") == [listed]
    assert "2024-01-01 03:19:00Z" in cli("candles", "list")
    assert cli("candles", "export", *BTC) == file.read_text()
    cli("candles", "export", *BTC, "--start", "2024-01-01T00:10", "--end", START + 20 * MINUTE, "-o", copy)
    assert copy.read_text().splitlines() == [HEADER, *rows(20)[10:]]


def test_gaps_are_listed(cli: Cli, tmp_path: Path) -> None:
    lines = rows(100)
    cli("candles", "import", written(tmp_path / "btc.csv", lines[:10] + lines[12:50] + lines[51:]), *AS_BTC)
    holes = [(10, 12), (50, 51)]
    expected = [{"fromMs": START + a * MINUTE, "toMs": START + b * MINUTE, "missing": b - a} for a, b in holes]
    assert cli.json("candles", "gaps", *BTC) == expected
    assert cli.json("candles", "gaps", *BTC, "--end", START + 20 * MINUTE) == expected[:1]
    assert cli.json("candles", "gaps", *BTC, "--start", "2024-01-01T01:00", "--end", "2024-01-01T01:30") == []
    assert "2024-01-01 00:50:00Z" in cli("candles", "gaps", *BTC)


def test_closed_hours_of_a_venue_with_a_calendar_are_no_gaps(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("exchange_calendars")
    cli = Cli(database, ZEON_CALENDARS="nyse=XNYS")
    days = ("2024-01-12", "2024-01-16")  # A Friday and the Tuesday after a holiday.
    lines = [f"{day}T{hour}:30,1,1,1,1,1" for day in days for hour in range(14, 21) if (day, hour) != (days[1], 15)]
    file = written(tmp_path / "spy.csv", lines)
    report = cli.json("candles", "import", file, "--symbol", "SPY", "--timeframe", "1h", "--venue", "nyse")
    (gap,) = report["gaps"]
    assert (report["missing"], gap["fromMs"]) == (1, 1_705_417_200_000)  # 15:00 of the Tuesday
    assert cli.json("candles", "gaps", "SPY", "--timeframe", "1h", "--venue", "nyse") == [gap]
    assert cli.json("candles", "list")[0]["gaps"] == 1


def test_refused_rows_are_reported_and_a_broken_file_fails(cli: Cli, tmp_path: Path) -> None:
    lines = rows(3_000)
    lines[7] = f"{START + 7 * MINUTE},10,9,11,10,1"
    whole = tmp_path / "cut.csv.gz"
    whole.write_bytes(gzip.compress("\n".join([HEADER, *lines]).encode())[:-2_000])
    done = cli.run("candles", "import", whole, *AS_BTC, "--venue", "bybit", "--json", code=1)
    report = json.loads(done.stdout)
    assert (report["venue"], report["refused"], report["new"]) == ("bybit", 1, report["rows"] - 1)
    assert report["refusals"] == [{"line": 9, "reason": "high 9 is below low 11"}]
    assert report["broke"].startswith("after line ")
    assert "refused: line 9: high 9 is below low 11" in cli("candles", "import", whole, *AS_BTC, code=1)


def test_what_cannot_be_done_is_said_in_a_sentence(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    error = cli.error("candles", "import", empty, *AS_BTC)
    assert error == "file: it is empty"
    assert cli.error("candles", "gaps", *BTC) == "There are no candles of BTCUSDT 1m at venue binance."
    assert cli("candles", "list") == "There are no candles.\n"
    assert "does not exist" in cli.error("candles", "import", tmp_path / "absent.csv", *AS_BTC, code=2)
    assert cli.json("candles", "list") == []


DAY = ("--start", "2024-01-01", "--end", "2024-01-02", "--venue", "demo", "--source", "synthetic")


def test_a_range_is_fetched_once_and_a_dry_run_only_says_what_would_be(cli: Cli) -> None:
    whole = [{"fromMs": START, "toMs": START + 1_440 * MINUTE}]
    assert cli.json("candles", "fetch", *BTC, *DAY, "--dry-run")["asked"] == whole
    assert cli.json("candles", "list") == []
    done = cli.json("candles", "fetch", *BTC, *DAY)
    assert (done["asked"], done["new"], done["refused"]) == (whole, 1_440, 0)
    assert "Nothing is missing" in cli("candles", "fetch", *BTC, *DAY)
    assert cli.json("candles", "list")[0]["source"] == "synthetic"
    assert "venue binance has none" in cli.error("candles", "fetch", *BTC, "--start", "2024-01-01")
    made_up = cli.error("candles", "fetch", *BTC, "--start", "2024-01-01", "--source", "synthetic")
    assert made_up == "sources: only the venues demo and selftest may have generated candles, not binance"


def test_gaps_can_be_listed_by_reason(cli: Cli) -> None:
    cli("candles", "fetch", *BTC, *DAY)
    arguments = ("candles", "gaps", *BTC, "--venue", "demo", "--start", "2023-12-31T23:00", "--end", "2024-01-02T01:00")
    assert [gap["reason"] for gap in cli.json(*arguments, "--why")] == ["notFetched", "notPublished"]
    assert "notPublished" in cli(*arguments, "--why")


def test_follow_stores_what_has_closed_and_ends_with_ctrl_c(cli: Cli) -> None:
    with cli.start("candles", "follow", *BTC, "--venue", "demo", "--source", "synthetic") as following:
        deadline = time.monotonic() + 30
        while not cli.json("candles", "list"):
            assert time.monotonic() < deadline
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=20)
    assert following.returncode == 0


def session(cli: Cli, *more: object, timeframe: str = "5m") -> str:
    result = cli.json(
        *("sessions", "create", "--profile", "none", "--symbol", "BTCUSDT", "--timeframe", timeframe),
        *("--start", "2024-01-01", "--ms-per-candle", 60_000, *more),
    )
    return str(result["id"])


@pytest.fixture
def built(cli: Cli, database: Database, tmp_path: Path) -> Cli:
    """Minutes of an hour and what was built from them: 5m from 1m, 15m from 5m."""
    cli("candles", "import", written(tmp_path / "btc.csv", rows(60)), *AS_BTC)
    for finer, longer in (("1m", "5m"), ("5m", "15m")):
        database.query(
            "INSERT INTO market_candles SELECT 'binance', 'BTCUSDT', %s, b.*, %s"
            " FROM candle_buckets('binance', 'BTCUSDT', %s, %s, %s, %s) b",
            *(longer, finer, finer, longer, START, START + 60 * MINUTE),
        )
    cli("candles", "import", written(tmp_path / "eth.csv", rows(60)), "--symbol", "ETHUSDT", "--timeframe", "1m")
    return cli


def listed(cli: Cli) -> list[tuple[str, str, int]]:
    return [(series["symbol"], series["timeframe"], series["rows"]) for series in cli.json("candles", "list")]


def test_a_series_is_deleted_with_what_was_built_from_it(built: Cli) -> None:
    assert len(listed(built)) == 4
    deleted = built.json("candles", "delete", "btc/usdt", "--timeframe", "1m", "--yes")
    assert (deleted["symbol"], deleted["rows"], deleted["built"]) == ("BTCUSDT", 60, {"5m": 12, "15m": 4})
    assert listed(built) == [("ETHUSDT", "1m", 60)]
    assert built.error("candles", "delete", *BTC, "--yes") == "There are no candles of BTCUSDT 1m at venue binance."


def test_delete_asks_first_and_deletes_nothing_without_an_answer(built: Cli) -> None:
    error = built.error("candles", "delete", *BTC)
    assert "This deletes BTCUSDT 1m at venue binance: 60 candles." in error
    assert "deleted too: 12 candles of 5m, 4 candles of 15m." in error
    assert "Nothing was deleted. To delete without being asked, add --yes." in error
    assert len(listed(built)) == 4


@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 4), ("\n", 4)])
def test_delete_does_what_is_answered(built: Cli, answer: str, left: int) -> None:
    command = [sys.executable, "-m", "app.cli.main", "candles", "delete", *BTC]
    done = subprocess.run(command, env=built.env, cwd=built.folder, input=answer, capture_output=True, text=True)
    assert (done.returncode, len(listed(built))) == (int(left == 4), left)
    assert done.stdout == (
        "Deleted 60 candles of BTCUSDT 1m at venue binance,"
        " and what was built from it: 12 candles of 5m, 4 candles of 15m.\n"
        if left == 1
        else ""
    )


def test_candles_that_a_running_session_reads_are_not_deleted(built: Cli, start_server: StartServer) -> None:
    running = session(built, "--end", START + 60 * MINUTE)
    start_server(Database("", built.env["DATABASE_URL"], built.env["ZEON_MIGRATE_URL"], ""))
    built("sessions", "start", running)
    error = built.error("candles", "delete", *BTC, "--yes")
    assert error == (
        "1 running session reads BTCUSDT 1m at venue binance, or candles built from it: pause or stop it first"
        f" ({running})."
    )
    assert len(listed(built)) == 4
    built("sessions", "pause", running)
    done = built.run("candles", "delete", *BTC, "--yes")
    assert "1 created or paused session needs these candles to go on" in done.stderr
    assert listed(built) == [("ETHUSDT", "1m", 60)]


def test_sessions_of_other_candles_do_not_hinder_a_delete(built: Cli) -> None:
    session(built, "--venue", "bybit")
    session(built, timeframe="1h")
    assert built.json("candles", "delete", *BTC, "--yes")["waiting"] == []
