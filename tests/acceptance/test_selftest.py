"""The self test of `zeon selftest`, on an empty database, with running servers, and when it fails."""

from __future__ import annotations

import signal
import time

import psycopg
import pytest

from app.cli import selftest
from app.db.setup.location import DatabaseLocation
from app.settings import load
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer

pytestmark = pytest.mark.selftest


def left(database: Database) -> list[tuple]:
    """Return what a self test left in the database."""
    return [
        row
        for table, column in {
            "sim_sessions": "user_id",
            "market_candles": "venue",
            "market_coverage": "venue",
            "sim_runners": "name",
        }.items()
        for row in database.query(f"SELECT '{table}', * FROM {table} WHERE {column} = 'selftest'")
    ] + database.query("SELECT 'sim_events', * FROM sim_events")


@pytest.mark.alone
async def test_a_session_starts_goes_on_pauses_and_resumes(database: Database) -> None:
    lines: list[str] = []
    began = time.monotonic()
    location = DatabaseLocation(database.url, database.owner_url, database.url)
    await selftest.run(load(database_url=database.url), location, lines.append)
    assert time.monotonic() - began < 15
    assert [line.split()[0] for line in lines] == ["stored", "created", "started", "paused", "resumed", "passed"]
    assert left(database) == []


def test_it_works_beside_servers_that_share_the_database_and_twice_at_once(
    database: Database, start_server: StartServer
) -> None:
    start_server(database, ZEON_ON_ORPHAN="resume")
    start_server(database)
    cli = Cli(database)
    with cli.start("selftest") as first, cli.start("selftest") as second:
        results = [process.communicate(timeout=40)[0].splitlines()[-1] for process in (first, second)]
    assert all(line.startswith("passed in ") for line in results)
    assert (first.returncode, second.returncode) == (0, 0)
    assert left(database) == []


def test_when_it_fails_it_says_why_and_leaves_nothing(database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE sim_events ADD CHECK (type <> 'candle')")
    assert "the session failed: Postgres refused the tick" in Cli(database).error("selftest")
    assert left(database) == []


def test_what_a_killed_one_left_the_next_one_removes(database: Database) -> None:
    cli = Cli(database)
    with cli.start("selftest") as killed:
        assert killed.stdout is not None
        while "started" not in killed.stdout.readline():
            pass
        killed.send_signal(signal.SIGKILL)
    assert left(database)
    cli("selftest")
    assert left(database) == []


def test_interrupted_it_removes_what_it_made(database: Database) -> None:
    with Cli(database).start("selftest") as interrupted:
        assert interrupted.stdout is not None
        while "created" not in interrupted.stdout.readline():
            pass
        interrupted.send_signal(signal.SIGTERM)
        assert interrupted.wait(10) == 130
    assert left(database) == []
