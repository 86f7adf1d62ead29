"""A disk of the write-ahead log without room: Postgres stops, and sessions wait for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.database.test_full_disk import small_disk
from tests.support.client import SESSIONS, connect
from tests.support.postgres import Database, PrivatePostgres, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, StartServer
from tests.support.session_log import digest, read_log

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
DISK_KB = 48 * 1024
"""Three segments of the log."""
CANDLES = 600
REQUEST = {"endMs": START_MS + CANDLES * MINUTE, "profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}}


@contextmanager
def own_disk_for_wal(postgres: PrivatePostgres) -> Iterator[Path]:
    """Move the write-ahead log of a server to a small disk while it is down."""
    with small_disk(postgres.folder / "small", DISK_KB) as disk:
        postgres.shut_down("fast")
        wal, owner = postgres.embedded.pgdata / "pg_wal", postgres.embedded.pgdata.stat()
        shutil.copytree(wal, disk / "pg_wal")
        for path in (disk, *(disk / "pg_wal").rglob("*"), disk / "pg_wal"):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        (disk / "pg_wal").chmod(0o700)
        shutil.rmtree(wal)
        wal.symlink_to(disk / "pg_wal")
        postgres.start()
        try:
            yield disk
        finally:
            postgres.shut_down()


def use_up(database: Database) -> None:
    """Write to the log until Postgres ends: a full log is a panic."""
    query = "SELECT count(pg_logical_emit_message(false, 'fill', repeat('x', 1000000))) FROM generate_series(1, 200)"
    with psycopg.connect(database.admin_url, autocommit=True) as admin, pytest.raises(psycopg.OperationalError):
        admin.execute(query)


async def test_when_the_disk_of_the_write_ahead_log_is_full_sessions_wait_and_nothing_is_lost(
    start_server: StartServer,
) -> None:
    postgres = PrivatePostgres("small log", settings={"max_wal_size": "32MB", "checkpoint_timeout": "1h"})
    try:
        with own_disk_for_wal(postgres) as disk:
            database = postgres.new_database()
            async with open_pool(database) as side:
                await store(side, count=CANDLES)
            server = start_server(database, **QUICK, ZEON_ON_ORPHAN="resume")
            async with connect(server) as client:
                undisturbed = (await client.finished(**REQUEST))["id"]
                session_id = (await client.create(**REQUEST, replayMsPerCandle=20))["id"]
                await client.data("POST", f"{SESSIONS}/{session_id}/start")
                filler = disk / "filler"
                filler.write_bytes(bytes(shutil.disk_usage(disk).free))
                use_up(database)

                refused = await client.refused(503, "GET", f"{SESSIONS}/{session_id}")
                assert refused["code"] in ("database_away", "database_full")
                filler.unlink()
                postgres.embedded.pg_ctl("start")
                await client.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=90)
            log = [event["seq"] for event in read_log(database, session_id)]
            assert log == list(range(1, len(log) + 1))
            assert digest(database, session_id) == digest(database, undisturbed)
            assert "Traceback" not in server.output
            server.stop()
    finally:
        postgres.stop()
