"""An unmodified freqtrade trades three months of hourly candles, three times; `zeon verify` proves each."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.db import candles
from tests.bots.packages import FREQTRADE, environment
from tests.integration.bots.test_run import busy
from tests.paths import ROOT
from tests.reference import DATA
from tests.reference import candles as read
from tests.support.cli import Cli
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import START_MS, store
from tests.support.server_process import ServerProcess, StartServer
from tests.support.session_log import digest, read_log, row

pytestmark = [pytest.mark.bots, pytest.mark.timeout(7200)]

HOUR = 3_600_000
DAYS = int(os.environ.get("ZEON_BOTS_DAYS", "91"))
SYMBOLS = ("BTCUSDT", "ETHUSDT")
EXAMPLE = ROOT / "examples" / "bots" / "freqtrade"
VENUE = "binance" if (DATA / "BTCUSDT-1h.csv.gz").exists() else "demo"


@pytest.fixture
def server(database: Database, start_server: StartServer) -> ServerProcess:
    """A server with the real candles of 2024, or generated ones where they are missing."""
    asyncio.run(store_candles(database))
    return start_server(database, ZEON_BURST=100_000)


async def store_candles(database: Database) -> None:
    near = range(START_MS - 50 * 24 * HOUR, START_MS + DAYS * 24 * HOUR)
    async with open_pool(database) as pool:
        for symbol in SYMBOLS:
            if VENUE == "demo":
                await store(pool, symbol=symbol, timeframe="1h", count=len(near) // HOUR, start_ms=near.start)
            else:
                found = [candle for candle in read(f"{symbol}-1h.csv") if candle.open_time_ms in near]
                await pool.run(candles.store, VENUE, symbol, "1h", found)


@pytest.fixture
def cli(database: Database, tmp_path: Path) -> Cli:
    return Cli(database, folder=tmp_path)


def new(cli: Cli) -> str:
    symbols = [argument for symbol in SYMBOLS for argument in ("--symbol", symbol)]
    times = ("--timeframe", "1h", "--start", START_MS, "--end", START_MS + DAYS * 24 * HOUR, "--ms-per-candle", 0)
    return str(cli.json("sessions", "create", *symbols, *times, "--venue", VENUE, "--profile", "manual")["id"])


def trade(cli: Cli, server: ServerProcess, session_id: str) -> float:
    """Run freqtrade in a session to its end; return how many candles it got per second."""
    folder = cli.folder / session_id
    (folder / "user").mkdir(parents=True)
    command = [
        "zeon", "run", session_id, "--server", server.url, "--requests", folder / "requests", "--",
        "freqtrade", "trade", "-c", EXAMPLE / "config.json", "-c", "{freqtrade}", "--userdir", folder / "user",
        "--strategy-path", EXAMPLE, "--strategy", "EmaCross",
    ]  # fmt: skip
    programs = (environment(FREQTRADE), ROOT / ".venv" / "bin")
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    began = time.monotonic()
    with (folder / "output").open("w") as output:
        done = subprocess.run(command, env={**cli.env, "PATH": path}, stdout=output, stderr=output, timeout=6000)
    assert done.returncode == 0, (folder / "output").read_text()[-3000:]
    return DAYS * 24 / (time.monotonic() - began)


def asked(cli: Cli, session_id: str) -> Mapping[tuple[str, str], int]:
    """How often the candles of a symbol were asked for while a candle was the newest."""
    lines = (cli.folder / session_id / "requests").read_text()
    return Counter(re.findall(r"^(\S+ \S+) GET \S+/klines\?\S*symbol=(\w+)", lines, re.MULTILINE))


@contextmanager
def flattened_by_hand(database: Database, server: ServerProcess, session_id: str) -> Iterator[list[Any]]:
    """Close the position of a session over HTTP, once there is one after its first days."""
    url = f"{server.url}/api/sim/sessions/{session_id}"
    closed: list[Any] = []
    over = threading.Event()

    def call(path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        ) as answer:
            return json.load(answer)["data"]

    def watch() -> None:
        while not over.wait(0.05) and not closed:
            if (row(database, session_id, "cursor_ms") or 0) > START_MS + 48 * HOUR and call("/account")["positions"]:
                closed.extend(call("/close", {"fill": "same_close", "reason": "by hand"})["orders"])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield closed
    finally:
        over.set()
        thread.join()


def test_freqtrade_trades_alike_beside_a_busy_machine_and_goes_on_when_a_human_flattens_its_position(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    environment(FREQTRADE)
    ids = [new(cli) for _ in range(3)]
    print(f"{trade(cli, server, ids[0]):.1f} candles per second")
    with busy():
        trade(cli, server, ids[1])
    with flattened_by_hand(database, server, ids[2]) as closed:
        trade(cli, server, ids[2])
    alone, beside, flattened = (digest(database, id_) for id_ in ids)
    assert alone == beside
    assert [order["status"] for order in closed] == ["filled"] * len(closed) != []
    assert flattened != alone
    trades = [event for event in read_log(database, ids[0]) if event["type"] == "trade"]
    assert len(trades) >= min(20, DAYS // 4)
    for id_ in ids:
        closes = {cli_time(START_MS + n * HOUR) for n in range(1, DAYS * 24 + 1)}
        counted = asked(cli, id_)
        assert {time for time, _ in counted} >= closes
        assert {counted[time, symbol] for time in closes for symbol in SYMBOLS} == {1}
        assert row(database, id_, "status") == "finished"
        cli("verify", id_)


def cli_time(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time_ms / 1000))
