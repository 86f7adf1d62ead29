"""A server process and its clients: fan-out, catching up, and the way from commit to client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.db import sessions
from app.db.pool import Connection, Database
from app.domain.session import Pace, Session, SessionSpec
from benchmarks.client import Client, connect, ended
from benchmarks.environment import USER, BenchDatabase, engine, pool, spec, store
from benchmarks.row import Goal, Row, alternate, quantile
from benchmarks.server import Server, server

CLIENTS = 500
PARSING = 50
SECONDS = 10
PER_SECOND = 1_000
SESSIONS = 200
BACKLOG = 200_000
FRAMES = """
COPY (
  SELECT 'id: ' || seq || E'\\ndata: {"seq":' || seq || ',"ts":' || ts || ',"type":"' || type
         || '","payload":' || payload::text || E'}\\n\\n'
  FROM sim_events WHERE session_id = %s ORDER BY seq) TO STDOUT"""


async def fan_out(target: BenchDatabase) -> list[Row]:
    """Measure one session with many clients; the first and the last event are its status."""
    wanted = spec(SECONDS * PER_SECOND, pace=Pace(1))
    async with pool(target) as database:
        await store(database, SECONDS * PER_SECOND)
        with server(target) as running:
            session = await database.run(_create, wanted)
            clients = await connect(running, [session.id] * CLIENTS, noting_every=PARSING)
            began = time.perf_counter()
            await asyncio.to_thread(running.start_session, session.id)
            await ended(clients, 4 * SECONDS + 30)
            took = time.perf_counter() - began
        late = await database.run(_latencies, [(session.id, client) for client in clients])
    delivered = sum(client.events for client in clients)
    share = 100 * delivered / (CLIENTS * (SECONDS * PER_SECOND + 2))
    what = "500 clients of one session, 1,000 events/s"
    note = f"{delivered / took:,.0f} a second over {took:.1f} s"
    return [
        Row(f"{what}: delivered", share, "%", None, Goal(100), note),
        Row(f"{what}: p99", 1000 * quantile(late, 0.99), "ms", None, Goal(50, at_most=True), _median(late)),
    ]


async def latency(target: BenchDatabase) -> list[Row]:
    """Measure many sessions with a client each."""
    count = SECONDS * 10
    async with pool(target) as database:
        await store(database, count)
        with server(target) as running:
            created = [await database.run(_create, spec(count, pace=Pace(100))) for _ in range(SESSIONS)]
            clients = await connect(running, [session.id for session in created])
            for session in created:
                await asyncio.to_thread(running.start_session, session.id)
            await ended(clients, 2 * SECONDS + 30)
        assert all(client.events == count + 2 for client in clients)
        late = await database.run(_latencies, list(zip([each.id for each in created], clients, strict=True)))
    what = "200 sessions at 10 candles/s, one client each: p99"
    return [Row(what, 1000 * quantile(late, 0.99), "ms", None, Goal(20, at_most=True), _median(late))]


async def catch_up(target: BenchDatabase) -> list[Row]:
    """Measure the stream of a finished session from its beginning to its end."""
    session_id = await _filled(target)
    async with pool(target) as database:
        with server(target) as running:
            backlog = _Backlog(running, database, session_id)
            ours, reference = await alternate(backlog.stream, backlog.copy, 5)
    return [Row("catch-up of 200,000 events over SSE", ours, "events/s", reference, Goal(0.4), "against COPY")]


async def _filled(target: BenchDatabase) -> UUID:
    """Run a session of `BACKLOG` candles to its end."""
    async with engine(target) as running:
        await store(running.database, BACKLOG)
        session, _ = await running.sim.create(USER, spec(BACKLOG))
        await running.sim.start(USER, session.id)
        with running.supervisor.hub.tail(session.id, 1, ("status",)) as tail:
            while (page := await tail.next(120)) is None or page.status != "finished":
                assert page is not None, "nothing came for two minutes"
    return session.id


@dataclass(frozen=True)
class _Backlog:
    """The same log read over SSE and by COPY."""

    server: Server
    database: Database
    session_id: UUID

    async def stream(self) -> float:
        """Return events per second over SSE."""
        begun = time.perf_counter()
        (client,) = await connect(self.server, [self.session_id], noting_every=0)
        await ended([client], 60)
        assert client.events == BACKLOG + 2, client.events
        return client.events / (time.perf_counter() - begun)

    async def copy(self) -> float:
        """Return events per second when Postgres sends the same frames by COPY."""
        return await self.database.run(self._copy)

    async def _copy(self, connection: Connection) -> float:
        begun = time.perf_counter()
        rows = 0
        async with connection.cursor().copy(FRAMES, (self.session_id,)) as copy:
            while data := await copy.read():
                rows += bytes(data).count(b"\n")
        assert rows == BACKLOG + 2, rows
        return rows / (time.perf_counter() - begun)


async def _create(connection: Connection, wanted: SessionSpec) -> Session:
    return (await sessions.create(connection, USER, wanted))[0]


async def _latencies(connection: Connection, followed: Sequence[tuple[UUID, Client]]) -> list[float]:
    """Return how long after the beginning of its transaction each noted event came, in seconds."""
    late: list[float] = []
    for session_id, client in followed:
        if client.arrivals:
            cursor = await connection.execute(
                "SELECT seq, extract(epoch FROM created_at)::float8 AS at FROM sim_events WHERE session_id = %s",
                (session_id,),
            )
            written = {row["seq"]: row["at"] for row in await cursor.fetchall()}
            late += [arrived - written[seq] for seq, arrived in client.arrivals]
    return late


def _median(late: Sequence[float]) -> str:
    return f"p50 {1000 * quantile(late, 0.5):.1f} ms; from the start of the transaction"
