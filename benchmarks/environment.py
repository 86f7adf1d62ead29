"""Where it is measured: an embedded Postgres with the settings of production, and a fresh database per module."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from app.candles.sources import synthetic
from app.clock import Clock
from app.db import candles, sessions
from app.db.pool import Connection, Database
from app.db.setup.embedded import OWNER, SERVING, Embedded, start
from app.db.setup.install import install
from app.domain.session import Pace, Session, SessionSpec
from app.engine.session_service import SessionService
from app.engine.supervisor import Supervisor
from app.settings import load

USER = "local"
START_MS = 1_704_067_200_000  # 2024-01-01
MINUTE = 60_000
_names = count(1)


@dataclass(frozen=True)
class BenchDatabase:
    """One database: its addresses for the serving role, the owner of the tables and the administrator."""

    url: str
    owner_url: str
    admin_url: str

    def owner(self, statement: str) -> None:
        """Run a statement as the owner of the tables."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute(statement)

    def settle(self) -> None:
        """Make a checkpoint: what was written before is out of the way.

        The files of its write-ahead log are used again, as on a server that has run for a while. One that is new makes
        each of them as it goes and fills it with zeros, which took up to a fifth of a session's time.
        """
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute("CHECKPOINT")


@contextmanager
def postgres() -> Iterator[Embedded]:
    """Run an embedded Postgres in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="zeon-bench-"))
    server = start(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(server: Embedded) -> Iterator[BenchDatabase]:
    """Install a database of its own and drop it afterwards, settled by a checkpoint for the next one."""
    name = f"bench{next(_names)}"
    admin_url = server.url_for("postgres", "postgres")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        fresh = BenchDatabase(server.url_for(SERVING, name), server.url_for(OWNER, name), admin_url)
        install(fresh.owner_url, SERVING)
        try:
            yield fresh
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            fresh.settle()


@asynccontextmanager
async def pool(target: BenchDatabase, size: int = 8) -> AsyncIterator[Database]:
    """Open a pool as the serving role."""
    database = Database(target.url, size=size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@dataclass(frozen=True)
class Engine:
    """What runs sessions in this process."""

    database: Database
    supervisor: Supervisor
    sim: SessionService


@asynccontextmanager
async def engine(target: BenchDatabase, clock: Clock | None = None) -> AsyncIterator[Engine]:
    """Run an engine in this process, with the settings of production but no limit of sessions per user."""
    clock = clock or Clock()
    settings = load(database_url=target.url, runner="bench", max_running=1_000_000)
    async with pool(target, settings.pool_size) as database:
        supervisor = Supervisor(database, settings, listen_url=target.url, clock=clock)
        await supervisor.open()
        try:
            yield Engine(database, supervisor, SessionService(database, settings, clock, supervisor))
        finally:
            await supervisor.close()


def spec(candles: int, **changes: Any) -> SessionSpec:
    """Describe a session over made-up minutes, unpaced unless told otherwise."""
    plain = SessionSpec(
        profile_slug="none",
        venue="demo",
        symbols=("BTCUSDT",),
        timeframe="1m",
        start_ms=START_MS,
        end_ms=START_MS + candles * MINUTE,
        lag_ms=900_000,
        pace=Pace(0),
        gap_policy="fail",
        gap_grace_ms=MINUTE,
    )
    return replace(plain, **changes)


async def store(database: Database, count: int, symbols: tuple[str, ...] = ("BTCUSDT",)) -> None:
    """Store made-up minutes of some symbols."""
    for symbol in symbols:
        minutes = synthetic.candles(symbol, "1m", START_MS, START_MS + count * MINUTE)
        await database.run(candles.store, "demo", symbol, "1m", minutes)


async def running(connection: Connection, count: int) -> list[Session]:
    """Make sessions that are running as far as the log knows, so that ticks can be appended by hand."""
    started = []
    for _ in range(count):
        session, _ = await sessions.create(connection, USER, spec(1))
        moved = await sessions.transition(connection, session.id, "start", reason="bench", by="bench")
        assert moved is not None
        started.append(moved)
    return started
