"""`zeon sweep` in its own processes, with no server running."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import START_MS, store

MADE = ("sweep", "sma_cross", "--symbol", "BTCUSDT", "--timeframe", "1m", "--venue", "demo", "--start", START_MS)


@pytest.fixture
def cli(database: Database) -> Cli:
    async def fill() -> None:
        async with open_pool(database) as side:
            await store(side, count=7_300)

    asyncio.run(fill())
    return Cli(database)


def test_a_sweep_runs_every_combination_and_ranks_them(cli: Cli, database: Database) -> None:
    params = ("--param", "fast=3..5", "--param", "slow=8,13", "--end", START_MS + 600 * 60_000, "--fee-bps", 0)
    done = cli.run(*MADE, *params, "--json")
    assert done.stderr.startswith("6 sessions, about ")
    result = json.loads(done.stdout)
    assert sorted((run["config"]["fast"], run["config"]["slow"]) for run in result["results"]) == [
        (fast, slow) for fast in (3, 4, 5) for slow in (8, 13)
    ]
    equities = [run["finalEquity"] for run in result["results"]]
    assert equities == sorted(equities, reverse=True)
    for run in result["results"]:
        assert run["returnPct"] == pytest.approx((run["finalEquity"] / 10_000 - 1) * 100)
        counted = database.query("SELECT count(*) FROM sim_events WHERE type = 'trade' AND session_id = %s", run["id"])
        assert counted == [(run["trades"],)]
        assert run["trades"] > 0
    rows = database.query("SELECT count(*) FROM sim_events")[0][0]
    assert rows / 2 < result["rows"] < rows * 2
    assert database.query("SELECT DISTINCT status, record, tags[1] FROM sim_sessions") == [
        ("finished", "trades", result["tag"])
    ]
    assert cli.json("verify", result["results"][0]["id"])["same"]


def test_a_sweep_that_a_quota_has_no_room_for_is_refused_before_it_begins(cli: Cli, database: Database) -> None:
    cli.env["ZEON_USER_SESSIONS"] = "5"
    params = ("--param", "fast=3..5", "--param", "slow=8,13", "--end", START_MS + 600 * 60_000)
    assert "ZEON_USER_SESSIONS" in cli.error(*MADE, *params)
    assert database.query("SELECT count(*) FROM sim_sessions") == [(0,)]


def test_ctrl_c_leaves_a_sweep_paused_and_rank_lets_it_go_on(cli: Cli, database: Database) -> None:
    arguments = (*MADE, "--param", "fast=2..9", "--param", "slow=40", "--end", "2024-01-06", "--processes", 2)
    with cli.start(*arguments, stderr=subprocess.PIPE) as sweep:
        deadline = time.monotonic() + 30
        while not database.query("SELECT count(*) FROM sim_sessions WHERE status = 'running' AND last_seq > 5")[0][0]:
            assert time.monotonic() < deadline, sweep.poll()
            time.sleep(0.02)
        sweep.send_signal(signal.SIGINT)
        stderr = sweep.communicate(timeout=20)[1]
    assert sweep.returncode == 1, stderr
    assert "Interrupted" in stderr
    statuses = {status for (status,) in database.query("SELECT DISTINCT status FROM sim_sessions")}
    assert statuses <= {"finished", "paused", "created"}
    assert "paused" in statuses
    tag = database.query("SELECT DISTINCT tags[1] FROM sim_sessions")[0][0]
    assert f"zeon rank {tag} --resume" in stderr
    so_far = cli.json("rank", tag)["results"]
    assert len(so_far) == 8
    assert {result["status"] for result in so_far} == statuses
    done = cli.json("rank", tag, "--resume", "--by", "sharpe")["results"]
    assert {run["status"] for run in done} == {"finished"}
    assert [run["sharpe"] for run in done] == sorted((run["sharpe"] for run in done), reverse=True)
    assert {run["config"]["fast"] for run in done} == set(range(2, 10))
    some = sorted(run["trades"] for run in done)[4]
    by_drawdown = cli.json("rank", tag, "--by", "drawdown", "--min-trades", some)["results"]
    falls = [result["maxDrawdownPct"] for result in by_drawdown]
    assert falls == sorted(run["maxDrawdownPct"] for run in done if run["trades"] >= some)
    assert cli("rank", tag).split()[:3] == ["id", "fast", "final"]
    assert "There is no session with the tag nothing." in cli.error("rank", "nothing")


def test_much_is_asked_about_and_a_wrong_parameter_named(cli: Cli, database: Database) -> None:
    assert "fast?" in cli.error(*MADE, "--param", "fats=1", "--end", "2024-01-02", code=2)
    for config in ("[1]", "5", '"x"'):
        arguments = (*MADE, "--param", "fast=5", "--end", "2024-01-02", "--config", config)
        assert "must be a JSON object" in cli.error(*arguments, code=2)
    huge = (*MADE, "--param", "fast=2..30", "--param", "slow=40", "--end", "2033-01-01")
    assert "Continue?" in cli.error(*huge)
    assert database.query("SELECT count(*) FROM sim_sessions") == [(0,)]


def test_longer_candles_are_built_for_commands_as_for_sessions(cli: Cli, database: Database) -> None:
    arguments = ("sma_cross", "--symbol", "BTCUSDT", "--timeframe", "15m", "--venue", "demo", "--start", START_MS)
    until = ("--end", "2024-01-03")
    assert cli.json("lookahead", *arguments, *until, "--cuts", 2)["slots"] == 192
    database.query("DELETE FROM market_candles WHERE timeframe = '15m' RETURNING 1")
    done = cli.run("sweep", *arguments, *until, "--param", "fast=2,3", "--param", "slow=5", "--json")
    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["finished", "finished"]


def test_a_lookahead_says_how_often_it_cut(cli: Cli) -> None:
    arguments = (
        "lookahead",
        "sma_cross",
        "--symbol",
        "BTCUSDT",
        "--timeframe",
        "1m",
        "--venue",
        "demo",
        "--start",
        START_MS,
    )
    assert cli.json(*arguments, "--end", START_MS + 4 * 60_000)["cuts"] == 3
    assert "the range holds only one candle" in cli.error(*arguments, "--end", START_MS + 60_000, code=2)


def test_a_search_chooses_the_same_again_and_goes_on_with_its_study(
    cli: Cli, database: Database, tmp_path: Path
) -> None:
    pytest.importorskip("optuna", reason="no optuna: pip install 'zeon-sim[search]'")
    space = ("--param", "fast=2..9", "--param", "slow=12..40:2", "--end", START_MS + 400 * 60_000, "--by", "drawdown")
    page = tmp_path / "sweep.html"
    first = cli.json(*MADE, *space, "--search", 9, "--study", "one", "--html", page)
    assert len(first["results"]) == 9
    assert "too short" in first["overfitting"]["text"]
    assert "<caption>The best drawdown of each pair" in page.read_text()
    again = cli.json(*MADE, *space, "--search", 9, "--study", "one")
    assert again["results"] == first["results"]
    other = cli.json(*MADE, *space, "--search", 9, "--study", "two")
    tried = [sorted(json.dumps(run["config"]) for run in sweep["results"]) for sweep in (first, other)]
    assert tried[0] == tried[1]
    assert database.query("SELECT count(*) FROM sim_sessions") == [(18,)]
    wrong = cli.error(*MADE, "--param", "fast=2..5", "--end", START_MS + 400 * 60_000, "--study", "one", "--search", 9)
    assert "one is a sweep with other settings" in wrong


def test_parameters_are_chosen_before_and_judged_after(cli: Cli, database: Database) -> None:
    arguments = (*MADE, "--param", "fast=3,5", "--param", "slow=20", "--end", "2024-01-03T12:00", "--by", "return")
    found = cli.json(*arguments, "--walk-forward", "1d/1d")
    ends = [[row[name] - START_MS for name in ("fitFromMs", "fitToMs", "judgedToMs")] for row in found["windows"]]
    day = 86_400_000
    assert ends == [[0, day, 2 * day], [day, 2 * day, 2.5 * day]]
    for row in found["windows"]:
        both = database.query(
            "SELECT return_pct FROM sim_sessions s, sim_stats(s.id) WHERE start_ms = %s AND end_ms = %s"
            " AND name NOT LIKE 'judged%%'",
            *(row["fitFromMs"], row["fitToMs"]),
        )
        assert len(both) == 2
        assert row["fit"]["returnPct"] == pytest.approx(float(max(both)[0]))
        judged = database.query(
            "SELECT config ->> 'fast', start_ms, end_ms FROM sim_sessions WHERE id = %s", row["judged"]["id"]
        )
        assert judged == [(str(row["config"]["fast"]), row["fitToMs"], row["judgedToMs"])]
    assert found["summary"]["windows"] == 2
    assert found["overfitting"]["text"].startswith("Chosen on the past: ")
    assert "NAME=VALUES" in cli.error(*MADE, "--param", "fast", "--end", "2024-01-02", code=2)
    assert "90d/30d" in cli.error(*MADE, "--end", "2024-01-02", "--walk-forward", "9", code=2)


def test_without_parameters_there_is_one_run(cli: Cli) -> None:
    (run,) = cli.json(*MADE, "--end", START_MS + 300 * 60_000)["results"]
    assert run["status"] == "finished"
