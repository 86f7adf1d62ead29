"""A server in the test's own process, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from app.db import tokens
from app.settings import load
from app.web.serve import RunningServer, run_server
from app.web.wire.connections import ConnectionLimits
from tests.support.client import Client
from tests.support.postgres import Database
from tests.support.running_engine import store


@dataclass
class InProcessServer(Client):
    """A server and a client for it."""

    served: RunningServer

    async def token(self, user_id: str, **changes: Any) -> tuple[Any, str]:
        """Make a token; returns its id and the token itself."""
        stored, secret = await self.served.sim.database.run(tokens.create, user_id, **changes)
        return stored.id, secret


@asynccontextmanager
async def running_server(
    database: Database, *, candles: int = 100, limits: ConnectionLimits | None = None, **changes: Any
) -> AsyncIterator[InProcessServer]:
    """Serve a database on a free port, with some candles, until the block ends."""
    quick = {"port": 0, "renew_ms": 200, "runner_ttl_ms": 2000, "poll_ms": 200, "burst": 100_000}
    settings = load(database_url=database.url, migrate_url=database.owner_url, **(quick | changes))
    async with (
        run_server(settings, limits) as served,
        httpx2.AsyncClient(base_url=served.url, timeout=30, verify=False) as client,
    ):
        if candles:
            await store(served.sim.database, count=candles)
        yield InProcessServer(client, served)
