"""A real PgBouncer in front of a private Postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database, PrivatePostgres
from tests.support.replication import moved
from tests.support.server_process import free_port


def installed() -> str | None:
    """Return the program, null if it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(
    postgres: PrivatePostgres,
    mode: str,
    *,
    port: int | None = None,
    roles_of: PrivatePostgres | None = None,
    **settings: object,
) -> Iterator[int]:
    """Run PgBouncer in a pool mode; yields its port. Skips the test where it is not installed.

    It lets in the roles of that server, or of the one it is a copy of.
    """
    program = installed()
    if program is None:
        pytest.skip("PgBouncer is not installed")
    port, owner = port or free_port(), postgres.embedded.pgdata.stat()
    roles = roles_of or postgres
    users = "".join(f'"{name}" "{name}"\n' for name in (roles.serving, roles.owner, "postgres"))
    config = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "trust",
        "pool_mode": mode,
        "ignore_startup_parameters": "options",
        "default_pool_size": 40,
        **settings,
    }
    with tempfile.TemporaryDirectory(prefix="zeon-test-") as folder:
        Path(folder).chmod(0o755)
        names, ini = Path(folder, "users.txt"), Path(folder, "pgbouncer.ini")
        names.write_text(users)
        lines = [f"{name} = {value}" for name, value in {**config, "auth_file": names}.items() if value is not None]
        socket = postgres.embedded.socket_dir
        ini.write_text(f"[databases]\n* = host={socket} port=5432\n[pgbouncer]\n" + "\n".join(lines) + "\n")
        account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        process = subprocess.Popen([program, "-q", str(ini)], **account)  # type: ignore[call-overload]
        try:
            _wait(process, port, roles.serving)
            yield port
        finally:
            process.kill()
            process.wait()


def pooled(database: Database, port: int) -> Database:
    """Return a database as it is reached through a pooler; the owner's address stays direct."""
    through = moved(database, {"host": "127.0.0.1", "port": str(port)})
    return Database(database.name, through.url, database.owner_url, database.admin_url)


def _wait(process: subprocess.Popen[bytes], port: int, user: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        assert process.poll() is None, "PgBouncer has ended"
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user={user} dbname=postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PgBouncer does not answer"
            time.sleep(0.05)
        else:
            return
