"""A session that clients follow while its server is killed and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.engine import MINUTE, START_MS, store
from tests.support.outside import QUICK, call, client, hurry, pool, row, until
from tests.support.process import Zeon
from tests.support.servers import Database
from tests.support.web import Client


@dataclass
class Replay:
    """A server and a session on it that resumes by itself when the server comes back."""

    database: Database
    server: Zeon
    client: Client
    session_id: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def last_seq(self) -> int:
        return int(row(self.database, self.session_id, "last_seq"))

    async def start(self) -> None:
        await call(self.client, self.session_id, "start")

    async def kill(self, times: int, apart: int = 100) -> None:
        """Kill the server by SIGKILL so many times, each time after some more events, and start it again."""
        for _ in range(times):
            goal = self.last_seq + apart
            await until(lambda goal=goal: self.last_seq >= goal, timeout_s=60)
            self.server.kill()
            await asyncio.to_thread(self.server.start)

    async def finish(self) -> None:
        """Run to the end as fast as possible."""
        await hurry(self.client, self.session_id)


@asynccontextmanager
async def replay(
    database: Database, zeon: Callable[..., Zeon], *, candles: int = 1000, pause_ms: int = 5, **env: object
) -> AsyncIterator[Replay]:
    """Make a session over so many candles, paced so that a server can be killed in its middle."""
    async with pool(database) as side:
        await store(side, count=candles)
    server = await asyncio.to_thread(zeon, database, **QUICK, ZEON_ON_ORPHAN="resume", **env)
    async with client(server) as c:
        session = await c.create(endMs=START_MS + candles * MINUTE, replayMsPerCandle=pause_ms)
        yield Replay(database, server, c, session["id"])
