"""A session that clients follow while its server is killed and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.client import Client, call, connect, run_unpaced
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, ServerProcess, StartServer, until
from tests.support.session_log import row


@dataclass
class Replay:
    """A server and a session on it that resumes by itself when the server comes back."""

    database: Database
    server: ServerProcess
    connect: Client
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
        await run_unpaced(self.client, self.session_id)


@asynccontextmanager
async def replay(
    database: Database,
    start_server: StartServer,
    *,
    candles: int = 1000,
    pause_ms: int = 5,
    **env: object,
) -> AsyncIterator[Replay]:
    """Make a session over so many candles, paced so that a server can be killed in its middle."""
    async with open_pool(database) as side:
        await store(side, count=candles)
    server = await asyncio.to_thread(start_server, database, **QUICK, ZEON_ON_ORPHAN="resume", **env)
    async with connect(server) as client:
        session = await client.create(endMs=START_MS + candles * MINUTE, replayMsPerCandle=pause_ms)
        yield Replay(database, server, client, session["id"])
