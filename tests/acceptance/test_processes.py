"""Several server processes on one database: who runs a session, who takes it over, who may end it."""

from __future__ import annotations

import asyncio
import signal
import time

import psycopg
import pytest

from tests.acceptance.test_log_and_session import ENDLESS, candles, minutes, quiet
from tests.support.engine import MINUTE, START_MS
from tests.support.outside import QUICK, call, client, digest, hurry, log, opens, row, until
from tests.support.servers import Database
from tests.support.web import SESSIONS, Client


@pytest.mark.parametrize("orphans", ["resume", "pause"])
async def test_a_runner_stopped_past_its_ttl_replaced_and_continued_its_late_write_is_refused(
    database: Database, zeon, orphans: str
) -> None:
    await candles(database, 200)
    asked = {"replayMsPerCandle": 200, "endMs": START_MS + 200 * MINUTE}
    environment = QUICK | {"ZEON_RUNNER_TTL_MS": 3000, "ZEON_ON_ORPHAN": orphans}
    stalled, other = (zeon(database, **environment, ZEON_RUNNER=name) for name in ("stalled", "other"))
    async with client(stalled) as late, client(other) as c:
        undisturbed = (await c.finished(endMs=asked["endMs"]))["id"]
        session_id = (await late.create(**asked))["id"]
        await call(late, session_id, "start")
        await until(lambda: row(database, session_id, "last_seq") > 5)
        stalled.signal(signal.SIGSTOP)
        await until(lambda: row(database, session_id, "runner") != "stalled")
        stalled.signal(signal.SIGCONT)
        await until_running(late, 0)
        if orphans == "pause":
            assert row(database, session_id, "status") == "paused"
            await quiet(database, session_id)
            await call(c, session_id, "resume")
        assert row(database, session_id, "runner") == "other"
        await hurry(c, session_id)
        await c.until(f"{SESSIONS}/{session_id}", "finished")
    assert opens(log(database, session_id)) == minutes(200)
    assert digest(database, session_id) == digest(database, undisturbed)


async def until_running(c: Client, count: int) -> None:
    """Wait until so many sessions run in a process."""
    deadline = time.monotonic() + 20
    while f"zeon_sessions_running {count}\n" not in (await c.call("GET", "/metrics")).text:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_two_processes_share_a_database_either_shows_and_stops_what_the_other_runs(
    database: Database, zeon
) -> None:
    await candles(database)
    one, two = zeon(database, **QUICK), zeon(database, **QUICK)
    async with client(one) as a, client(two) as b:
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
            await hurry(a, session_id)
            await stream.rest()
    assert stream.events == log(database, session_id)
    assert opens(stream.events) == minutes(100)


async def test_two_simultaneous_starts_make_one_runner(database: Database, zeon) -> None:
    await candles(database)
    one, two = zeon(database, **QUICK), zeon(database, **QUICK)
    async with client(one) as a, client(two) as b:
        for _ in range(5):
            session_id = (await a.create(replayMsPerCandle=60_000))["id"]
            started = await asyncio.gather(*(call(c, session_id, "start") for c in (a, b) * 5))
            assert {session["status"] for session in started} == {"running"}
            await hurry(a, session_id)
            await a.until(f"{SESSIONS}/{session_id}", "finished")
            events = log(database, session_id)
            assert opens(events) == minutes(100)
            assert [event["payload"]["status"] for event in events if event["type"] == "status"] == [
                "running",
                "finished",
            ]


async def test_with_notify_switched_off_altogether_everything_still_passes_only_slower(
    database: Database, zeon
) -> None:
    await candles(database)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.name} SET zeon.notify = 'off'")
    one, two = zeon(database, **QUICK), zeon(database, **QUICK)
    async with client(one) as a, client(two) as b:
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
            await candles(database, 110)
            await until(lambda: row(database, session_id, "cursor_ms") == START_MS + 109 * MINUTE)
            await call(a, session_id, "stop")
            await stream.rest()
    assert stream.events == log(database, session_id)
    assert opens(stream.events) == minutes(110)
