"""Memory of a server process: with the length of a session, and per stream that waits."""

from __future__ import annotations

import asyncio

from app.db import sessions
from benchmarks.client import connect
from benchmarks.environment import USER, BenchDatabase, pool, spec, store
from benchmarks.row import Goal, Row
from benchmarks.server import server

SHORT = 20_000
LONG = 200_000
STREAMS = 500
MB = 1e6


async def length(target: BenchDatabase) -> list[Row]:
    """Measure the most memory a server takes while it runs an unpaced session, long and short."""
    async with pool(target) as database:
        await store(database, LONG)
    long, short = await _peak(target, LONG), await _peak(target, SHORT)
    what = "memory of a server, session of 200,000 candles against 20,000"
    return [Row(what, long / MB, "MB", short / MB, Goal(1.1, at_most=True))]


async def _peak(target: BenchDatabase, candles: int) -> int:
    async with pool(target) as database:
        session, _ = await database.run(sessions.create, USER, spec(candles))
        with server(target) as running:
            await asyncio.to_thread(running.start_session, session.id)
            peak = running.rss
            while not session.ended:
                await asyncio.sleep(0.05)
                peak = max(peak, running.rss)
                session = await database.run(sessions.get, session.id)
    assert session.status == "finished", session
    return peak


async def streams(target: BenchDatabase) -> list[Row]:
    """Measure what streams cost while nothing happens in their session."""
    async with pool(target) as database:
        session, _ = await database.run(sessions.create, USER, spec(1))
        with server(target) as running:
            await connect(running, [session.id] * 10)
            await asyncio.sleep(1)
            before = running.rss
            clients = await connect(running, [session.id] * STREAMS)
            await asyncio.sleep(1)
            each = (running.rss - before) / STREAMS / 1000
            for client in clients:
                client.close()
    return [Row("memory per idle stream, 500 of them", each, "KB", None, Goal(50, at_most=True))]
