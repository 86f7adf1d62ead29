"""A disk without room for one more event."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.client import SESSIONS
from tests.support.postgres import Database, PrivatePostgres
from tests.support.running_server import running_server
from tests.support.server_process import until

SIZE_KB = 1024


@contextmanager
def small_disk(folder: Path, size_kb: int = SIZE_KB) -> Iterator[Path]:
    """Mount a small file system in memory; skip the test where that is not possible."""
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def move_events(database: Database, disk: Path, owner: int) -> None:
    """Move the events, and their index, to a disk."""
    os.chown(disk, owner, -1)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        admin.execute("ALTER TABLE sim_events SET TABLESPACE small")


async def test_on_a_full_disk_sessions_wait_and_say_why_and_go_on_when_there_is_room(
    private_postgres: PrivatePostgres,
) -> None:
    database = private_postgres.new_database()
    with small_disk(private_postgres.folder / "small") as disk:
        move_events(database, disk, private_postgres.embedded.pgdata.stat().st_uid)
        async with running_server(database, candles=300) as server:
            undisturbed = await server.finished(endMs=300 * 60_000 + 1_704_067_200_000)
            filler = disk / "filler"
            filler.write_bytes(b"x" * (SIZE_KB * 1024 - used(disk)))
            session = await server.create(endMs=300 * 60_000 + 1_704_067_200_000)
            path = f"{SESSIONS}/{session['id']}"
            await server.data("POST", f"{path}/start")
            async with server.stream(session["id"]) as stream:
                ready = lambda: server.served.sim._supervisor.write_problem  # noqa: E731
                assert "out of disk space" in await until(ready)
                answer = await server.data("GET", "/readyz")
                assert "out of disk space" in answer["writeProblem"]
                assert "\nzeon_writes_wait 1.0\n" in (await server.call("GET", "/metrics")).text
                waiting = await server.data("GET", path)
                assert (waiting["status"], waiting["error"]) == ("running", None)
                filler.unlink()
                await stream.rest(30)
            ended = await server.data("GET", path)
            assert (ended["status"], ended["digest"]) == ("finished", undisturbed["digest"])
            assert stream.ids == list(range(1, ended["lastSeq"] + 1))
            assert (await server.data("GET", "/readyz"))["writeProblem"] is None
        private_postgres.drop(database)
        with private_postgres.admin() as admin:
            admin.execute("DROP TABLESPACE small")


def used(disk: Path) -> int:
    """Return how many bytes of a disk are used."""
    return shutil.disk_usage(disk).used
