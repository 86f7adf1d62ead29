"""`zeon lookahead` and `zeon sweep` with user strategies, in strategy processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import START_MS, store
from tests.support.strategies import GOOD, misbehaving, write

END = START_MS + 400 * 60_000
ASKED = ("--symbol", "BTCUSDT", "--timeframe", "1m", "--venue", "demo", "--start", START_MS)
REMEMBERS = """
_closes = {}

class Remembers(Strategy):
    def on_candle(self, candle):
        self.plot("next", _closes.get(candle.close_time_ms))
        _closes[candle.open_time_ms] = candle.close
"""


@pytest.fixture
def cli(database: Database, tmp_path: Path) -> Cli:
    async def fill() -> None:
        async with open_pool(database) as side:
            await store(side, count=500)

    asyncio.run(fill())
    result = Cli(database)
    folder = tmp_path / "own"
    write(folder, "good", GOOD)
    write(folder, "remembers", REMEMBERS)
    write(folder, "bad", misbehaving("1 / 0", at=200))
    write(folder, "slow", misbehaving("time.sleep(60)").replace("Bad", "Slow"))
    result.env |= {"ZEON_STRATEGIES": str(folder), "PYTHONPATH": f"{ROOT}:{folder}", "ZEON_CANDLE_TIMEOUT_MS": "2000"}
    return result


def test_a_user_strategy_does_not_look_ahead(cli: Cli) -> None:
    assert cli.json("lookahead", "good", *ASKED, "--cuts", 3) == {
        "slots": 500,
        "cuts": 3,
        "lookahead": False,
        "difference": None,
    }
    for name, word in (("bad", "ZeroDivisionError: division by zero"), ("slow", "more than 2000 ms for a candle")):
        (reported,) = [line for line in cli.error("lookahead", name, *ASKED).splitlines() if word in line]
        assert reported


def test_a_class_can_be_named_for_one_command_alone(cli: Cli) -> None:
    del cli.env["ZEON_STRATEGIES"]
    result = json.loads(cli.run("lookahead", "remembers:Remembers", *ASKED, "--json", code=1).stdout)
    assert result["lookahead"] is True, "a module is imported once, so what it keeps outlives the data"
    assert result["difference"]["changed"]["type"] == "plot"
    arguments = ("sweep", "good:Good", *ASKED, "--end", END, "--param", "fast=2..3", "--json")
    assert [run["status"] for run in json.loads(cli.run(*arguments).stdout)["results"]] == ["finished", "finished"]
    assert "There is no module named goood" in cli.error("lookahead", "goood:Good", *ASKED, code=2)
    assert "Goood" in cli.error("lookahead", "good:Goood", *ASKED, code=2)
    assert "fast?" in cli.error("lookahead", "good:Good", *ASKED, "--config", '{"fats": 1}', code=2)


def test_a_sweep_estimates_and_runs_user_strategies(cli: Cli, database: Database) -> None:
    done = cli.run("sweep", "good", *ASKED, "--end", END, "--param", "fast=2..4", "--json")
    result = json.loads(done.stdout)
    assert done.stderr.startswith("3 sessions, about ")
    assert [run["status"] for run in result["results"]] == ["finished"] * 3
    assert all(run["trades"] > 0 for run in result["results"])
    rows = database.query("SELECT count(*) FROM sim_events")[0][0]
    assert rows / 2 < result["rows"] < rows * 2
    assert "fast?" in cli.error("sweep", "good", *ASKED, "--end", END, "--param", "fats=2", code=2)


FICKLE = """
import os

class Fickle(Strategy):
    kind: str = ""

    def on_candle(self, candle):
        if self.kind == "raise":
            raise KeyError("<nothing>")
        if self.kind == "end":
            os._exit(3)
"""


def test_a_sweep_that_cannot_go_on_says_why(cli: Cli, database: Database, tmp_path: Path) -> None:
    cli.run("sweep", "good", *ASKED, "--end", END, "--param", "fast=2,3")
    tag = database.query("UPDATE sim_sessions SET status = 'paused' RETURNING tags[1]")[0][0]
    code = tmp_path / "own" / "good.py"
    code.write_text(code.read_text().replace('reason="up"', 'reason="higher"'))
    done = cli.run("rank", tag, "--resume", "--json", code=1)
    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["paused", "paused"]
    assert done.stderr.count("did not run: ") == 2
    assert done.stderr.count("has changed") == done.stderr.count("gives another log from seq") == 2


def test_combinations_that_fail_are_rows_of_a_sweep_and_their_reports_say_why(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path / "own", "fickle", FICKLE)
    arguments = ("sweep", "fickle", *ASKED, "--end", END, "--param", "kind=raise,none,end", "--json")
    results = {result["config"]["kind"]: result for result in json.loads(cli.run(*arguments, code=1).stdout)["results"]}
    assert {kind: row["status"] for kind, row in results.items()} == {
        "raise": "failed",
        "none": "finished",
        "end": "failed",
    }
    failed = results["raise"]["id"]
    assert "failed: KeyError: '<nothing>'" in cli("report", failed)
    cli("report", failed, "--html", tmp_path / "page.html")
    assert "KeyError: &#x27;&lt;nothing&gt;&#x27;" in (tmp_path / "page.html").read_text()
    for out in (tmp_path, tmp_path / "no" / "x"):
        for arguments in (("export", failed, "--out", out), ("report", failed, "--html", out)):
            assert out.name in cli.error(*arguments, code=2)
