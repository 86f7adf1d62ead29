"""An engine in the test's own process, on a real database and real time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

from app.candles.sources import synthetic
from app.clock import Clock
from app.db import candles, sessions
from app.db.log import events
from app.db.pool import Database as Pool
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.session import Pace, Session, SessionSpec
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.settings import Settings, load
from tests.support.postgres import Database

USER = "tester"
START_MS = 1_704_067_200_000  # 2024-01-01
MINUTE = 60_000


def spec(**changes: Any) -> SessionSpec:
    """A session over 100 generated minutes, unpaced, that may have no gaps."""
    plain = SessionSpec(
        profile_slug="none",
        venue="demo",
        symbols=("BTCUSDT",),
        timeframe="1m",
        start_ms=START_MS,
        end_ms=START_MS + 100 * MINUTE,
        lag_ms=900_000,
        pace=Pace(0),
        gap_policy="fail",
        gap_grace_ms=60_000,
    )
    return replace(plain, **changes)


def settings(database: Database, **changes: Any) -> Settings:
    """Settings of a process on the test's database, quick to notice things."""
    quick = {"runner": "one", "renew_ms": 100, "runner_ttl_ms": 1000, "poll_ms": 200}
    return load(database_url=database.url, **(quick | changes))


@dataclass
class Engine:
    """One process's engine, and shorthands for tests."""

    pool: Pool
    supervisor: Supervisor
    sim: SessionService

    async def create(self, **changes: Any) -> Session:
        return (await self.sim.create(USER, spec(**changes)))[0]

    async def start(self, **changes: Any) -> Session:
        session = await self.create(**changes)
        return await self.sim.start(USER, session.id)

    async def act(self, session_id: UUID, call: str, pace: Pace | None = None, **arguments: Any) -> Session:
        return await self.sim.act(USER, session_id, Action(call, pace, **arguments))

    async def get(self, session_id: UUID) -> Session:
        return await self.pool.run(sessions.get, session_id)

    async def until(self, session_id: UUID, fits: Callable[[Session], bool], timeout_s: float = 20) -> Session:
        """Poll the session until it fits."""
        deadline = time.monotonic() + timeout_s
        while not fits(session := await self.get(session_id)):
            assert time.monotonic() < deadline, session
            await asyncio.sleep(0.01)
        return session

    async def finished(self, session_id: UUID) -> Session:
        return await self.until(session_id, lambda session: session.ended)

    async def undisturbed(self, sessions: Sequence[Session], digest: str) -> None:
        """Require that sessions run to their end and write the log of a digest."""
        for session in sessions:
            ended = await self.finished(session.id)
            assert ended.status == "finished", (ended.error, ended.error_details)
            assert await self.digest(ended.id) == digest

    async def slots_done(self, session_id: UUID) -> int:
        """How many slots of a session of minutes from `START_MS` on are in the log."""
        cursor_ms = (await self.get(session_id)).cursor_ms
        return 0 if cursor_ms is None else (cursor_ms - START_MS) // MINUTE + 1

    async def idle(self) -> None:
        """Wait until no session runs in this process."""
        deadline = time.monotonic() + 20
        while self.supervisor.running:
            assert time.monotonic() < deadline, "a session still runs"
            await asyncio.sleep(0.01)

    async def log(self, session_id: UUID) -> list[dict[str, Any]]:
        return json.loads((await self.pool.run(events.page, session_id, 1, 1_000_000)).body)

    async def digest(self, session_id: UUID) -> str:
        return await self.pool.run(events.digest, session_id)


@asynccontextmanager
async def running_engine(database: Database, *, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Engine]:
    """Run an engine until the block ends; it closes as a server does on SIGTERM."""
    chosen = settings(database, **changes)
    clock = clock or Clock()
    pool = Pool(database.url, size=chosen.pool_size)
    await pool.open()
    supervisor = Supervisor(pool, chosen, listen_url=database.url, clock=clock)
    try:
        await supervisor.open()
        yield Engine(pool, supervisor, SessionService(pool, chosen, clock, supervisor))
    finally:
        await supervisor.close()
        await pool.close()


async def store(
    pool: Pool,
    *,
    symbol: str = "BTCUSDT",
    timeframe: str = "1m",
    count: int = 100,
    start_ms: int = START_MS,
    without: Callable[[int], bool] = lambda _: False,
) -> None:
    """Store generated candles except those for whose number `without` returns true."""
    step = TIMEFRAMES[timeframe].ms
    made_up = _made_up(symbol, timeframe, start_ms, start_ms + count * step)
    stored = [candle for number, candle in enumerate(made_up) if not without(number)]
    await pool.run(candles.store, "demo", symbol, timeframe, stored)


@cache
def _made_up(symbol: str, timeframe: str, start_ms: int, end_ms: int) -> tuple[Candle, ...]:
    """Make the candles that many tests share once."""
    return tuple(synthetic.candles(symbol, timeframe, start_ms, end_ms))
