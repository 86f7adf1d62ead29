"""The clock of a machine is set by hours in both directions while sessions run on it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client import call, connect
from tests.support.postgres import Database, PrivatePostgres, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import StartServer, until
from tests.support.session_log import digest, payloads, read_log, row

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
CANDLES = 400
PACE_MS = 40
QUICK = {"ZEON_RENEW_MS": 200, "ZEON_RUNNER_TTL_MS": 1500, "ZEON_POLL_MS": 200, "ZEON_ON_ORPHAN": "resume"}


@contextmanager
def settable_clock() -> Iterator[tuple[dict[str, str], Callable[[int], None]]]:
    """Yield the environment of processes whose wall clock can be set, and the function that sets it, in hours."""
    if not LIBRARY.exists():
        pytest.skip("libfaketime is not installed")
    folder = Path(tempfile.mkdtemp(prefix="zeon-test-"))
    file = folder / "clock"
    folder.chmod(0o755)  # Postgres runs under another account.

    def set_by(hours: int) -> None:
        other = file.with_suffix(".new")
        other.write_text(f"{hours:+d}h\n")
        other.chmod(0o644)
        other.rename(file)

    set_by(0)
    env = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    try:
        yield env, set_by
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, dict[str, str], Callable[[int], None]]]:
    """A database whose Postgres has a clock that can be set, and the environment of servers with the same clock."""
    with settable_clock() as (env, set_by):
        with monkeypatch.context() as patched:
            for name, value in env.items():
                patched.setenv(name, value)
            postgres = PrivatePostgres("clock")
        yield postgres.new_database(), env, set_by
        postgres.stop()


async def test_a_clock_set_by_hours_neither_changes_the_pace_nor_makes_living_servers_look_dead(
    machine: tuple[Database, dict[str, str], Callable[[int], None]], start_server: StartServer
) -> None:
    database, env, set_by = machine
    async with open_pool(database) as side:
        await store(side, count=CANDLES)
    servers = [start_server(database, **QUICK, **env, ZEON_RUNNER=name, PYTHONHASHSEED="0") for name in ("a", "b")]
    async with connect(servers[0]) as client:
        undisturbed = (await client.finished(endMs=START_MS + CANDLES * MINUTE))["id"]
        body = {"endMs": START_MS + CANDLES * MINUTE, "replayMsPerCandle": PACE_MS}
        session_id = (await client.create(**body))["id"]
        await call(client, session_id, "start")
        begun = time.monotonic()
        for number, hours in enumerate((3, -3, 7, 0), 1):
            await until(lambda goal=number * 60: row(database, session_id, "last_seq") > goal)
            before = clock(database)
            set_by(hours)
            assert abs(clock(database) - before) > 3000, "The clock of Postgres was not set."
        await until(lambda: row(database, session_id, "status") == "finished", timeout_s=60)
        took = time.monotonic() - begun
    assert CANDLES * PACE_MS / 1000 * 0.9 < took < CANDLES * PACE_MS / 1000 * 1.5 + 5
    events = read_log(database, session_id)
    assert [payload["reason"] for payload in payloads(events, "status")] == ["started", "end of range"]
    assert payloads(events, "control") == []
    assert digest(database, session_id) == digest(database, undisturbed)


async def test_a_dead_server_is_noticed_although_the_clock_was_set_back(
    machine: tuple[Database, dict[str, str], Callable[[int], None]], start_server: StartServer
) -> None:
    database, env, set_by = machine
    async with open_pool(database) as side:
        await store(side, count=CANDLES)
    dying, other = (start_server(database, **QUICK, **env, ZEON_RUNNER=name, PYTHONHASHSEED="0") for name in ("a", "b"))
    async with connect(dying) as client:
        session_id = (await client.create(endMs=START_MS + CANDLES * MINUTE, replayMsPerCandle=PACE_MS))["id"]
        await call(client, session_id, "start")
    dying.kill()
    set_by(-5)
    await until(lambda: row(database, session_id, "runner") == "b", timeout_s=20)
    assert other.alive()


def clock(database: Database) -> float:
    return float(database.query("SELECT extract(epoch FROM clock_timestamp())")[0][0])
