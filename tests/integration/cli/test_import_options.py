"""What a user says to `zeon candles import`, what it says in return, and `zeon candles inspect`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.postgres import Database

START = 1_704_067_200_000
HOUR = 3_600_000
HEADER = "time,open,high,low,close,volume"


@pytest.fixture
def cli(database: Database) -> Cli:
    return Cli(database)


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


def hours(*times: str) -> list[str]:
    return [HEADER, *(f"{time},10,12,9,11,5" for time in times)]


def test_a_zone_moves_the_times_and_is_reported(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", *hours("2024-01-01 00:00", "2024-01-01 01:00"))
    command = ("candles", "import", file, "--symbol", "X", "--timeframe", "1h")
    assert "time zone: times without a zone were read as UTC" in cli(*command)
    report = cli.json(*command, "--time-zone", "EST", "--venue", "est")
    assert report["firstMs"] == START + 5 * HOUR
    assert {"topic": "timeZone", "text": "times without a zone were read as those of EST"} in report["notes"]
    error = cli.error(*command, "--time-zone", "Mars/Base", code=2)
    assert "timeZone: 'Mars/Base' is not the name of one time zone" in error


def test_times_of_the_close_are_stored_by_their_open(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", *hours("2024-01-01T01:00Z", "2024-01-01T02:00Z"))
    report = cli.json("candles", "import", file, "--symbol", "X", "--timeframe", "1h", "--stamp", "close")
    assert (report["firstMs"], report["new"]) == (START, 2)


def test_another_timeframe_is_refused_with_the_one_to_type(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", *hours(*(f"2024-01-01 00:{minute:02}" for minute in range(0, 60, 5))))
    for timeframe in ("1m", "1h", "1d"):
        error = cli.error("candles", "import", file, "--symbol", "X", "--timeframe", timeframe)
        assert error == "timeframe: every step is 5m; did you mean --timeframe 5m?"
    assert cli.json("candles", "list") == []


def test_mostly_bad_rows_store_nothing_without_the_option_to_continue(cli: Cli, tmp_path: Path) -> None:
    rows = [HEADER, "2024-01-01,10,12,9,11,5", *["2024-01-02,10,9,11,11,5"] * 2]
    file = written(tmp_path / "bars.csv", *rows)
    command = ("candles", "import", file, "--symbol", "X", "--timeframe", "1d")
    done = cli.run(*command, "--json", code=1)
    report = json.loads(done.stdout)
    assert (report["new"], report["refused"], report["rows"]) == (0, 2, 3)
    assert report["rejected"].startswith("file: 2 of 3 rows were refused, so nothing was stored")
    assert [refusal["line"] for refusal in report["refusals"]] == [3, 4]
    assert "--keep-going" in done.stderr
    assert cli.json("candles", "list") == []
    assert cli.json(*command, "--keep-going")["new"] == 1


def test_a_candle_beside_a_stored_one_in_the_same_slot_is_refused(cli: Cli, tmp_path: Path) -> None:
    """The same days, stored once by their midnight in New York as UTC and then by their date, would be there twice."""
    first = written(
        tmp_path / "utc.csv", HEADER, *(f"{START + 5 * HOUR + n * 24 * HOUR},10,12,9,11,5" for n in range(3))
    )
    command = ("--symbol", "X", "--timeframe", "1d")
    cli("candles", "import", first, *command)
    second = written(tmp_path / "dates.csv", *hours("2024-01-02", "2024-01-03", "2024-01-04"))
    error = cli.error("candles", "import", second, *command)
    assert "would open in one slot, at 2024-01-02 00:00:00Z and at 2024-01-02 05:00:00Z" in error
    assert [series["rows"] for series in cli.json("candles", "list")] == [3]


def test_days_that_begin_in_an_unnamed_place_are_asked_for(cli: Cli, tmp_path: Path) -> None:
    days = [f"2024-04-0{day}T22:00:00Z" for day in (1, 2, 3)]
    file = written(tmp_path / "bars.csv", *hours(*days))
    command = ("candles", "import", file, "--symbol", "X", "--timeframe", "1d")
    assert "name the place whose date they have, as in --time-zone Europe/Berlin" in cli.error(*command)
    assert cli.json(*command, "--time-zone", "Europe/Berlin")["firstMs"] == 1_712_016_000_000  # 2024-04-02


def test_inspect_stores_nothing_and_says_what_to_type(cli: Cli, tmp_path: Path) -> None:
    times = [f"2024-01-01 0{hour}:00" for hour in (0, 1, 2, 5)]
    file = written(tmp_path / "BTC_USDT-1h.csv", *hours(*times))
    result = cli.json("candles", "inspect", file)
    assert (result["symbol"], result["timeframe"], result["rows"], result["missing"]) == ("BTCUSDT", "1h", 4, 2)
    assert result["question"] is None
    assert [row["line"] for row in result["readings"][0]["first"]] == [2, 3, 4]
    assert result["readings"][0]["last"][-1]["openTimeMs"] == START + 5 * HOUR
    assert cli.json("candles", "list") == []
    output = cli("candles", "inspect", file)
    command = output.strip().splitlines()[-1].partition(": ")[2]
    assert command == result["command"]
    cli(*shlex.split(command)[1:])
    assert cli.json("candles", "list")[0]["rows"] == 4


def test_inspect_shows_both_ways_to_read_a_doubtful_date(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", *hours("03/04/2024 10:00", "03/04/2024 11:00", "03/04/2024 12:00"))
    result = cli.json("candles", "inspect", file, "--symbol", "X")
    assert result["question"].startswith("dates: no date of the file proves which number is the day")
    firsts = {reading["options"]: reading["first"][0]["openTimeMs"] for reading in result["readings"]}
    assert firsts == {"--dates dmy": 1_712_138_400_000, "--dates mdy": 1_709_546_400_000}
    output = cli("candles", "inspect", file, "--symbol", "X")
    assert "with --dates dmy:" in output
    assert "2024-04-03 10:00:00Z" in output
    assert "2024-03-04 10:00:00Z" in output
    inspected = cli.json("candles", "inspect", file, "--symbol", "X", "--dates", "mdy")
    assert inspected["command"].endswith("--symbol X --timeframe 1h --dates mdy")


@pytest.mark.parametrize(
    ("lines", "question", "code"),
    [
        (["ticker,time,open,high,low,close", "A,2024-01-01,1,1,1,1", "B,2024-01-01,1,1,1,1"], "it holds A and B", 0),
        ([HEADER, "2024-01-01,1,1,1,1,1"], "timeframe: the steps between the rows do not say which it is", 0),
        (hours("2024-01-01", "2024-01-02", "2024-01-03"), "symbol: the file does not say of what its candles are", 0),
        ([HEADER], "holds no good candle", 1),
    ],
)
def test_inspect_asks_for_what_the_file_does_not_say(
    cli: Cli, tmp_path: Path, lines: list[str], question: str, code: int
) -> None:
    done = cli.run("candles", "inspect", written(tmp_path / "bars.csv", *lines), "--json", code=code)
    assert question in json.loads(done.stdout)["question"]
