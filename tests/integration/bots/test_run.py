"""`zeon run`: a bot in lock-step with a session."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli.test_sessions import NEW, START, cli
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE
from tests.support.server_process import ServerProcess, StartServer
from tests.support.session_log import digest, read_log, row

__all__ = ["cli"]

POLLER = Path(__file__).parent / "poller.py"
COUNT = 40


@pytest.fixture
def server(database: Database, start_server: StartServer) -> ServerProcess:
    return start_server(database)


def new(cli: Cli, count: int = COUNT) -> str:
    end = START + count * MINUTE
    return str(cli.json(*NEW, "--end", end, "--profile", "manual", "--ms-per-candle", 0, "--leverage", "none")["id"])


@contextmanager
def busy() -> Iterator[None]:
    """Keep two processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_a_polling_bot_gets_each_candle_at_its_close_whatever_else_the_machine_does(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    ids = [new(cli) for _ in range(2)]
    command = ("--server", server.url, "--", sys.executable, POLLER, 1)
    alone = cli("run", ids[0], *command)
    with busy():
        beside = cli("run", ids[1], *command)
    for output in (alone, beside):
        seen = [(int(close), int(now)) for close, now in re.findall(r"\| candle (\d+) at (\d+)", output)]
        closes = [START + (n + 1) * MINUTE for n in range(COUNT)]
        assert seen == list(zip(closes, closes, strict=True))
    assert alone == beside
    assert digest(database, ids[0]) == digest(database, ids[1])
    commands = [event for event in read_log(database, ids[0]) if "command" in event["payload"]]
    assert [event["payload"]["cursorMs"] for event in commands] == [START + n * MINUTE for n in range(4, 36, 5)]
    assert row(database, ids[0], "status") == "finished"
