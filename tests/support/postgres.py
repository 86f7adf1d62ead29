"""Postgres servers for tests: the one all tests share, older ones for SQL tests, private ones to break."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.db.pool import Database as Pool
from app.db.setup import embedded
from app.db.setup.install import install

MEMORY = Path("/dev/shm")
FREE_BYTES = 8 << 30
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


def kill_with_children(process: psutil.Process) -> None:
    """Kill a process and all its children, of which some may end by themselves once it is gone."""
    family = [process, *process.children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10)


@dataclass(frozen=True)
class Database:
    """One test's own database: addresses for the serving role, the owner and the server's administrator."""

    name: str
    url: str
    owner_url: str
    admin_url: str

    def query(self, statement: str, *arguments: object) -> list[tuple]:
        """Run one statement as the serving role and return its rows."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            cursor = conn.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def open_pool(database: Database) -> AsyncIterator[Pool]:
    """Connect to the database directly, not through a server."""
    opened = Pool(database.url, size=1, application_name="zeon test")
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


class Postgres:
    """A server that hands out databases cloned from one installed template."""

    strategy = "WAL_LOG"
    """How a database is cloned. FILE_COPY takes half the time where nothing is written to a disk, else far more."""

    def __init__(self, label: str, admin_url: str, stop: Callable[[], None] = lambda: None) -> None:
        self.label = label
        self.admin_url = admin_url
        self.stop = stop
        suffix = secrets.token_hex(4)
        self.owner, self.serving = f"zeon_test_owner_{suffix}", f"zeon_test_{suffix}"
        self.prefix = f"zeon_test_{suffix}"
        self._count = 0
        self._open_connection: psycopg.Connection | None = None

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.admin_url, autocommit=True)

    @property
    def _connection(self) -> psycopg.Connection:
        """A connection that stays open from one test to the next."""
        if self._open_connection is None:
            self._open_connection = self.admin()
        return self._open_connection

    def _close(self) -> None:
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None

    def new_database(self, *, empty: bool = False) -> Database:
        """Make a database; `empty` has no tables and is owned by the owner role."""
        source = "template1" if empty else self.template.name
        self._count += 1
        database = self._database(f"{self.prefix}_{os.getpid()}_{self._count}")
        self._roles  # noqa: B018 - made when first needed
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY " + self.strategy)
        self._connection.execute(query.format(*map(sql.Identifier, (database.name, source, self.owner))))
        return database

    def drop(self, database: Database) -> list[str]:
        """Drop a database; answers which connections were still open after two seconds."""
        left = _connections(self._connection, database.name)
        self._connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))
        return left

    def clean_up(self) -> None:
        """Remove the template and the roles, then stop the server where it is ours."""
        if "_roles" in self.__dict__:
            if "template" in self.__dict__:
                name = sql.Identifier(self.template.name)
                self._connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            for role in (self.serving, self.owner):
                self._connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        self._close()
        self.stop()

    @cached_property
    def template(self) -> Database:
        """The database all others are cloned from, installed once."""
        template = self.new_database(empty=True)
        install(template.owner_url, self.serving)
        return template

    @cached_property
    def _roles(self) -> None:
        """Make an owner and a serving role, neither of them superuser."""
        with self.admin() as conn:
            for role in (self.owner, self.serving):
                query = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                conn.execute(query.format(sql.Identifier(role), sql.Literal(role)))

    def _database(self, name: str) -> Database:
        def address(**changed: str) -> str:
            return make_conninfo(self.admin_url, dbname=name, **changed)

        return Database(
            name,
            url=as_url(address(user=self.serving, password=self.serving)),
            owner_url=as_url(address(user=self.owner, password=self.owner)),
            admin_url=as_url(address()),
        )


class PrivatePostgres(Postgres):
    """An embedded server of one test, to be stopped, killed and started again."""

    strategy = "FILE_COPY"

    def __init__(self, label: str, **options: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zeon-test-", dir=memory_folder()))
        settings = {**SETTINGS, **options.pop("settings", {})}  # type: ignore[dict-item]
        self.embedded = embedded.start(self.folder, settings=settings, **options)  # type: ignore[arg-type]
        super().__init__(label, self.embedded.url_for("postgres", "postgres"), self._remove)

    def restart(self, mode: str = "immediate") -> None:
        """Restart the server; `immediate` is a crash followed by recovery."""
        self._close()
        self.embedded.pg_ctl("restart", "-m", mode)

    def shut_down(self, mode: str = "immediate") -> None:
        """Stop the server and leave it down."""
        self._close()
        self.embedded.pg_ctl("stop", "-m", mode)

    def start(self) -> None:
        """Start the server after `shut_down` or `kill`."""
        self.embedded.pg_ctl("start")

    def kill(self) -> None:
        """Kill every process of the server with SIGKILL."""
        self._close()
        pid = int((self.embedded.pgdata / "postmaster.pid").read_text().split("\n")[0])
        kill_with_children(psutil.Process(pid))

    def _remove(self) -> None:
        self._close()
        self.embedded.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def as_url(conninfo: str) -> str:
    """Write a libpq address as a URL."""
    from urllib.parse import quote, urlencode

    values = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    user, password, name = (quote(values.pop(key, ""), safe="") for key in ("user", "password", "dbname"))
    return f"postgresql://{user}{password and ':' + password}@/{name}?{urlencode(values)}"


def postgres_source() -> str:
    """Say where tests find their Postgres: `DATABASE_URL`, `docker` or `embedded`."""
    if os.environ.get("DATABASE_URL"):
        return "DATABASE_URL"
    return "docker" if _docker_answers() else "embedded"


def describe(postgres_source: str) -> str:
    """Return the line of pytest's header that says which Postgres is used."""
    if postgres_source == "DATABASE_URL":
        target = conninfo_to_dict(os.environ["DATABASE_URL"])
        return f"postgres: DATABASE_URL ({target.get('host', 'local')}:{target.get('port', 5432)})"
    return "postgres: postgres:18 in Docker" if postgres_source == "docker" else "postgres: embedded 18, fsync off"


def main_server(postgres_source: str) -> Postgres:
    """Open or start the server that all tests share."""
    if postgres_source == "DATABASE_URL":
        return Postgres(postgres_source, os.environ["DATABASE_URL"])
    return _docker_server() if postgres_source == "docker" else PrivatePostgres(postgres_source)


def older_servers() -> dict[str, Path]:
    """Return the programs of the older Postgres versions found here, by label."""
    result = {"16": embedded.binaries(16)}
    if DEBIAN_15.is_dir():
        result["15"] = DEBIAN_15
    return result


def memory_folder() -> Path | None:
    """Return a folder in memory with much room, if there is one; on a disk dropped files cost the suite much time."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= FREE_BYTES:
        return MEMORY
    return None


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _docker_server() -> Postgres:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from testcontainers.postgres import PostgresContainer

        container = PostgresContainer("postgres:18", driver=None)
        container.start()
    return Postgres("docker", container.get_connection_url(), container.stop)


def _connections(conn: psycopg.Connection, database: str) -> list[str]:
    """Return what is still connected to a database, after a moment for connections that are closing."""
    query = (
        "SELECT format('%%s [%%s] %%s', application_name, state, left(query, 80)) FROM pg_stat_activity"
        " WHERE datname = %s AND backend_type = 'client backend'"
    )
    deadline = time.monotonic() + 20
    while left := [row[0] for row in conn.execute(query, [database])]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.005)
    return []
