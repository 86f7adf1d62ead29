"""`zeon backtest` and `from zeon import backtest`: from a file to a report, without a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import zeon
from app.errors import BadInputError, MissingCandlesError
from tests.support.cli import Cli
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import START_MS, store

MINUTE = 60_000
RANGE = ("--symbol", "BTCUSDT", "--venue", "demo", "--timeframe", "1m", "--start", START_MS)
END = START_MS + 600 * MINUTE
STRATEGY = """
from zeon import Strategy

class MacdAtr(Strategy):
    every: int = 7
    fail_at: int = -1

    def on_start(self):
        self._seen = 0

    def on_candle(self, candle):
        self._seen += 1
        self.plot("close", float("nan") if self._seen < 5 else candle.close)
        self.signal("LONG", "try", close=candle.close, unknown=float("nan"))
        if self._seen == self.fail_at:
            self.buy(qty=1 / (self._seen - self.fail_at))
        if self._seen % self.every == 0:
            self.close() or self.buy()
"""
SILENT = """
from zeon import Strategy

class Silent(Strategy):
    def on_candles(self, candle):
        self.buy()
"""


@pytest.fixture
def cli(database: Database, tmp_path: Path) -> Cli:
    async def fill() -> None:
        async with open_pool(database) as side:
            await store(side, count=700)

    asyncio.run(fill())
    (tmp_path / "macd.py").write_text(STRATEGY)
    (tmp_path / "silent.py").write_text(SILENT)
    made = Cli(database)
    made.folder = tmp_path
    return made


def test_a_file_is_run_and_reported(cli: Cli, database: Database) -> None:
    asked = ("backtest", "macd.py", *RANGE, "--end", END, "--param", "every=9")
    done = cli.run(*asked, "--html", "page.html")
    assert done.stdout.startswith("macd_atr on BTCUSDT 1m of demo, finished")
    assert "10,000.00" in done.stdout
    page = (cli.folder / "page.html").read_text()
    assert len(page) < 1_000_000
    assert '"trades":[[' in page
    again = json.loads(cli(*asked, "--config", "fail_at=-2", "--json"))
    assert again["session"]["config"] == {"every": 9, "fail_at": -2}
    assert again["session"]["tags"] == ["backtest"]
    trades = database.query(
        "SELECT count(*) FROM sim_events WHERE type = 'trade' AND session_id = %s", again["session"]["id"]
    )
    assert trades == [(again["stats"]["trades"],)]
    assert again["stats"]["trades"] > 20
    lines = database.query(
        "SELECT type, count(*) FROM sim_events WHERE type IN ('plot', 'signal') AND session_id = %s"
        " GROUP BY 1 ORDER BY 1",
        again["session"]["id"],
    )
    assert lines == [("plot", 596), ("signal", 600)], "NaN is no point; a signal leaves it out"
    for named in ("macd:MacdAtr", "macd.py:macd_atr", "./:MacdAtr"):
        cli("backtest", named, *RANGE, "--end", END, "--discard")
    assert database.query("SELECT count(*) FROM sim_sessions WHERE deleted_at IS NULL") == [(2,)]


def test_an_error_has_its_line_and_candle_everywhere(cli: Cli, database: Database) -> None:
    done = cli.run("backtest", "macd.py", *RANGE, "--end", END, "--param", "fail_at=200", code=1)
    place, source = "macd.py:16 in on_candle", "self.buy(qty=1 / (self._seen - self.fail_at))"
    candle = "at the candle that opens at 2024-01-01 03:19:00Z"
    assert [line.strip() for line in done.stdout.splitlines()[1:4]] == [place, source, candle]
    session_id, details = database.query("SELECT id, error_details FROM sim_sessions")[0]
    assert details == {"at": place, "source": source, "candleMs": START_MS + 199 * MINUTE}
    shown = cli("sessions", "show", session_id)
    assert all(text in shown for text in ("ZeroDivisionError: division by zero", place, source, candle))
    assert "failed: macd.py:16" in cli("sessions", "list")
    assert place in cli.run("tail", session_id, "--no-follow").stderr
    assert place in cli("report", session_id)


def test_what_cannot_run_says_why_and_leaves_nothing(cli: Cli, database: Database) -> None:
    (cli.folder / "broken.py").write_text("from zeon import Strategy\n\nclass Broken(Strategy:\n    pass\n")
    error = cli.error("backtest", "broken.py", *RANGE, "--end", END)
    assert "broken.py:3" in error
    assert "class Broken(Strategy:" in error
    error = cli.error("backtest", "macd.py", *RANGE, "--end", END + 10**9)
    assert "zeon candles import FILE --symbol BTCUSDT --timeframe 1m --venue demo" in error
    for profile, part in (
        ("absent.py", "there is no file absent.py"),
        ("macd:Absent", "there is no strategy Absent in macd, only MacdAtr"),
        ("./", "has several strategies"),
        ("MacdAt", "there is no profile 'macd_at'"),
    ):
        (cli.folder / "broken.py").unlink(missing_ok=True)
        assert part in " ".join(cli.error("backtest", profile, *RANGE, "--end", END, code=2).replace("│", " ").split())
    wrong = cli.error("backtest", "macd.py", *RANGE, "--end", END, "--param", "evry=3", code=2)
    assert "every?" in wrong
    assert "zeon sweep" in cli.error("backtest", "macd.py", *RANGE, "--end", END, "--param", "every=3..9", code=2)
    assert database.query("SELECT count(*) FROM sim_sessions WHERE deleted_at IS NULL") == [(0,)]


def test_a_strategy_that_wrote_nothing_is_told_so(cli: Cli) -> None:
    assert "The strategy wrote nothing" in cli.run("backtest", "silent.py", *RANGE, "--end", END).stderr
    cli.env["ZEON_STRATEGIES"] = str(cli.folder)
    asked = (*RANGE, "--end", START_MS + 60 * MINUTE)
    assert "The strategy wrote nothing" in cli.run("lookahead", "Silent", *asked, "--cuts", 1).stderr


async def test_a_script_gets_tables_while_a_loop_runs(cli: Cli, database: Database) -> None:
    settings = {"database_url": database.url, "migrate_url": database.owner_url}

    class Own(zeon.Strategy):
        every: int = 5

        def on_start(self) -> None:
            self._seen = 0

        def on_candle(self, candle: zeon.Candle) -> None:
            self._seen += 1
            self.plot("close", candle.close)
            if self._seen % self.every == 0:
                self.close() or self.buy()

    def run(symbol: str = "BTCUSDT", strategy: object = Own, **params: int) -> zeon.Backtest:
        session = {"venue": "demo", "timeframe": "1m", "params": params, "settings": settings}
        return zeon.backtest(strategy, symbol, START_MS, END, **session)  # type: ignore[arg-type]

    result = run(every=6)
    assert result.stats["trades"] == len(result.trades) > 20
    assert len(result.equity) == len(result.candles) == len(result.plots) == 600
    assert result.equity["equity"].iloc[-1] == pytest.approx(float(result.stats["equity"]))
    assert str(result.trades["exitTime"].dt.tz) == "UTC"
    assert "10,000.00" in repr(result)
    assert result.html().startswith("<!doctype html>")
    with pytest.raises(zeon.BacktestFailedError, match=r"macd.py:16 in on_candle"):
        run(strategy=str(cli.folder / "macd.py"), fail_at=3)
    with pytest.raises(MissingCandlesError, match="zeon candles import FILE --symbol NOPE"):
        run("NOPE")
    with pytest.raises(BadInputError, match="every"):
        run(evry=3)
