"""What a session waits for at the end of the cache: over HTTP, on the command line and while a log is followed."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server

ENDLESS = {"endMs": None, "gapPolicy": "skip"}


def path(session: dict[str, Any]) -> str:
    return f"{SESSIONS}/{session['id']}"


async def started(server: InProcessServer, **changes: Any) -> dict[str, Any]:
    session = await server.create(**changes)
    await server.data("POST", f"{path(session)}/start")
    return session


async def waiting_at(server: InProcessServer, session: dict[str, Any], open_time_ms: int) -> dict[str, Any]:
    """Poll a session until it waits for the candle of a time; returns what it says."""
    deadline = time.monotonic() + 20
    while (waiting := (await server.data("GET", path(session))).get("waitingFor"), {})[0] is None or (
        waiting["openTimeMs"] != open_time_ms
    ):
        assert time.monotonic() < deadline, waiting
        await asyncio.sleep(0.02)
    return waiting


async def test_an_endless_session_says_which_candle_it_waits_for_and_what_to_type(database: Database) -> None:
    async with running_server(database, candles=10) as server:
        session = await started(server, **ENDLESS)
        waiting = await waiting_at(server, session, START_MS + 10 * MINUTE)
        assert waiting == {
            "symbols": ["BTCUSDT"],
            "openTimeMs": START_MS + 10 * MINUTE,
            "dueMs": START_MS + 25 * MINUTE,
            "text": "It waits for BTCUSDT 1m from 2024-01-01 00:10:00Z on, which venue demo does not have in the cache"
            " yet. Add candles with: zeon candles import FILE --symbol BTCUSDT --timeframe 1m --venue demo"
            " (or zeon candles follow).",
        }
        (listed,) = (await server.data("GET", SESSIONS))["sessions"]
        assert listed["waitingFor"] == waiting
        await store(server.served.sim.database, count=20)
        await waiting_at(server, session, START_MS + 20 * MINUTE)
        paused = await server.data("POST", f"{path(session)}/pause")
        assert "waitingFor" not in paused
        assert "waitingFor" not in await server.data("GET", path(session))


async def test_one_that_never_had_a_candle_waits_for_its_first(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        session = await started(server, **ENDLESS | {"startMs": START_MS + 1})
        assert (await waiting_at(server, session, START_MS + MINUTE))["symbols"] == ["BTCUSDT"]


async def test_a_session_under_way_waits_for_nothing(database: Database) -> None:
    async with running_server(database, candles=100) as server:
        session = await started(server, **ENDLESS | {"replayMsPerCandle": 60_000})
        assert "waitingFor" not in await server.data("GET", path(session))
        bounded = await started(server, replayMsPerCandle=60_000)
        assert "waitingFor" not in await server.data("GET", path(bounded))


async def test_a_candle_that_is_not_due_yet_is_reported_with_its_time(database: Database) -> None:
    now_ms = time.time_ns() // 1_000_000 // MINUTE * MINUTE
    async with running_server(database, candles=0) as server:
        await store(server.served.sim.database, count=10, start_ms=now_ms - 9 * MINUTE)
        session = await started(server, **ENDLESS | {"startMs": now_ms - 9 * MINUTE, "lagMs": 0})
        waiting = await waiting_at(server, session, now_ms)
        assert (waiting["symbols"], waiting["dueMs"]) == ([], now_ms + MINUTE)
        assert waiting["text"].startswith("It waits for the 1m candle of ")
        assert "due at" in waiting["text"]


@pytest.mark.parametrize(("policy", "waits"), [("fail", True), ("skip", False)])
async def test_one_symbol_holds_up_the_others_only_where_there_may_be_no_gap(
    database: Database, policy: str, waits: bool
) -> None:
    changes = ENDLESS | {"symbol": None, "symbols": ["BTCUSDT", "ETHUSDT"], "gapPolicy": policy}
    async with running_server(database, candles=10) as server:
        await store(server.served.sim.database, symbol="ETHUSDT", count=5)
        session = await started(server, **changes)
        waiting = await waiting_at(server, session, START_MS + (5 if waits else 10) * MINUTE)
        assert waiting["symbols"] == (["ETHUSDT"] if waits else ["BTCUSDT", "ETHUSDT"])


async def test_where_a_source_is_asked_nothing_is_to_be_typed(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "btc.csv"
    candles = made_up("BTCUSDT", "1m", START_MS, START_MS + 10 * MINUTE)
    file.write_text("".join(f"{c.open_time_ms},{','.join(map(str, c[4:9]))}\n" for c in candles))
    async with running_server(database, candles=0, sources=f"files=csv:{file}") as server:
        session = await started(server, **ENDLESS | {"venue": "files"})
        assert (await waiting_at(server, session, START_MS + 10 * MINUTE))["text"] == (
            "It waits for BTCUSDT 1m from 2024-01-01 00:10:00Z on, which the source of venue files does not have yet;"
            " the server keeps asking it."
        )


async def test_the_command_line_says_it_too(database: Database) -> None:
    async with running_server(database, candles=10) as server:
        cli = Cli(database)
        session = await started(server, **ENDLESS)
        text = (await waiting_at(server, session, START_MS + 10 * MINUTE))["text"]
        assert text in await asyncio.to_thread(cli, "sessions", "show", session["id"])
        assert "waiting" in await asyncio.to_thread(cli, "sessions", "list")
        with cli.start("tail", session["id"], stderr=subprocess.PIPE) as tail:
            assert tail.stderr is not None
            assert (await asyncio.to_thread(tail.stderr.readline)).strip() == text
            tail.terminate()
            await asyncio.to_thread(tail.communicate)


async def test_a_session_that_meets_a_gap_as_it_runs_says_what_is_there(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        pool = server.served.sim.database
        await store(pool, count=50)
        session = await started(server, endMs=START_MS + 50 * MINUTE, replayMsPerCandle=100)
        await pool.run(cache.delete, "demo", "BTCUSDT", "1m")
        await store(pool, count=10)
        failed = await server.until(path(session), "failed")
        assert "BTCUSDT 1m is cached 2024-01-01 00:00 to 2024-01-01 00:09 at venue demo." in failed["error"]
