"""Several server processes on one database: who runs a session, who takes it over, who may end it."""

from __future__ import annotations

import asyncio
import signal
import time

import psycopg
import pytest

from tests.acceptance.test_log_and_session import ENDLESS, minutes, quiet, store_candles
from tests.support.client import SESSIONS, Client, call, connect, run_unpaced
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, open_times, read_log, row


@pytest.mark.parametrize("orphans", ["resume", "pause"])
async def test_a_runner_stopped_past_its_ttl_replaced_and_continued_its_late_write_is_refused(
    database: Database, start_server: StartServer, orphans: str
) -> None:
    await store_candles(database, 200)
    request = {"replayMsPerCandle": 200, "endMs": START_MS + 200 * MINUTE}
    environment = QUICK | {"ZEON_RUNNER_TTL_MS": 3000, "ZEON_ON_ORPHAN": orphans}
    stalled, other = (start_server(database, **environment, ZEON_RUNNER=name) for name in ("stalled", "other"))
    async with connect(stalled) as late, connect(other) as client:
        undisturbed = (await client.finished(endMs=request["endMs"]))["id"]
        session_id = (await late.create(**request))["id"]
        await call(late, session_id, "start")
        await until(lambda: row(database, session_id, "last_seq") > 5)
        stalled.signal(signal.SIGSTOP)
        await until(lambda: row(database, session_id, "runner") != "stalled")
        stalled.signal(signal.SIGCONT)
        await until_running(late, 0)
        if orphans == "pause":
            assert row(database, session_id, "status") == "paused"
            await quiet(database, session_id)
            await call(client, session_id, "resume")
        assert row(database, session_id, "runner") == "other"
        await run_unpaced(client, session_id)
        await client.until(f"{SESSIONS}/{session_id}", "finished")
    assert open_times(read_log(database, session_id)) == minutes(200)
    assert digest(database, session_id) == digest(database, undisturbed)


async def until_running(client: Client, count: int) -> None:
    """Wait until so many sessions run in a process."""
    deadline = time.monotonic() + 20
    while f"zeon_sessions_running {count}.0\n" not in (await client.call("GET", "/metrics")).text:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_two_processes_share_a_database_either_shows_and_stops_what_the_other_runs(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    first, second = start_server(database, **QUICK), start_server(database, **QUICK)
    async with connect(first) as a, connect(second) as b:
        session_id = (await a.create(replayMsPerCandle=300))["id"]
        async with b.stream(session_id) as stream:
            await call(a, session_id, "start")
            await stream.until(lambda message: message["type"] == "candle")
            await until_running(a, 1)
            await call(b, session_id, "pause")
            await quiet(database, session_id)
            await until_running(a, 0)
            await call(b, session_id, "resume")
            await until_running(b, 1)
            database.query("SELECT sim_pause(%s)", session_id)
            await quiet(database, session_id)
            await until_running(b, 0)
            database.query("SELECT sim_resume(%s)", session_id)
            await run_unpaced(a, session_id)
            await stream.rest()
    assert stream.events == read_log(database, session_id)
    assert open_times(stream.events) == minutes(100)


async def test_two_simultaneous_starts_make_one_runner(database: Database, start_server: StartServer) -> None:
    await store_candles(database)
    first, second = start_server(database, **QUICK), start_server(database, **QUICK)
    async with connect(first) as a, connect(second) as b:
        for _ in range(5):
            session_id = (await a.create(replayMsPerCandle=60_000))["id"]
            started = await asyncio.gather(*(call(c, session_id, "start") for c in (a, b) * 5))
            assert {session["status"] for session in started} == {"running"}
            await run_unpaced(a, session_id)
            await a.until(f"{SESSIONS}/{session_id}", "finished")
            events = read_log(database, session_id)
            assert open_times(events) == minutes(100)
            assert [event["payload"]["status"] for event in events if event["type"] == "status"] == [
                "running",
                "finished",
            ]


async def test_with_notify_switched_off_altogether_everything_still_passes_only_slower(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.name} SET zeon.notify = 'off'")
    first, second = start_server(database, **QUICK), start_server(database, **QUICK)
    async with connect(first) as a, connect(second) as b:
        session_id = (await a.create(replayMsPerCandle=10, **ENDLESS))["id"]
        async with b.stream(session_id) as stream:
            await call(a, session_id, "start")
            await stream.until(lambda message: message["type"] == "candle")
            await call(b, session_id, "pause")
            await quiet(database, session_id)
            await until_running(a, 0)
            await b.data("PATCH", f"{SESSIONS}/{session_id}", {"replayMsPerCandle": 0})
            database.query("SELECT sim_resume(%s)", session_id)
            await until(lambda: row(database, session_id, "cursor_ms") == START_MS + 99 * MINUTE)
            await store_candles(database, 110)
            await until(lambda: row(database, session_id, "cursor_ms") == START_MS + 109 * MINUTE)
            await call(a, session_id, "stop")
            await stream.rest()
    assert stream.events == read_log(database, session_id)
    assert open_times(stream.events) == minutes(110)
