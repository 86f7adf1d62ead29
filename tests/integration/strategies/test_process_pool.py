"""User strategies with a real server: what happens when it is killed, and the output of the commands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import httpx2
import psutil

from tests.integration.cli.test_sessions import DAY, NEW, store_a_day
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer
from tests.support.strategies import GOOD, HEAD, misbehaving, write


def own(database: Database, folder: Path) -> Cli:
    return Cli(database, ZEON_STRATEGIES=folder)


def started(cli: Cli, profile: str, *options: object) -> str:
    session = cli.json(*NEW, *DAY, "--profile", profile, *options)
    cli("sessions", "start", session["id"])
    return str(session["id"])


def until(database: Database, condition: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not database.query(f"SELECT bool_and({condition}) FROM sim_sessions")[0][0]:
        assert time.monotonic() < deadline, database.query("SELECT status, error, cursor_ms FROM sim_sessions")
        time.sleep(0.02)


def test_strategy_processes_die_with_a_server_that_is_killed(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    write(tmp_path, "bad", misbehaving(f"open({str(tmp_path / 'there')!r}, 'w').close(); sum(range(10 ** 12))"))
    asyncio.run(store_a_day(database))
    server = start_server(database, ZEON_STRATEGIES=tmp_path, ZEON_CANDLE_TIMEOUT_MS=100_000)
    started(own(database, tmp_path), "bad", "--ms-per-candle", 5)
    while not (tmp_path / "there").exists():
        time.sleep(0.01)
    children = psutil.Process(server.pid).children(recursive=True)
    assert children
    os.kill(server.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_profiles_are_listed_added_and_removed(database: Database, start_server: StartServer, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "broken", "import not_there_at_all\n")
    installed(tmp_path / "site", "bought", GOOD.replace("Good", "Bought"))
    cli = Cli(database, ZEON_STRATEGIES=tmp_path, PYTHONPATH=f"{Path.cwd()}:{tmp_path / 'site'}")
    cli("profiles", "add", "slow", "--strategy", "good", "--config", '{"fast": 10, "slow": 30}')
    error = cli.error("profiles", "add", "x", "--strategy", "goood", code=2)
    assert "did you mean good?" in error
    done = cli.run("profiles", "--json")
    assert "broken.py: ModuleNotFoundError: No module named 'not_there_at_all'" in done.stderr
    results = {row["slug"]: row for row in json.loads(done.stdout)}
    sources = {slug: results[slug]["source"] for slug in ("sma_cross", "good", "bargain", "slow")}
    assert sources == {
        "sma_cross": "built-in",
        "good": "folder",
        "bargain": "entry point",
        "slow": "profile of good",
    }
    assert results["slow"]["parameters"]["properties"]["slow"]["default"] == 30
    assert "broken.py" in next(check for check in cli.json("doctor") if check["check"] == "strategies")["text"]
    server = start_server(database, ZEON_STRATEGIES=tmp_path, PYTHONPATH=cli.env["PYTHONPATH"])
    answer = httpx2.get(f"{server.url}/api/sim/profiles", timeout=60).json()["data"]["profiles"]
    assert {row["slug"]: row for row in answer} == results
    assert "broken.py: ModuleNotFoundError" in server.output
    asyncio.run(store_a_day(database))
    started(cli, "bargain", "--ms-per-candle", 0)
    until(database, "status = 'finished'")
    cli("profiles", "remove", "slow")
    assert database.query("SELECT count(*) FROM sim_profiles") == [(0,)]


def installed(site: Path, name: str, text: str) -> None:
    """Make a folder look like one in which a package with an entry point is installed."""
    facts = site / f"{name}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[zeon.strategies]\nbargain = {name}:Bought\n")
    (site / f"{name}.py").write_text(HEAD + text)
