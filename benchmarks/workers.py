"""Workers of one server: what a delivery costs with one and with two of them, and whether both work."""

from __future__ import annotations

import asyncio

from app.db import sessions
from app.db.pool import Database
from app.domain.session import Pace
from benchmarks.client import connect, ended
from benchmarks.environment import USER, BenchDatabase, pool, spec, store
from benchmarks.row import Goal, Row
from benchmarks.server import server

CLIENTS = 400
SESSIONS = 2
SECONDS = 6
PER_SECOND = 100


async def workers(target: BenchDatabase) -> list[Row]:
    """Measure the processor time of fan-out, without that of Postgres and of the clients."""
    async with pool(target) as database:
        await store(database, SECONDS * PER_SECOND)
        (one,) = await _fan_out(target, database, 1)
        two = await _fan_out(target, database, 2)
    what = f"{CLIENTS} clients of {SESSIONS} sessions at {PER_SECOND} events/s"
    return [
        Row(f"{what}: a delivery, two workers", sum(two), "us", one, Goal(1.15, at_most=True), "against one worker"),
        Row(f"{what}: share of the busier one", 100 * max(two) / sum(two), "%", None, Goal(75, at_most=True)),
    ]


async def _fan_out(target: BenchDatabase, database: Database, count: int) -> list[float]:
    """Return the processor time of each worker per delivery, in microseconds."""
    wanted = spec(SECONDS * PER_SECOND, pace=Pace(1000 // PER_SECOND))
    made = [(await database.run(sessions.create, USER, wanted))[0].id for _ in range(SESSIONS)]
    with server(target, workers=count) as running:
        clients = await connect(running, [made[number % SESSIONS] for number in range(CLIENTS)], noting_every=0)
        before_s = running.cpu_s
        for session_id in made:
            await asyncio.to_thread(running.start_session, session_id)
        await ended(clients, 4 * SECONDS + 30)
        used_s = [after - before for after, before in zip(running.cpu_s, before_s, strict=True)]
    delivered = sum(client.events for client in clients)
    return [1e6 * each / delivered for each in used_s]
